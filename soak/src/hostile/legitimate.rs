//! A legitimate client beside hostile ones.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::param::clock_ticks_per_second;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::lane::{Lane, OPEN, Target};
use crate::pace::Pace;
use crate::quantile::p99;

const CONNECTIONS: usize = 8;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: app\r\n\r\n";
const BODY: &[u8] = b"\r\n\r\necho-app\n";
const TIMEOUT: Duration = Duration::from_secs(30);

/// An activity beside the client, which lasts until the value is dropped.
pub(crate) trait Beside {}

/// A measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) length: Duration,
    /// Requests per second.
    pub(crate) rate: u64,
}

/// The p99 of one round, without and with an attack.
#[derive(Clone, Copy, Debug)]
struct Round {
    without: Duration,
    with: Duration,
}

/// The client's latency with an attack, compared with its latency just before.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    /// The p99 without and with an attack, each in its quietest window: other work of the machine can only add latency.
    quietest: Round,
    /// The same with client and attack directly at the app: the effect of the attack without a proxy.
    at_the_app: Round,
    /// The p99 of every round.
    ratios: Vec<f64>,
    pub(crate) failed: u64,
    /// Connections that the proxy held, at most.
    pub(crate) held: u64,
    /// The share of a core that the proxy used, at most.
    cpu: f64,
    /// The proxy's resident memory, KiB, at most.
    memory: u64,
}

/// Measures without and with the attack, round by round.
pub(crate) async fn against_baseline<F: Future<Output = Result<Box<dyn Beside>>>>(
    lane: &Lane,
    window: Window,
    rounds: u8,
    begin: impl Fn(Target) -> F,
) -> Result<Comparison> {
    let (mut through, mut at_the_app) = (Vec::new(), Vec::new());
    let (mut failed, mut held, mut cpu, mut memory) = (0, 0, 0.0_f64, 0);
    for _ in 0..rounds {
        let (without, failed_without) = window.measure(lane.proxy.address()).await?;
        let beside = begin(Target::Proxy).await?;
        let used = cpu_time(lane)?;
        let (with, failed_with) = window.measure(lane.proxy.address()).await?;
        cpu = cpu.max(cpu_time(lane)?.saturating_sub(used).as_secs_f64() / window.length.as_secs_f64());
        held = held.max(lane.metric(OPEN).await?);
        memory = memory.max(resident(lane)?);
        drop(beside);
        failed += failed_without + failed_with;
        through.push(Round { without, with });

        let (without, _) = window.measure(lane.app.address()).await?;
        let _beside = begin(Target::App).await?;
        let (with, _) = window.measure(lane.app.address()).await?;
        at_the_app.push(Round { without, with });
    }
    Ok(Comparison {
        quietest: Round::quietest(&through)?,
        at_the_app: Round::quietest(&at_the_app)?,
        ratios: through.into_iter().map(Round::ratio).collect(),
        failed,
        held,
        cpu,
        memory,
    })
}

impl Round {
    fn quietest(rounds: &[Self]) -> Result<Self> {
        let without = rounds.iter().map(|round| round.without).min();
        let with = rounds.iter().map(|round| round.with).min();
        without.zip(with).map(|(without, with)| Self { without, with }).context("no round was measured")
    }

    fn ratio(self) -> f64 {
        self.with.as_secs_f64() / self.without.as_secs_f64()
    }
}

impl Window {
    /// Returns the client's p99, from the instants at which requests were due, and the requests that failed.
    async fn measure(self, to: SocketAddr) -> Result<(Duration, u64)> {
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(to).await.context("a legitimate client cannot connect")?;
            stream.set_nodelay(true)?;
            // The first request is not measured: with it the proxy connects to the app.
            once(&mut stream).await?;
            streams.push(stream);
        }
        let pace = Arc::new(Pace::new(self.rate, self.length));
        let mut clients: JoinSet<(Vec<Duration>, u64)> =
            streams.into_iter().map(|stream| send_requests(stream, Arc::clone(&pace))).collect();
        let (mut latencies, mut failed) = (Vec::new(), 0);
        while let Some(seen) = clients.join_next().await {
            let (of_one, failed_of_one) = seen?;
            latencies.extend(of_one);
            failed += failed_of_one;
        }
        Ok((p99(&mut latencies).context("no request was answered")?, failed))
    }
}

/// Returns the latencies of one connection, and whether it failed.
async fn send_requests(mut stream: TcpStream, pace: Arc<Pace>) -> (Vec<Duration>, u64) {
    let mut latencies = Vec::new();
    while let Some(due) = pace.due().await {
        match timeout(TIMEOUT, once(&mut stream)).await {
            Ok(Ok(())) => latencies.push(due.elapsed()),
            // The connection ends here, and the others take over its requests.
            Ok(Err(_)) | Err(_) => return (latencies, 1),
        }
    }
    (latencies, 0)
}

async fn once(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(REQUEST).await?;
    let mut answer = [0; 1024];
    let mut length = 0;
    while !answer[..length].ends_with(BODY) {
        let read = stream.read(&mut answer[length..]).await?;
        ensure!(read > 0, "the answer ends with {}", answer[..length].escape_ascii());
        length += read;
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer[..length].escape_ascii());
    Ok(())
}

/// Returns the CPU time that the proxy has used.
fn cpu_time(lane: &Lane) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{}/stat", lane.proxy.id()))?;
    // proc(5): user and system time are the fields 14 and 15, after the name in parentheses, which may have any
    // characters.
    let (_, fields) = text.rsplit_once(')').context("/proc/PID/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 1000 / clock_ticks_per_second()))
}

/// Returns the resident memory of the proxy, KiB.
fn resident(lane: &Lane) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{}/status", lane.proxy.id()))?;
    let size = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS in /proc/PID/status")?;
    size.trim().strip_suffix(" kB").and_then(|number| number.parse().ok()).context("VmRSS in kB")
}

impl Comparison {
    /// Returns the p99 with the attack.
    pub(crate) const fn with(&self) -> Duration {
        self.quietest.with
    }

    /// Returns the factor by which the p99 has grown.
    pub(crate) fn ratio(&self) -> f64 {
        self.quietest.ratio()
    }

    /// Returns the row of the table.
    pub(crate) fn row(&self, name: &str) -> Vec<String> {
        let ratios: Vec<String> = self.ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        vec![
            name.to_owned(),
            format!("{:.1?}", self.quietest.without),
            format!("{:.1?}", self.quietest.with),
            ratios.join(", "),
            self.at_the_app.to_string(),
            self.held.to_string(),
            format!("{:.0} %", self.cpu * 100.0),
            format!("{:.1} MiB", f64::from(u32::try_from(self.memory).unwrap_or(u32::MAX)) / 1024.0),
        ]
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { quietest, at_the_app, failed, held, .. } = self;
        write!(f, "p99 {quietest}, at the app itself {at_the_app}; {failed} failed, {held} connections held")
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1?} → {:.1?} ({:.2} ×)", self.without, self.with, self.ratio())
    }
}

//! Connections that are recycled at a fixed rate, each with a connection to the app: the system must not run out of
//! ports.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use settings::ProxyOption;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::lane::Lane;
use crate::pace::Pace;
use crate::programs::Programs;
use crate::report::{Report, Table, Verdict, count};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: app\r\n\r\n";
/// Clients that take turns: more than can have a request in flight.
const CLIENTS: usize = 256;
const TIMEOUT: Duration = Duration::from_secs(30);
/// The share of the rate that must be reached for a valid run.
const REACHED: f64 = 0.95;

/// Thousands of recycles per second: the system never runs out of ports for connections to the app.
///
/// At limit 1 every request takes a client connection and a connection to the app. The system reserves the port of the
/// latter for another minute (`TIME_WAIT`). At 2,000 per second the 28,232 ports of a loopback address are used up
/// after 14 seconds, unless they can be reused. The run fails if a request gets no response, if the proxy cannot reach
/// the app, or if the rate is not reached.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Recycles per second
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// Duration of the run; the long run takes 5m
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    time: Duration,
}

/// The sum of all clients' results.
#[derive(Debug, Default)]
struct Seen {
    answered: u64,
    failures: Vec<String>,
}

pub(crate) async fn run(programs: &Programs, options: &Options) -> Result<Report> {
    let begun = Instant::now();
    let lane = Lane::start(programs, &[(ProxyOption::MaxRequests, "1"), (ProxyOption::LogLevel, "error")]).await?;
    let watch = tokio::spawn(print_time_wait());
    let loading = Instant::now();
    let seen = load(lane.proxy.address(), Pace::new(options.rate, options.time)).await?;
    let took = loading.elapsed();
    watch.abort();
    let unreachable = lane.metric("evenkeel_proxy_app_unreachable_total").await?;
    let retired = lane.metric("evenkeel_proxy_connections_retired_total").await?;
    let in_time_wait = time_wait()?;
    ensure!(lane.app.served().await?.requests >= seen.answered, "the app received fewer requests than were answered");

    let how =
        format!("{} clients in turn, each request on a connection of its own, at limit 1.", count(CLIENTS as u64));
    let mut report = Report::of("recycles", begun, how);
    #[expect(clippy::cast_precision_loss, reason = "fewer recycles than 2⁵²")]
    let rate = retired as f64 / took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "at most 100,000")]
    let goal = options.rate as f64;
    let length = humantime::format_duration(options.time);
    report.verdicts = vec![
        Verdict::new(
            format!("{} recycles a second for {length}", count(options.rate)),
            format!("{} in {:.1} s: {rate:.0}/s", count(retired), took.as_secs_f64()),
            rate >= goal * REACHED,
        ),
        Verdict::new(
            "no request fails",
            format!("{} of {}", seen.failures.len(), count(seen.answered + seen.failures.len() as u64)),
            seen.failures.is_empty(),
        ),
        Verdict::new(
            "the proxy can always connect to the app",
            format!("{unreachable} failed connects"),
            unreachable == 0,
        ),
    ];
    report.table = Table::new(
        ["connections in TIME_WAIT at the end", "ports of a loopback address"],
        vec![vec![count(in_time_wait), count(ports()?)]],
    );
    report.notes = seen.failures.into_iter().take(10).collect();
    Ok(report)
}

async fn load(to: SocketAddr, pace: Pace) -> Result<Seen> {
    let pace = Arc::new(pace);
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let pace = Arc::clone(&pace);
        clients.spawn(async move {
            let mut seen = Seen::default();
            while pace.due().await.is_some() {
                match timeout(TIMEOUT, recycle(to)).await.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer"))) {
                    Ok(()) => seen.answered += 1,
                    Err(error) => seen.failures.push(format!("{error:#}")),
                }
            }
            seen
        });
    }
    let mut all = Seen::default();
    for seen in clients.join_all().await {
        all.answered += seen.answered;
        all.failures.extend(seen.failures);
    }
    Ok(all)
}

/// Sends one request on a new connection, and reads its response to the end of the connection.
async fn recycle(to: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(to).await.context("a client cannot connect")?;
    stream.write_all(REQUEST).await.context("a request cannot be sent")?;
    let mut answer = Vec::with_capacity(256);
    stream.read_to_end(&mut answer).await.context("a response ends early")?;
    let whole = answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"\r\n\r\necho-app\n");
    ensure!(whole, "a response is incomplete: {}", answer.escape_ascii());
    Ok(())
}

/// Prints every ten seconds how many ports are in `TIME_WAIT`.
async fn print_time_wait() {
    let mut seconds = interval(Duration::from_secs(10));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        seconds.tick().await;
        if let Ok(waiting) = time_wait() {
            eprintln!("{} connections in TIME_WAIT", count(waiting));
        }
    }
}

/// Returns the number of sockets in `TIME_WAIT`: 17 in `TCP: inuse 5 orphan 0 tw 17 alloc 7 mem 1`.
fn time_wait() -> Result<u64> {
    let text = fs::read_to_string("/proc/net/sockstat")?;
    let line = text.lines().find(|line| line.starts_with("TCP:")).context("TCP in /proc/net/sockstat")?;
    let mut words = line.split(' ').skip_while(|word| *word != "tw").skip(1);
    words.next().and_then(|number| number.parse().ok()).with_context(|| format!("no number of TIME_WAIT in {line:?}"))
}

/// Returns the number of local ports for clients.
fn ports() -> Result<u64> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [first, last] = numbers[..] else { anyhow::bail!("ip_local_port_range: {text:?}") };
    Ok(last - first + 1)
}

//! CPU time, latency and memory of the webhook for reviews over TLS at a fixed rate, as API servers send them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::body::Bytes;

use crate::accounting;
use crate::bench::Bench;
use crate::lineup::{free_port, pinned};
use crate::load::reviews::{self, Target};
use crate::peer::Protocol;
use crate::process::Running;
use crate::report::{Section, Table, Verdict};
use crate::review;
use crate::scenario::cell;
use crate::summary::{Summary, quantile};
use crate::tls;

/// Reviews per second: those of a large cluster in a burst.
const RATE: f64 = 500.0;
/// A turn is this many times as long as in other scenarios: in a second, only five reviews are above p99.
const LONGER: u32 = 3;
/// The limit of p99, ms.
const LATENCY_GOAL: f64 = 2.5;
/// The limit of resident memory, MiB.
const MEMORY_GOAL: f64 = 32.0;

/// The program that answers reviews.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Evenkeel,
    /// Reads a review and allows it, with the same server and the same TLS library.
    Bare,
}

/// A running subject.
struct Server {
    subject: Subject,
    running: Running,
    folder: PathBuf,
    turns: Vec<Turn>,
}

/// The figures of a turn.
struct Turn {
    p50_ms: f64,
    p99_ms: f64,
    cpu_micros: f64,
    resident_mib: f64,
}

/// Measures both protocols, with new processes for each.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    [Protocol::Http1, Protocol::Http2].into_iter().map(|protocol| in_protocol(bench, protocol)).collect()
}

fn in_protocol(bench: &Bench, protocol: Protocol) -> Result<Section> {
    let name = match protocol {
        Protocol::Http1 => "HTTP/1.1",
        Protocol::Http2 => "HTTP/2",
    };
    eprintln!("webhook: {RATE} reviews/s over TLS and {name} …");
    let reviews = review::cycle();
    let start = |subject| Server::start(bench, subject, &reviews);
    let mut servers = [start(Subject::Bare)?, start(Subject::Evenkeel)?];
    let time = Duration::from_secs(bench.seconds.into()) * LONGER;
    for _ in 0..bench.rounds {
        for server in &mut servers {
            server.turn(protocol, &reviews, time).with_context(|| server.subject.to_string())?;
        }
    }
    let [bare, ours] = &servers;
    let how = format!(
        "{:.0} s of it for each. Of two hundred reviews 120 are creations of a Deployment of 15 KiB, 79 changes of one, with the object \
         before it, and one has 1 MiB; each is injected. Latency counts from the instant at which a review was due. \
         The floor reads them and allows them, with the same server and the same TLS. API servers speak HTTP/1.1 to webhooks.",
        (time * u32::try_from(bench.rounds)?).as_secs_f64()
    );
    let ratio =
        |of: fn(&Turn) -> f64| Summary::of(ours.turns.iter().zip(&bare.turns).map(|(ours, bare)| of(ours) / of(bare)));
    let row = |server: &Server, ratio: Option<Summary>| {
        let name = server.subject.to_string();
        let cells = [
            cell(server.summary(|turn| turn.p50_ms), "ms"),
            cell(server.summary(|turn| turn.p99_ms), "ms"),
            cell(server.summary(|turn| turn.cpu_micros), "µs"),
            cell(ratio, ""),
            cell(server.last_resident(), "MiB"),
        ];
        std::iter::once(name).chain(cells).collect()
    };
    let cpu = |turn: &Turn| turn.cpu_micros;
    Ok(Section {
        title: format!("Webhook: {RATE} reviews/s over TLS, {name}"),
        how,
        table: Table {
            columns: vec!["", "p50", "p99", "CPU per review", "× floor", "resident at the end"],
            rows: vec![row(bare, Summary::of([1.0])), row(ours, ratio(cpu))],
        },
        verdicts: match protocol {
            Protocol::Http1 => vec![
                Verdict::at_most(
                    format!("p99 ≤ {LATENCY_GOAL} ms"),
                    LATENCY_GOAL,
                    ours.summary(|turn| turn.p99_ms),
                    "ms",
                ),
                Verdict::at_most(format!("≤ {MEMORY_GOAL} MiB at the end"), MEMORY_GOAL, ours.last_resident(), "MiB"),
            ],
            // API servers do not use HTTP/1.1.
            Protocol::Http2 => Vec::new(),
        },
    })
}

impl Server {
    fn start(bench: &Bench, subject: Subject, reviews: &[Bytes]) -> Result<Self> {
        let folder = bench.fresh_dir(&subject.to_string())?;
        tls::generate(&folder)?;
        let port = free_port()?;
        let command = subject.command(bench, port, &folder)?;
        let mut command = match bench.cores.proxy {
            Some(core) => pinned(core, &command),
            None => command,
        };
        let target = Target { port, folder: &folder, protocol: Protocol::Http1, answer: subject.answer() };
        let first = reviews.first().context("a cycle of reviews")?;
        let running =
            Running::start_until(&mut command, port, &folder.join("output.log"), || reviews::once(target, first))
                .with_context(|| subject.to_string())?;
        Ok(Self { subject, running, folder, turns: Vec::new() })
    }

    fn turn(&mut self, protocol: Protocol, reviews: &[Bytes], time: Duration) -> Result<()> {
        let answer = self.subject.answer();
        let target = Target { port: self.running.port(), folder: &self.folder, protocol, answer };
        let before = accounting::cpu_time(self.running.pid())?;
        let mut latencies = reviews::run(target, reviews, RATE, time)?;
        let cpu = accounting::cpu_time(self.running.pid())?.saturating_sub(before);
        #[expect(clippy::cast_precision_loss, reason = "fewer reviews and bytes than 2⁵²")]
        let (count, resident) = (latencies.len() as f64, accounting::resident(self.running.pid())? as f64);
        let mut millis =
            |per_mille| quantile(&mut latencies, per_mille).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3);
        self.turns.push(Turn {
            p50_ms: millis(500),
            p99_ms: millis(990),
            cpu_micros: cpu.as_secs_f64() * 1e6 / count,
            resident_mib: resident / f64::from(1 << 20),
        });
        Ok(())
    }

    fn summary(&self, of: fn(&Turn) -> f64) -> Option<Summary> {
        Summary::of(self.turns.iter().map(of))
    }

    fn last_resident(&self) -> Option<Summary> {
        Summary::of(self.turns.last().map(|turn| turn.resident_mib))
    }
}

impl Subject {
    /// Returns the command that serves in the foreground, with the certificate in `folder`.
    fn command(self, bench: &Bench, port: u16, folder: &Path) -> Result<Command> {
        let listen = format!("127.0.0.1:{port}");
        let mut command = Command::new(bench.tools.webhook(self == Self::Bare)?);
        match self {
            Self::Bare => command.args(["bare-webhook", "--listen", &listen, "--certificate"]).arg(folder),
            Self::Evenkeel => command
                .args(["run", "--listen", &listen, "--admin", "127.0.0.1:0", "--tls", "files", "--log-level", "warn"])
                .arg("--tls-cert")
                .arg(folder.join(tls::CERTIFICATE))
                .arg("--tls-key")
                .arg(folder.join(tls::KEY))
                .args(["--default", "proxy-image=registry.example/recycling-proxy:1"])
                .args(["--shutdown-delay", "1ms"]),
        };
        Ok(command)
    }

    /// Returns text that every correct response contains.
    fn answer(self) -> &'static str {
        match self {
            Self::Bare => r#""allowed":true"#,
            Self::Evenkeel => r#""patchType":"JSONPatch""#,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Bare => "floor",
            Self::Evenkeel => "evenkeel",
        })
    }
}

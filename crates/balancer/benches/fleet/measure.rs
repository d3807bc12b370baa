//! CPU time, memory and lateness over some time.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use test_support::Peer;
use tokio::time::{Instant, sleep};

use crate::endpoints::Endpoints;
use crate::process::Balancer;

/// What was measured.
pub(crate) struct Phase {
    what: &'static str,
    requests_per_second: f64,
    cores: f64,
    resident_mib: f64,
    late: Vec<u64>,
}

impl Phase {
    /// Measures for a while.
    pub(crate) async fn measure(
        what: &'static str,
        balancer: &Balancer,
        fleet: &mut [Endpoints],
        length: Duration,
    ) -> Result<Self> {
        for endpoints in &mut *fleet {
            endpoints.seen()?;
        }
        let (before, start) = (cpu_time(balancer.child.id())?, Instant::now());
        sleep(length).await;
        let (used, elapsed) = (cpu_time(balancer.child.id())? - before, start.elapsed().as_secs_f64());
        let (mut late, mut questions) = (Vec::new(), 0u64);
        for endpoints in fleet {
            let seen = endpoints.seen()?;
            questions += seen.questions;
            late.extend(seen.late);
        }
        late.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "fewer questions than 2⁵²")]
        let requests_per_second = questions as f64 / elapsed;
        let resident_mib = resident_kib(balancer.child.id())? / 1024.0;
        Ok(Self { what, requests_per_second, cores: used / elapsed, resident_mib, late })
    }
}

/// Returns the phases as a table in Markdown.
pub(crate) fn table(phases: &[Phase]) -> String {
    let mut table =
        "| | requests/s | CPU, cores | CPU per request | resident | late while levelling, p50 | p99 | most |\n"
            .to_owned();
    table.push_str("|---|---|---|---|---|---|---|---|\n");
    for Phase { what, requests_per_second, cores, resident_mib, late } in phases {
        let per_request = cores / requests_per_second * 1e6;
        let quantile = |per_mille: usize| late.get((late.len() * per_mille / 1000).min(late.len().saturating_sub(1)));
        let [p50, p99, most] = [500, 990, 1000]
            .map(|per_mille| quantile(per_mille).map_or_else(|| "–".to_owned(), |late| format!("{late} ms")));
        let _ = writeln!(
            table,
            "| {what} | {requests_per_second:.0} | {cores:.2} | {per_request:.0} µs | {resident_mib:.0} MiB | {p50} | {p99} | {most} |"
        );
    }
    table
}

/// Returns what the balancer has counted.
pub(crate) async fn answers(admin: SocketAddr) -> Result<String> {
    let admin = SocketAddr::from(([127, 0, 0, 1], admin.port()));
    let mut peer = Peer::connect(admin).await?;
    peer.send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    peer.read_head().await?;
    let (body, _) = peer.read_to_end().await?;
    let text = String::from_utf8_lossy(&body).into_owned();
    let is_shown = |line: &&str| {
        ["reports_total{", "refused_instructions_total{", "workloads{", "pods{"]
            .iter()
            .any(|name| line.starts_with(&format!("evenkeel_balancer_{name}")))
    };
    Ok(text.lines().filter(is_shown).collect::<Vec<_>>().join("\n"))
}

/// User and system time in seconds (`/proc/PID/stat`, fields 14 and 15, in hundredths).
fn cpu_time(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("a name in parentheses")?;
    let times: Result<Vec<f64>, _> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect();
    Ok(times?.iter().sum::<f64>() / 100.0)
}

fn resident_kib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

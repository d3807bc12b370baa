//! gRPC calls of all four kinds by grpc-go, many at a time, while their connections are retired: every call has the
//! status OK, no message is lost or changed, and the app serves every call exactly once.
//!
//! For a longer run: `target/conformance/rpcs serve --listen A`, a proxy from B to A, and `target/conformance/rpcs call
//! --to B --calls 100000`; on SIGTERM the first prints what it has served.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use conformance::{proxy_in_front_of, retired, run, tool};
use rustix::process::Signal;
use serde::de::DeserializeOwned;
use settings::ProxyOption;
use test_support::{LoopbackHost, Process};

const CHANNELS: u64 = 4;
const CALLERS: u64 = 8;
/// Of each caller.
const CALLS: u64 = 50;
const TIMEOUT: Duration = Duration::from_mins(2);

/// Calls of each kind by their status.
type Outcome = BTreeMap<String, BTreeMap<String, u64>>;
/// Calls of each kind.
type Served = BTreeMap<String, u64>;

#[tokio::test(flavor = "multi_thread")]
async fn every_call_succeeds_and_is_served_once() -> anyhow::Result<()> {
    for limit in [1, 2, 10, 100] {
        calls_at(limit).await.with_context(|| format!("limit {limit}"))?;
    }
    Ok(())
}

async fn calls_at(limit: u64) -> anyhow::Result<()> {
    let host = LoopbackHost::reserve()?;
    let address = host.port(8080);
    let mut command = tool("rpcs")?;
    command.args(["serve", "--listen", &address.to_string()]);
    let mut app = Process::spawn("rpcs serve", command)?;
    app.line_with("listening").await?;
    let proxy = proxy_in_front_of(address, &[(ProxyOption::MaxRequests, &limit.to_string())]).await?;

    let mut command = tool("rpcs")?;
    command.args(["call", "--to", &proxy.address().to_string(), "--seed", &limit.to_string()]);
    for (flag, value) in [("--channels", CHANNELS), ("--callers", CALLERS), ("--calls", CALLS)] {
        command.args([flag, &value.to_string()]);
    }
    let ended = run(command, TIMEOUT).await?;
    ensure!(ended.success, "{}", ended.errors);
    let outcome: Outcome = read(&ended.output)?;
    app.signal(Signal::TERM)?;
    let (_, output) = app.end().await?;
    let served: Served = read(&output)?;

    let all = CHANNELS * CALLERS * CALLS;
    let retired = retired(&proxy).await?;
    println!("limit {limit}: {all} calls {served:?}, {retired} connections retired");
    let well: Served = outcome
        .iter()
        .map(|(kind, statuses)| (kind.clone(), statuses.get("OK").copied().unwrap_or_default()))
        .collect();
    ensure!(well.values().sum::<u64>() == all, "{outcome:?}: {}", ended.errors);
    ensure!(served == well, "calls served differ from calls made: {outcome:?}, {served:?}");
    // Calls that run side by side share a connection's last moments, so there is no exact number.
    ensure!(retired >= all / (limit + CALLERS) / 2, "{retired} connections retired");
    Ok(())
}

/// The last line: programs say other things before.
fn read<T: DeserializeOwned>(output: &str) -> anyhow::Result<T> {
    let line = output.lines().last().context("nothing was printed")?;
    serde_json::from_str(line).with_context(|| line.to_owned())
}

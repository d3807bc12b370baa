//! The proxy of a run.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use settings::ProxyOption;
use test_support::RecyclingProxy;

/// Starts the proxy that `make conformance` has built in front of `app`.
pub async fn proxy_in_front_of(app: SocketAddr, options: &[(ProxyOption, &str)]) -> anyhow::Result<RecyclingProxy> {
    Ok(RecyclingProxy::start(binary(), app, options).await?)
}

/// Returns how many connections the proxy has retired because they had carried their number of requests.
pub async fn retired(proxy: &RecyclingProxy) -> anyhow::Result<u64> {
    counter(proxy, "evenkeel_proxy_connections_retired_total{reason=\"max_requests\",").await
}

/// Returns how many connections have become tunnels because the app switched protocols.
pub async fn upgraded(proxy: &RecyclingProxy) -> anyhow::Result<u64> {
    counter(proxy, "evenkeel_proxy_tunnels_total{kind=\"upgraded\",").await
}

/// Returns the sum of the samples that begin so.
async fn counter(proxy: &RecyclingProxy, start: &'static str) -> anyhow::Result<u64> {
    let (_, metrics) = proxy.admin("/metrics").await?;
    let samples: Vec<&str> = metrics.lines().filter(|line| line.starts_with(start)).collect();
    anyhow::ensure!(!samples.is_empty(), "no {start} among the metrics");
    let values = samples.iter().map(|sample| sample.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()));
    values.sum::<Option<u64>>().context(start)
}

/// Beside the tests: Cargo puts both below the same profile's folder.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    test.ancestors().nth(2).unwrap_or(&test).join("recycling-proxy")
}

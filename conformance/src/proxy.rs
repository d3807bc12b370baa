//! The proxy of a run.

use std::net::SocketAddr;
use std::path::PathBuf;

use settings::ProxyOption;
use test_support::RecyclingProxy;

/// Starts the proxy that `make conformance` has built in front of `app`.
pub async fn proxy_in_front_of(app: SocketAddr, options: &[(ProxyOption, &str)]) -> anyhow::Result<RecyclingProxy> {
    Ok(RecyclingProxy::start(binary(), app, options).await?)
}

/// Beside the tests: Cargo puts both below the same profile's folder.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    test.ancestors().nth(2).unwrap_or(&test).join("recycling-proxy")
}

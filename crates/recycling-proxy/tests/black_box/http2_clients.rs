//! HTTP/2 with a real client and a real server: at any limit, every request is answered once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use settings::ProxyOption;
use test_support::{Cases, LoopbackHost, RecyclingProxy, TestResult, ensure, ensure_eq};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::hyper_peers::{Served, connected, round, serve_http2};
use crate::stage::BINARY;

/// Concurrent requests on each connection.
const STREAMS: usize = 5;

#[tokio::test]
async fn an_http2_client_loses_no_request_at_any_limit() -> TestResult {
    let mut cases = Cases::default();
    for limit in ["1", "2", "10"] {
        cases.note(format!("limit {limit}"), many_clients(limit, 3, 60).await);
    }
    cases.verdict()
}

async fn many_clients(limit: &str, clients: usize, requests: usize) -> TestResult {
    let host = LoopbackHost::reserve()?;
    let served = Served::default();
    let listener = TcpListener::bind(host.port(8080)).await?;
    let app = tokio::spawn(serve_http2(listener, Arc::clone(&served)));
    let proxy = RecyclingProxy::start(BINARY, host.port(8080), &[(ProxyOption::MaxRequests, limit)]).await?;
    let mut running = JoinSet::new();
    for _ in 0..clients {
        running.spawn(client(proxy.address(), requests));
    }
    let mut connections = 0;
    while let Some(client) = running.join_next().await {
        connections += client??;
    }
    app.abort();
    ensure_eq!(served.load(Ordering::Relaxed), clients * requests);
    // Concurrent streams may exceed the limit, so that the number of connections is not exact.
    ensure!(connections > 2 * clients, "{connections} connections");
    Ok(())
}

/// Sends the requests. Returns the number of connections that they took.
async fn client(to: SocketAddr, requests: usize) -> TestResult<usize> {
    let mut connections = 1;
    let mut sender = connected(to).await?;
    let mut left = requests;
    while left > 0 {
        if sender.ready().await.is_err() {
            connections += 1;
            sender = connected(to).await?;
        }
        left -= round(&mut sender, left.min(STREAMS)).await?;
    }
    Ok(connections)
}

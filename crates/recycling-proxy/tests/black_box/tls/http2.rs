//! HTTP/2 inside TLS: every request is answered once, at any limit.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use settings::ProxyOption;
use test_support::{Cases, LoopbackHost, TestResult, ensure, ensure_eq};
use tokio::net::TcpListener;

use super::{Client, Files, SelfSigned};
use crate::hyper_peers::{Served, http2_over, round, serve_http2};

const OFFERS: &[&str] = &["h2", "http/1.1"];

#[tokio::test]
async fn an_http2_client_loses_no_request_at_any_limit() -> TestResult {
    let mut cases = Cases::default();
    for limit in ["1", "2", "10"] {
        cases.note(format!("limit {limit}"), requests(limit, 60).await);
    }
    cases.verdict()
}

async fn requests(limit: &str, requests: usize) -> TestResult {
    let host = LoopbackHost::reserve()?;
    let served = Served::default();
    let app = tokio::spawn(serve_http2(TcpListener::bind(host.port(8080)).await?, Arc::clone(&served)));
    let issued = SelfSigned::new()?;
    let files = Files::with(&issued)?;
    let proxy = files.proxy(host.port(8080), &[(ProxyOption::MaxRequests, limit)]).await?;
    let (mut connections, mut left) = (0, requests);
    while left > 0 {
        let client = Client::connect(proxy.address(), &issued, OFFERS).await?;
        ensure_eq!(client.negotiated().as_deref(), Some("h2"));
        let mut sender = http2_over(client.stream).await?;
        connections += 1;
        // A retired connection ends with GOAWAY.
        while left > 0 && sender.ready().await.is_ok() {
            left -= round(&mut sender, left.min(5)).await?;
        }
    }
    app.abort();
    ensure_eq!(served.load(Ordering::Relaxed), requests);
    ensure!(connections > 2, "{connections} connections");
    Ok(())
}

//! The certificate appears, changes and becomes unusable while clients are connected.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use settings::ProxyOption;
use test_support::{
    LoopbackHost, Responder, ScriptedApp, TIMEOUT, TestResult, answer_everything_with, ensure, ensure_eq,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::{Client, Files, SelfSigned, wait_for_sample};
use crate::stage::{GET, OK};

/// Without a certificate, TLS passes through a tunnel to an app that terminates it. Once the proxy has one, it
/// terminates TLS itself.
#[tokio::test]
async fn without_a_certificate_tls_is_tunnelled_until_there_is_one() -> TestResult {
    let host = LoopbackHost::reserve()?;
    let listener = tokio::net::TcpListener::bind(host.port(8080)).await?;
    let of_app = SelfSigned::new()?;
    let acceptor = of_app.acceptor(&["http/1.1"])?;
    let app = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let mut stream = acceptor.accept(stream).await?;
        let mut request = vec![0; GET.len()];
        stream.read_exact(&mut request).await?;
        stream.write_all(OK.as_bytes()).await?;
        stream.flush().await?;
        TestResult::Ok(listener)
    });
    let files = Files::none()?;
    let proxy = files.proxy(host.port(8080), &[]).await?;
    wait_for_sample(&proxy, "evenkeel_proxy_certificate_loads_total{result=\"unreadable\"} 1").await?;
    wait_for_sample(&proxy, "evenkeel_proxy_certificate_expiry_timestamp_seconds 0").await?;
    let mut client = Client::connect(proxy.address(), &of_app, &["h2", "http/1.1"]).await?;
    ensure_eq!(client.negotiated().as_deref(), Some("http/1.1"));
    client.send(GET).await?;
    client.expect(OK).await?;
    wait_for_sample(&proxy, "evenkeel_proxy_tunnels_total{kind=\"tls\",source=\"client\",port=\"8080\"} 1").await?;

    let _listener = app.await??;
    let of_proxy = SelfSigned::new()?;
    files.put(&of_proxy)?;
    wait_for_sample(&proxy, "evenkeel_proxy_certificate_loads_total{result=\"served\"} 1").await?;
    Client::connect(proxy.address(), &of_proxy, &["http/1.1"]).await?;
    Ok(())
}

/// Requests on persistent and on new connections, while the certificate is replaced and then becomes unusable.
#[tokio::test]
async fn a_new_certificate_closes_no_connection_and_a_broken_one_is_ignored() -> TestResult {
    let host = LoopbackHost::reserve()?;
    let app = ScriptedApp::bind(host.port(8080)).await?;
    let _answers = Responder::start(app, answer_everything_with(OK));
    let (first, second) = (Arc::new(SelfSigned::new()?), Arc::new(SelfSigned::new()?));
    let files = Files::with(&first)?;
    let proxy = files.proxy(host.port(8080), &[(ProxyOption::MaxRequests, "1000000")]).await?;
    let address = proxy.address();
    let over = Arc::new(AtomicBool::new(false));
    let (until, known, coming) = (Arc::clone(&over), Arc::clone(&first), Arc::clone(&second));
    let load = tokio::spawn(async move {
        let mut staying = Client::connect(address, &known, &[]).await?;
        let mut requests = 0;
        while !until.load(Ordering::Relaxed) {
            staying.send(GET).await?;
            staying.expect(OK).await?;
            // The proxy presents one of the two. A connection that fails for another reason fails with both.
            let mut fresh = match Client::connect(address, &known, &[]).await {
                Ok(client) => client,
                Err(_) => Client::connect(address, &coming, &[]).await?,
            };
            fresh.send(GET).await?;
            fresh.expect(OK).await?;
            requests += 2;
        }
        TestResult::Ok(requests)
    });
    files.put(&second)?;
    let begun = Instant::now();
    while Client::connect(address, &second, &[]).await.is_err() {
        ensure!(begun.elapsed() < TIMEOUT, "the new certificate is not presented");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    // The certificate no longer fits the key.
    fs::write(files.path("tls.crt"), &first.certificate)?;
    wait_for_sample(&proxy, "evenkeel_proxy_certificate_loads_total{result=\"unusable\"} 1").await?;
    Client::connect(address, &second, &[]).await?;
    over.store(true, Ordering::Relaxed);
    let requests = load.await??;
    ensure!(requests > 10, "{requests}");
    Ok(())
}

//! The PROXY protocol: its header is the first that the app receives, on every kind of connection.

use proxy_header::{ParseConfig, ProxyHeader};
use settings::ProxyOption;
use test_support::{Cases, End, Peer, TestResult, ensure, ensure_eq};

use crate::stage::{GET, OK, Stage, close};

/// The length of a version 2 header with IPv4 addresses.
const BINARY_HEADER: usize = 28;
const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn stage(version: &str) -> TestResult<Stage> {
    Stage::with(&[(ProxyOption::ProxyProtocol, version), (ProxyOption::MaxRequests, "2")]).await
}

/// Reads the header with the crate `proxy-header`, and compares it with the client's connection.
async fn expect_header(app: &mut Peer, client: &Peer, stage: &Stage, version: &str) -> TestResult {
    let (from, to) = (client.address()?, stage.proxy.address());
    let line = format!("PROXY TCP4 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port());
    if version == "v1" {
        app.expect(&line).await?;
    }
    let header = if version == "v1" { line.into_bytes() } else { app.read_exactly(BINARY_HEADER).await? };
    let (read, length) = ProxyHeader::parse(&header, ParseConfig::default())?;
    ensure_eq!(length, header.len());
    let addresses = read.proxied_address().map(|ends| (ends.source, ends.destination));
    ensure_eq!(addresses, Some((from, to)));
    Ok(())
}

#[tokio::test]
async fn the_proxy_header_comes_first_on_every_kind_of_connection() -> TestResult {
    let mut cases = Cases::default();
    for version in ["v1", "v2"] {
        let stage = stage(version).await?;
        for (kind, first) in [("HTTP/1", GET), ("HTTP/2", PREFACE), ("a tunnel", "\u{1}not HTTP")] {
            let outcome = async {
                let (mut client, mut app) = stage.pair().await?;
                client.send(first).await?;
                expect_header(&mut app, &client, &stage, version).await?;
                app.expect(first).await?;
                close(client, app).await
            };
            cases.note(format!("{version}, {kind}"), outcome.await);
        }
    }
    cases.verdict()
}

/// Once for each connection and not for each request, also after a connection was retired.
#[tokio::test]
async fn every_connection_has_the_proxy_header_once() -> TestResult {
    let stage = stage("v2").await?;
    for _ in 0..3 {
        let (mut client, mut app) = stage.pair().await?;
        expect_header(&mut app, &client, &stage, "v2").await?;
        for request in 1..=2 {
            client.send(GET).await?;
            app.expect(GET).await?;
            app.send(OK).await?;
            ensure_eq!(client.read_head().await?.announces_close(), request == 2);
            client.expect("ok").await?;
        }
        client.expect_end(End::Fin).await?;
    }
    Ok(())
}

/// The proxy sends the header without waiting for the client's first byte.
#[tokio::test]
async fn an_app_that_sends_first_gets_the_proxy_header_first() -> TestResult {
    let stage = stage("v1").await?;
    let (mut client, mut app) = stage.pair().await?;
    expect_header(&mut app, &client, &stage, "v1").await?;
    app.send("220 ready\r\n").await?;
    client.expect("220 ready\r\n").await?;
    close(client, app).await
}

/// A TCP probe only connects, as the kubelet's own does. It has no client whose address it could send.
#[tokio::test]
async fn a_probe_sends_no_proxy_header() -> TestResult {
    let stage = stage("v1").await?;
    let path = format!("/probe/tcp/{}", stage.app.address().port());
    ensure_eq!(stage.proxy.admin(&path).await?.0, 200);
    let (received, _) = stage.app.accept().await?.read_to_end().await?;
    ensure!(received.is_empty(), "{}", received.escape_ascii());
    Ok(())
}

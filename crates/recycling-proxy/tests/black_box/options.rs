//! Options that no other module tests.

use std::time::Duration;

use settings::{PROXY_PORT, ProxyOption};
use test_support::{LoopbackHost, Peer, ScriptedApp, TestResult};

use crate::stage::{GET, OK, Stage, close, exchange, last_exchange, spawn_proxy};

#[tokio::test]
async fn connections_of_an_opaque_port_are_not_parsed() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::MaxRequests, "1"), (ProxyOption::OpaquePorts, "9,8080")]).await?;
    let (mut client, mut app) = stage.pair().await?;
    for _ in 0..3 {
        exchange(&mut client, &mut app).await?;
    }
    let ambiguous = "GET / HTTP/1.1\nContent-Length: 1, 2\n\n";
    client.send(ambiguous).await?;
    app.expect(ambiguous).await?;
    close(client, app).await
}

#[tokio::test]
async fn every_listener_has_its_own_app() -> TestResult {
    let host = LoopbackHost::reserve()?;
    let apps = [ScriptedApp::bind(host.port(8080)).await?, ScriptedApp::bind(host.port(8081)).await?];
    let listen = [PROXY_PORT, PROXY_PORT + 10].map(|port| host.port(port).to_string());
    let [first, second] = [0, 1].map(|place| apps[place].address().to_string());
    let arguments = ["--listen", &listen[0], "--app", &first, "--listen", &listen[1], "--app", &second];
    let mut process = spawn_proxy(&host, &arguments)?;
    process.line_with("ready").await?;
    for (listen, app) in listen.iter().zip(&apps) {
        let mut client = Peer::connect(listen.parse()?).await?;
        exchange(&mut client, &mut app.accept().await?).await?;
    }
    Ok(())
}

/// An app that listens only on the address of its pod, which is not known when it is deployed.
#[tokio::test]
async fn an_app_given_by_port_is_found_at_the_pods_address() -> TestResult {
    let host = LoopbackHost::reserve()?;
    let app = ScriptedApp::bind(host.port(0)).await?;
    let listen = host.port(PROXY_PORT).to_string();
    let app_port = format!(":{}", app.address().port());
    let mut process = spawn_proxy(&host, &["--listen", &listen, "--app", &app_port])?;
    process.line_with("ready").await?;
    let mut client = Peer::connect(listen.parse()?).await?;
    exchange(&mut client, &mut app.accept().await?).await
}

/// Beyond the cap, clients wait; none is refused.
#[tokio::test]
async fn connections_beyond_max_connections_wait() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::MaxConnections, "2")]).await?;
    let (first, first_app) = stage.pair().await?;
    let (mut second, mut second_app) = stage.pair().await?;
    let mut third = stage.proxy.connect().await?;
    third.send(GET).await?;
    exchange(&mut second, &mut second_app).await?;
    third.expect_silence(Duration::from_millis(300)).await?;
    close(first, first_app).await?;
    let mut app = stage.app.accept().await?;
    app.expect(GET).await?;
    app.send(OK).await?;
    third.expect(OK).await?;
    Ok(())
}

#[tokio::test]
async fn several_threads_serve_requests_and_retire_connections() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::Threads, "4"), (ProxyOption::MaxRequests, "2")]).await?;
    let mut pairs = Vec::new();
    for _ in 0..16 {
        pairs.push(stage.pair().await?);
    }
    for (client, app) in &mut pairs {
        exchange(client, app).await?;
    }
    for (client, app) in &mut pairs {
        last_exchange(client, app).await?;
    }
    Ok(())
}

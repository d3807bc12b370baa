//! Marks, on real connections: nothing outside of the process can set them yet.

use std::net::SocketAddr;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use settings::{ProxySettings, RawOptions};
use test_support::{Peer, Responder, ScriptedApp, TestResult, answer_everything_with, ensure, ensure_eq};
use tokio::net::TcpListener;

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Serves whatever connects.
async fn start(app: SocketAddr) -> TestResult<(Arc<Proxy>, SocketAddr)> {
    let proxy = Arc::new(Proxy::new(&ProxySettings::from_raw(&RawOptions::default())?)?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let of_task = Arc::clone(&proxy);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let place = of_task.memory.admit().await;
            tokio::spawn(serve(client, App::Fixed(app), place, Arc::clone(&of_task)));
        }
    });
    Ok((proxy, address))
}

/// Whether the answer announces the end of the connection.
async fn exchange(client: &mut Peer) -> TestResult<bool> {
    client.send(GET).await?;
    let head = client.read_head().await?;
    client.expect("ok").await?;
    Ok(head.announces_close())
}

#[tokio::test]
async fn a_marked_connection_is_retired_with_its_next_response_and_not_before() -> TestResult {
    let app = ScriptedApp::bind("127.0.0.1:0".parse()?).await?;
    let (proxy, listening) = start(app.address()).await?;
    let responder = Responder::start(app, answer_everything_with(OK));
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Peer::connect(listening).await?;
        ensure!(!exchange(&mut client).await?);
        clients.push(client);
    }
    ensure_eq!(proxy.connections.mark(2), 2);
    clients[0].expect_silence(Duration::from_millis(100)).await?;
    for (number, client) in clients.iter_mut().enumerate() {
        ensure_eq!(exchange(client).await?, number < 2);
    }
    ensure_eq!(responder.requests(), 6);
    let mut metrics = String::new();
    encode(&mut metrics, &proxy.registry)?;
    ensure!(metrics.contains("connections_retired_total{reason=\"balance\"} 2"), "{metrics}");
    // The third is left, and those that have said their end are nobody's any more.
    ensure_eq!(proxy.connections.mark(9), 1);
    Ok(())
}

/// A tunnel cannot be retired, so that a mark on it would be a mark less on another.
#[tokio::test]
async fn tunnels_are_not_marked() -> TestResult {
    let app = ScriptedApp::bind("127.0.0.1:0".parse()?).await?;
    let (proxy, listening) = start(app.address()).await?;
    let mut opaque = Peer::connect(listening).await?;
    let mut opaque_app = app.accept().await?;
    opaque.send("\0").await?;
    opaque_app.expect("\0").await?;
    let mut upgraded = Peer::connect(listening).await?;
    let mut upgraded_app = app.accept().await?;
    upgraded.send(GET).await?;
    upgraded_app.expect(GET).await?;
    let switch = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    upgraded_app.send(switch).await?;
    upgraded.expect(switch).await?;
    upgraded_app.send("bytes").await?;
    upgraded.expect("bytes").await?;
    ensure_eq!(proxy.connections.count(), 2);
    ensure_eq!(proxy.connections.mark(9), 0);
    Ok(())
}

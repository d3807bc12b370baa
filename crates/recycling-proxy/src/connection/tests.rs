//! Marks on real connections.

use std::net::SocketAddr;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use retirement::{Excess, Instruction, PodChange, Tolerance};
use settings::{ProxySettings, RawOptions};
use test_support::{Peer, Responder, ScriptedApp, TestResult, answer_everything_with, ensure, ensure_eq};
use tokio::net::TcpListener;

use super::testing::Parts;
use super::*;
use crate::memory::Memory;
use crate::retire::connections::Connections;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A service that accepts connections, and what a test reads of it.
struct Running {
    connections: Arc<Connections>,
    registry: Registry,
    address: SocketAddr,
}

/// Starts a service for an app at this address.
async fn start(app: SocketAddr) -> TestResult<Running> {
    let settings = ProxySettings::from_raw(&RawOptions::default())?;
    let Parts { service, connections, mut registry } = Parts::new(&settings, app.port());
    let memory = Memory::new(&settings, None, &mut registry);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let slot = memory.admit().await;
            let held = service.hold(app.port(), slot);
            tokio::spawn(serve(client, App::Fixed(app), held, Arc::clone(&service)));
        }
    });
    Ok(Running { connections, registry, address })
}

/// Marks connections for this load, where each has a load of 1. Returns their number.
fn mark(connections: &Connections, load: f64) -> usize {
    let rule = Instruction::new(1.0, 1.0, Tolerance::after(PodChange::default(), 1.0)).unwrap();
    connections.shed(Excess::of(load + 1.0, &rule).unwrap(), 1.0, |_| 0)
}

/// Does one exchange. Returns whether its response announces the end of the connection.
async fn exchange(client: &mut Peer) -> TestResult<bool> {
    client.send(GET).await?;
    let head = client.read_head().await?;
    client.expect("ok").await?;
    Ok(head.announces_close())
}

#[tokio::test]
async fn a_marked_connection_is_retired_with_its_next_response_and_not_before() -> TestResult {
    let app = ScriptedApp::bind("127.0.0.1:0".parse()?).await?;
    let running = start(app.address()).await?;
    let responder = Responder::start(app, answer_everything_with(OK));
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Peer::connect(running.address).await?;
        ensure!(!exchange(&mut client).await?);
        clients.push(client);
    }
    ensure_eq!(mark(&running.connections, 2.0), 2);
    clients[0].expect_silence(Duration::from_millis(100)).await?;
    for (number, client) in clients.iter_mut().enumerate() {
        ensure_eq!(exchange(client).await?, number < 2);
    }
    ensure_eq!(responder.requests(), 6);
    let mut metrics = String::new();
    encode(&mut metrics, &running.registry)?;
    ensure!(metrics.contains("connections_retired_total{reason=\"balance\",protocol=\"http1\",port="), "{metrics}");
    // Only the third is left: connections whose end was announced are not marked again.
    ensure_eq!(mark(&running.connections, 9.0), 1);
    Ok(())
}

/// A tunnel cannot be retired, so a mark on it would be missing on another connection.
#[tokio::test]
async fn tunnels_are_not_marked() -> TestResult {
    let app = ScriptedApp::bind("127.0.0.1:0".parse()?).await?;
    let running = start(app.address()).await?;
    let mut opaque = Peer::connect(running.address).await?;
    let mut opaque_app = app.accept().await?;
    opaque.send("\0").await?;
    opaque_app.expect("\0").await?;
    let mut upgraded = Peer::connect(running.address).await?;
    let mut upgraded_app = app.accept().await?;
    upgraded.send(GET).await?;
    upgraded_app.expect(GET).await?;
    let switch = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    upgraded_app.send(switch).await?;
    upgraded.expect(switch).await?;
    upgraded_app.send("bytes").await?;
    upgraded.expect("bytes").await?;
    ensure_eq!(running.connections.count(), 2);
    ensure_eq!(mark(&running.connections, 9.0), 0);
    Ok(())
}

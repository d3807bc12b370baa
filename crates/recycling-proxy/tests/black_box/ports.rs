//! A port of the proxy that an outbound connection of the pod has when the proxy starts.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::process::Signal;
use settings::{ADMIN_PORT, PROXY_PORT};
use socket2::{Domain, Socket, Type};
use test_support::{LoopbackHost, Peer, Process, ScriptedApp, TestResult, ensure, ensure_eq};

use crate::stage::{exchange, spawn_proxy};

/// A connection whose local port the kernel gave away, to a server of somebody else.
struct Outbound {
    connection: TcpStream,
    server: TcpStream,
    to: SocketAddr,
}

impl Outbound {
    fn with_port(local: SocketAddr) -> TestResult<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let to = listener.local_addr()?;
        // Without SO_REUSEADDR, as a socket that is connected without an own address.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&local.into())?;
        socket.connect(&to.into())?;
        Ok(Self { connection: socket.into(), server: listener.accept()?.0, to })
    }

    /// Closes it from the server's side first, which leaves no `TIME_WAIT` at its local port.
    fn close(mut self) -> TestResult {
        drop(self.server);
        ensure_eq!(self.connection.read(&mut [0])?, 0);
        Ok(())
    }
}

fn proxy(host: &LoopbackHost, app: &ScriptedApp) -> TestResult<Process> {
    spawn_proxy(host, &["--listen", &host.port(PROXY_PORT).to_string(), "--app", &app.address().to_string()])
}

#[tokio::test]
async fn the_proxy_starts_once_an_outbound_connection_frees_its_port() -> TestResult {
    for port in [PROXY_PORT, ADMIN_PORT] {
        let host = LoopbackHost::reserve()?;
        let app = ScriptedApp::bind(host.port(0)).await?;
        let outbound = Outbound::with_port(host.port(port))?;
        let mut process = proxy(&host, &app)?;
        let line = process.line_with("the port is in use").await?;
        let address = host.port(port);
        ensure!(line.contains(&format!("address={address}")), "{line}");
        ensure!(line.contains(&format!("a connection from {address} to {}", outbound.to)), "{line}");
        // No client waits for a proxy that may not come.
        ensure!(TcpStream::connect(host.port(PROXY_PORT)).is_err(), "port {port}: a client was accepted");
        outbound.close()?;
        process.line_with("ready").await?;
        let mut client = Peer::connect(host.port(PROXY_PORT)).await?;
        exchange(&mut client, &mut app.accept().await?).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_waits_for_its_port_ends_by_a_signal() -> TestResult {
    let host = LoopbackHost::reserve()?;
    let app = ScriptedApp::bind(host.port(0)).await?;
    let _outbound = Outbound::with_port(host.port(PROXY_PORT))?;
    let mut process = proxy(&host, &app)?;
    process.line_with("the port is in use").await?;
    process.signal(Signal::TERM)?;
    let (status, output) = process.end().await?;
    ensure!(status.success(), "{status}: {output}");
    Ok(())
}

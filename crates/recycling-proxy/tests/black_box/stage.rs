//! The proxy between a client and an app that the test plays.

use std::process::Command;
use std::time::Duration;

use settings::{ADMIN_PORT, ProxyOption};
use test_support::{End, LoopbackHost, Peer, Process, RecyclingProxy, ScriptedApp, TestResult, ensure, ensure_eq};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_recycling-proxy");

/// A limit that no test reaches.
pub(crate) const UNREACHED: u32 = 1_000_000;

/// Below every timeout of the proxy, and far above the duration of an exchange: what takes longer has waited for a
/// timeout.
pub(crate) const WITHOUT_WAITING: Duration = Duration::from_secs(8);

/// A request.
pub(crate) const GET: &str = "GET /a HTTP/1.1\r\nHost: app\r\n\r\n";
/// A response to [`GET`].
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The app's port on its host.
const APP_PORT: u16 = 8080;

/// A proxy and its app.
pub(crate) struct Stage {
    pub(crate) proxy: RecyclingProxy,
    pub(crate) app: ScriptedApp,
    pub(crate) app_host: LoopbackHost,
}

impl Stage {
    /// Starts a proxy that retires connections after exactly `max_requests`.
    pub(crate) async fn with_limit(max_requests: u32) -> TestResult<Self> {
        Self::with(&[(ProxyOption::MaxRequests, &max_requests.to_string())]).await
    }

    /// Starts a proxy with these options.
    pub(crate) async fn with(options: &[(ProxyOption, &str)]) -> TestResult<Self> {
        let app_host = LoopbackHost::reserve()?;
        let app = ScriptedApp::bind(app_host.port(APP_PORT)).await?;
        let proxy = RecyclingProxy::start(BINARY, app.address(), options).await?;
        Ok(Self { proxy, app, app_host })
    }

    /// Starts a proxy with these options and this limit of open descriptors.
    pub(crate) async fn with_descriptors(descriptors: u32, options: &[(ProxyOption, &str)]) -> TestResult<Self> {
        let app_host = LoopbackHost::reserve()?;
        let app = ScriptedApp::bind(app_host.port(APP_PORT)).await?;
        let proxy = RecyclingProxy::start_with_descriptors(BINARY, app.address(), options, descriptors).await?;
        Ok(Self { proxy, app, app_host })
    }

    /// Opens a client connection. Returns the client's end and the app's.
    pub(crate) async fn pair(&self) -> TestResult<(Peer, Peer)> {
        let client = self.proxy.connect().await?;
        Ok((client, self.app.accept().await?))
    }

    /// Checks that an exchange on a new connection succeeds.
    pub(crate) async fn still_serves(&self) -> TestResult {
        let (mut client, mut app) = self.pair().await?;
        client.send(GET).await?;
        app.expect(GET).await?;
        app.send(OK).await?;
        // With a limit of 1 the response is announced, otherwise not.
        ensure_eq!(client.read_head().await?.status(), Some(200));
        client.expect("ok").await?;
        Ok(())
    }
}

/// Starts a proxy on a host with these further arguments. It may not be ready yet.
pub(crate) fn spawn_proxy(host: &LoopbackHost, arguments: &[&str]) -> TestResult<Process> {
    let mut command = Command::new(BINARY);
    command.args(["run", "--admin", &host.port(ADMIN_PORT).to_string(), "--jitter", "0%"]);
    command.args(["--control", &format!("@evenkeel-test-{}", host.port(0).ip())]);
    command.args(arguments);
    Ok(Process::spawn("recycling-proxy", command)?.repeating_its_output())
}

/// Plays one exchange, whose bytes must be unchanged in both directions.
pub(crate) async fn exchange(client: &mut Peer, app: &mut Peer) -> TestResult {
    client.send(GET).await?;
    app.expect(GET).await?;
    app.send(OK).await?;
    client.expect(OK).await?;
    Ok(())
}

/// Sends the response to a request that the app has received. It must announce close, and a FIN must follow.
pub(crate) async fn last_response(client: &mut Peer, app: &mut Peer) -> TestResult {
    app.send(OK).await?;
    ensure!(client.read_head().await?.announces_close());
    client.expect("ok").await?;
    client.expect_end(End::Fin).await?;
    Ok(())
}

/// Plays the last exchange of a connection.
pub(crate) async fn last_exchange(client: &mut Peer, app: &mut Peer) -> TestResult {
    client.send(GET).await?;
    app.expect(GET).await?;
    last_response(client, app).await
}

/// Closes the connection from the client's side, and then from the app's. Neither receives anything more.
pub(crate) async fn close(mut client: Peer, mut app: Peer) -> TestResult {
    client.half_close().await?;
    app.expect_end(End::Fin).await?;
    drop(app);
    client.expect_end(End::Fin).await?;
    Ok(())
}

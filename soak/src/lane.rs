//! An app and a proxy in front of it. Each has its own address, so that several pairs can run side by side.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use settings::ProxyOption;
use test_support::{LoopbackHost, Peer, Process, RecyclingProxy};

use crate::programs::Programs;

const APP_PORT: u16 = 8080;

/// The beginning of the samples of open connections; the brace ends the name.
pub(crate) const OPEN: &str = "evenkeel_proxy_connections_open{";
const OPENED: &str = "evenkeel_proxy_connections_opened_total";

/// The server to which clients connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The proxy in front of the app.
    Proxy,
    /// The app itself, as if there were no proxy.
    App,
}

/// A running `echo-app`.
pub(crate) struct App {
    address: SocketAddr,
    pub(crate) process: Process,
    _host: LoopbackHost,
}

/// What the app has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Served {
    pub(crate) requests: u64,
    pub(crate) connections: u64,
}

impl App {
    pub(crate) async fn start(binary: &Path) -> Result<Self> {
        let host = LoopbackHost::reserve()?;
        let address = host.port(APP_PORT);
        let mut command = Command::new(binary);
        command.args(["--listen", &address.to_string(), "--name", "echo-app", "--on-term", "exit"]);
        let mut process = Process::spawn("echo-app", command)?;
        process.line_with("listening").await?;
        Ok(Self { address, process, _host: host })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what it has served so far, without the request that this takes.
    pub(crate) async fn served(&self) -> Result<Served> {
        let mut peer = Peer::connect(self.address).await?;
        peer.send("GET /count HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n").await?;
        peer.read_head().await?;
        let (body, _) = peer.read_to_end().await?;
        let mut served: Served = serde_json::from_slice(&body).context("what the app counts")?;
        // Without the connection of this request.
        served.connections -= 1;
        Ok(served)
    }
}

/// An app and its proxy.
pub(crate) struct Lane {
    pub(crate) app: App,
    pub(crate) proxy: RecyclingProxy,
}

impl Lane {
    pub(crate) async fn start(programs: &Programs, options: &[(ProxyOption, &str)]) -> Result<Self> {
        let app = App::start(&programs.app).await?;
        let proxy = RecyclingProxy::start(&programs.proxy, app.address(), options).await?;
        Ok(Self { app, proxy })
    }

    pub(crate) fn address(&self, target: Target) -> SocketAddr {
        match target {
            Target::Proxy => self.proxy.address(),
            Target::App => self.app.address(),
        }
    }

    /// Returns the connections that have been opened to the target so far.
    pub(crate) async fn opened(&self, target: Target) -> Result<u64> {
        match target {
            Target::Proxy => self.metric(OPENED).await,
            Target::App => Ok(self.app.served().await?.connections),
        }
    }

    /// Returns the URL that echoes bodies.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/echo", self.proxy.address())
    }

    /// Returns the sum of the proxy's samples whose names begin with `start`.
    pub(crate) async fn metric(&self, start: &str) -> Result<u64> {
        metric(&self.proxy, start).await
    }
}

/// Returns the sum of the proxy's samples whose names begin with `start`.
pub(crate) async fn metric(proxy: &RecyclingProxy, start: &str) -> Result<u64> {
    let (_, text) = proxy.admin("/metrics").await?;
    let samples = text.lines().filter(|line| line.starts_with(start));
    let values = samples.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()));
    values.sum::<Option<u64>>().with_context(|| format!("{start} is no whole number in\n{text}"))
}

//! The server in front of the app that retires the connections of clients.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use settings::ProxyOption;
use test_support::{LoopbackHost, Peer, Process, RecyclingProxy};
use tokio::time::{Instant, sleep};

use crate::lane::App;
use crate::programs::Programs;

const PORT: u16 = 8081;
const TLS_PORT: u16 = 8443;
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
/// The time within which nginx or Envoy has to listen.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The interval at which this is polled.
const POLL: Duration = Duration::from_millis(20);

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Server {
    Evenkeel,
    Nginx,
    Envoy,
}

/// A running server and the app behind it.
pub(crate) struct Front {
    pub(crate) app: App,
    running: Running,
}

enum Running {
    Evenkeel(RecyclingProxy),
    Other { host: LoopbackHost, _process: Process },
}

impl Server {
    /// Returns its name in the tables.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Evenkeel => "evenkeel",
            Self::Nginx => "nginx",
            Self::Envoy => "Envoy",
        }
    }
}

/// Writes the servers' certificate into the folder.
pub(crate) fn make_certificate(folder: &Path) -> Result<()> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).context("making a certificate")?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join(CERTIFICATE), made.cert.pem())?;
    fs::write(folder.join(KEY), made.signing_key.serialize_pem())?;
    Ok(())
}

impl Front {
    /// Starts an app, and the server that retires a connection after `limit` requests. `folder` has the certificate and
    /// gets the server's files.
    pub(crate) async fn start(server: Server, programs: &Programs, limit: u64, folder: &Path) -> Result<Self> {
        let app = App::start(&programs.app).await?;
        let running = match server {
            Server::Evenkeel => {
                let [limit, certificate, key] =
                    [limit.to_string(), text(&folder.join(CERTIFICATE))?, text(&folder.join(KEY))?];
                let options = [
                    (ProxyOption::MaxRequests, limit.as_str()),
                    (ProxyOption::TlsCert, &certificate),
                    (ProxyOption::TlsKey, &key),
                    (ProxyOption::LogLevel, "error"),
                ];
                Running::Evenkeel(RecyclingProxy::start(&programs.proxy, app.address(), &options).await?)
            }
            Server::Nginx | Server::Envoy => {
                let host = LoopbackHost::reserve()?;
                let command = command(server, programs, &fill(server, &host, app.address(), limit, folder)?, folder)?;
                let mut process = Process::spawn(server.label(), command)?;
                listens(&host, &mut process).await?;
                Running::Other { host, _process: process }
            }
        };
        Ok(Self { app, running })
    }

    /// Returns the origin to which clients send requests.
    pub(crate) fn origin(&self, tls: bool) -> String {
        match (&self.running, tls) {
            (Running::Evenkeel(proxy), true) => format!("https://{}", proxy.address()),
            (Running::Evenkeel(proxy), false) => format!("http://{}", proxy.address()),
            (Running::Other { host, .. }, true) => format!("https://{}", host.port(TLS_PORT)),
            (Running::Other { host, .. }, false) => format!("http://{}", host.port(PORT)),
        }
    }
}

fn command(server: Server, programs: &Programs, configuration: &str, folder: &Path) -> Result<Command> {
    let path = folder.join(format!("{}.conf.yaml", server.label()));
    fs::write(&path, configuration).with_context(|| format!("writing {}", path.display()))?;
    match server {
        Server::Nginx => {
            let mut command = Command::new(Programs::on_path("nginx")?);
            command.arg("-p").arg(folder).arg("-c").arg(path);
            Ok(command)
        }
        Server::Envoy => {
            let mut command = Command::new(programs.installed("http2/envoy/envoy/_bin/envoy")?);
            command.arg("-c").arg(path).args(["--concurrency", "1", "--disable-hot-restart", "-l", "error"]);
            Ok(command)
        }
        Server::Evenkeel => bail!("it has no configuration file"),
    }
}

fn fill(server: Server, host: &LoopbackHost, app: SocketAddr, limit: u64, folder: &Path) -> Result<String> {
    let template = match server {
        Server::Nginx => include_str!("../../peers/nginx.conf"),
        Server::Envoy | Server::Evenkeel => include_str!("../../peers/envoy.yaml"),
    };
    Ok(template
        .replace("@DIR@", &text(folder)?)
        .replace("@LIMIT@", &limit.to_string())
        .replace("@LISTEN@", &host.port(PORT).to_string())
        .replace("@LISTEN_TLS@", &host.port(TLS_PORT).to_string())
        .replace("@HOST@", &host.port(PORT).ip().to_string())
        .replace("@PORT@", &PORT.to_string())
        .replace("@PORT_TLS@", &TLS_PORT.to_string())
        .replace("@APP@", &app.to_string())
        .replace("@APP_HOST@", &app.ip().to_string())
        .replace("@APP_PORT@", &app.port().to_string()))
}

async fn listens(host: &LoopbackHost, process: &mut Process) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < TIMEOUT {
        if !process.is_running() {
            bail!("it exited at its start: {}", process.output());
        }
        if Peer::connect(host.port(PORT)).await.is_ok() {
            return Ok(());
        }
        sleep(POLL).await;
    }
    bail!("it does not listen: {}", process.output())
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_of_a_servers_configuration_is_filled() {
        let host = LoopbackHost::reserve().unwrap();
        for server in [Server::Nginx, Server::Envoy] {
            let text = fill(server, &host, "127.0.0.1:8080".parse().unwrap(), 10, Path::new("/tmp")).unwrap();
            let hole = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            assert_eq!(text.split('@').find(hole), None, "{}", server.label());
        }
    }
}

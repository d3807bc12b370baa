//! The proxies under test: evenkeel's, the byte copy as a lower bound, and proxies in wide use.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::limits;

/// A limit that no connection reaches in a round.
const UNREACHED: u32 = 1_000_000_000;

/// A proxy under test, in the order in which each round visits them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    ByteCopy,
    Evenkeel,
    Nginx,
    Nghttpx,
    HaProxy,
    Envoy,
}

/// The protocol of clients, peers and app. HTTP/2 is without TLS, with prior knowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// How a peer is to be set up.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// The loopback port on which it listens.
    pub(crate) listen: u16,
    /// The loopback port on which the app listens.
    pub(crate) app: u16,
    /// The admin port of evenkeel's proxy, on loopback; 0 for any.
    pub(crate) admin: u16,
    pub(crate) protocol: Protocol,
    /// Requests after which it retires a client connection; `None` for never.
    pub(crate) max_requests: Option<u32>,
    /// A directory of its own.
    pub(crate) dir: PathBuf,
}

impl Peer {
    /// The peers for HTTP/1.1.
    pub(crate) const HTTP1: [Self; 5] = [Self::ByteCopy, Self::Evenkeel, Self::Nginx, Self::HaProxy, Self::Envoy];
    /// The peers for HTTP/2; nginx does not support it towards apps.
    pub(crate) const HTTP2: [Self; 5] = [Self::ByteCopy, Self::Evenkeel, Self::Nghttpx, Self::HaProxy, Self::Envoy];

    /// Writes the configuration of `program`. Returns the command by which it serves in the foreground until SIGTERM.
    pub(crate) fn command(self, program: &Path, setup: &Setup) -> Result<Command> {
        let max_requests = setup.max_requests.unwrap_or(UNREACHED);
        let mut command = Command::new(program);
        match self {
            Self::ByteCopy => {
                let [listen, app] = [setup.listen, setup.app].map(|port| format!("127.0.0.1:{port}"));
                command.args(["byte-copy", "--listen", &listen, "--app", &app]);
            }
            Self::Evenkeel => {
                let [listen, app, admin] =
                    [setup.listen, setup.app, setup.admin].map(|port| format!("127.0.0.1:{port}"));
                let control = setup.dir.join("control");
                command.args(["run", "--listen", &listen, "--app", &app, "--admin", &admin]);
                command.args(["--max-requests", &max_requests.to_string(), "--jitter", "0%"]);
                command.arg("--control").arg(control);
            }
            Self::Nginx => {
                let path = setup.write("nginx.conf", include_str!("../peers/nginx.conf"))?;
                command.arg("-p").arg(&setup.dir).arg("-c").arg(path);
            }
            Self::Nghttpx => {
                refuse_limit(self, setup)?;
                command.arg("--conf=/dev/null").arg(format!("--frontend=127.0.0.1,{};no-tls", setup.listen));
                command.arg(format!("--backend=127.0.0.1,{};;proto=h2", setup.app));
                command.args(["--workers=1", "--single-process", "--accesslog-file=/dev/null", "--log-level=ERROR"]);
            }
            Self::HaProxy => {
                refuse_limit(self, setup)?;
                command.arg("-db").arg("-f").arg(setup.write("haproxy.cfg", include_str!("../peers/haproxy.cfg"))?);
            }
            Self::Envoy => {
                refuse_limit(self, setup)?;
                command.arg("-c").arg(setup.write("envoy.yaml", include_str!("../peers/envoy.yaml"))?);
                command.args(["--concurrency", "1", "--disable-hot-restart", "-l", "error"]);
            }
        }
        Ok(command)
    }
}

fn refuse_limit(peer: Peer, setup: &Setup) -> Result<()> {
    if setup.max_requests.is_some() {
        bail!("{peer} is not set up to retire connections here");
    }
    Ok(())
}

impl Protocol {
    /// Returns these words of a configuration for HTTP/2, and nothing for HTTP/1.1.
    const fn if_http2(self, words: &str) -> &str {
        match self {
            Self::Http1 => "",
            Self::Http2 => words,
        }
    }
}

impl Setup {
    /// Fills a template's `@NAMES@` and writes it into the peer's directory.
    pub(crate) fn write(&self, name: &str, template: &str) -> Result<PathBuf> {
        let files = limits::open_files();
        let text = template
            .replace("@LISTEN@", &self.listen.to_string())
            .replace("@APP@", &self.app.to_string())
            .replace("@PROTO_H2@", self.protocol.if_http2(" proto h2"))
            .replace("@DIR@", &path_text(&self.dir)?)
            .replace("@FILES@", &files.to_string())
            // HAProxy does not start if it cannot have descriptors for this number of connections.
            .replace("@CONNECTIONS@", &limits::relayed_connections().min(11_000).to_string())
            .replace("@MAX_REQUESTS@", &self.max_requests.unwrap_or(UNREACHED).to_string());
        let path = self.dir.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

fn path_text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::ByteCopy => "byte copy",
            Self::Evenkeel => "evenkeel",
            Self::Nginx => "nginx",
            Self::Nghttpx => "nghttpx",
            Self::HaProxy => "HAProxy",
            Self::Envoy => "Envoy",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_of_a_peers_configuration_is_filled() {
        let dir = std::env::temp_dir().join(format!("evenkeel-bench-test-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let protocol = Protocol::Http2;
        let setup = Setup { listen: 1111, app: 2222, admin: 0, protocol, max_requests: Some(10), dir: dir.clone() };
        for (name, template) in [
            ("app", include_str!("../peers/app.nginx.conf")),
            ("nginx", include_str!("../peers/nginx.conf")),
            ("haproxy", include_str!("../peers/haproxy.cfg")),
            ("envoy", include_str!("../peers/envoy.yaml")),
        ] {
            let text = fs::read_to_string(setup.write(name, template).unwrap()).unwrap();
            assert!(text.contains("1111"), "{name}");
            let is_hole = |word: &str| {
                !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
            };
            let rest = text.split('@').find(|word| is_hole(word));
            assert_eq!(rest, None, "{name}");
        }
        fs::remove_dir_all(dir).unwrap();
    }
}

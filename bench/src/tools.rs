//! The programs of a run, and their versions.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::peer::Peer;

const INSTALL: &str = "bench/install-peers.sh installs it";

/// The programs of a run.
#[derive(Debug)]
pub(crate) struct Tools {
    this: PathBuf,
    evenkeel: PathBuf,
    webhook: Option<PathBuf>,
    pub(crate) nginx: PathBuf,
    nghttpx: Option<PathBuf>,
    haproxy: Option<PathBuf>,
    envoy: Option<PathBuf>,
    pub(crate) wrk: PathBuf,
    pub(crate) h2load: PathBuf,
    pub(crate) nghttpd: PathBuf,
}

/// Which webhook program is measured.
#[derive(Debug)]
pub(crate) enum Webhook {
    NotNeeded,
    Given(PathBuf),
    ToBuild,
}

impl Tools {
    /// Finds all programs, and builds evenkeel's if no binary is given. Fails without the apps (nginx, nghttpd) and the
    /// load generators (wrk, h2load).
    pub(crate) fn find(workspace: &Path, evenkeel: Option<PathBuf>, webhook: Webhook) -> Result<Self> {
        let required = |name: &str| on_path(name).with_context(|| format!("{name} is not installed; {INSTALL}"));
        Ok(Self {
            nginx: required("nginx")?,
            wrk: required("wrk")?,
            h2load: required("h2load")?,
            nghttpd: required("nghttpd")?,
            nghttpx: on_path("nghttpx"),
            haproxy: on_path("haproxy"),
            envoy: Some(workspace.join("target/bench-peers/envoy/_bin/envoy"))
                .filter(|path| path.is_file())
                .or_else(|| on_path("envoy")),
            this: env::current_exe().context("finding this program")?,
            evenkeel: evenkeel.map_or_else(|| build(workspace, "recycling-proxy"), Ok)?,
            webhook: match webhook {
                Webhook::NotNeeded => None,
                Webhook::Given(path) => Some(path),
                Webhook::ToBuild => Some(build(workspace, "evenkeel-webhook")?),
            },
        })
    }

    /// Returns the program of a peer.
    pub(crate) fn path_of(&self, peer: Peer) -> Result<&Path> {
        let found = match peer {
            Peer::ByteCopy => Some(&self.this),
            Peer::Evenkeel => Some(&self.evenkeel),
            Peer::Nginx => Some(&self.nginx),
            Peer::Nghttpx => self.nghttpx.as_ref(),
            Peer::HaProxy => self.haproxy.as_ref(),
            Peer::Envoy => self.envoy.as_ref(),
        };
        found.map(PathBuf::as_path).with_context(|| format!("not installed; {INSTALL}"))
    }

    /// Returns the webhook program, or this one for the bare webhook.
    pub(crate) fn webhook(&self, floor: bool) -> Result<&Path> {
        let found = if floor { Some(&self.this) } else { self.webhook.as_ref() };
        found.map(PathBuf::as_path).context("no webhook was built")
    }

    /// Returns the version that a peer reports of itself, such as `1.22.1`.
    pub(crate) fn version_of(&self, peer: Peer) -> Result<String> {
        let flag = if peer == Peer::Nginx || peer == Peer::HaProxy { "-v" } else { "--version" };
        let output = Command::new(self.path_of(peer)?).arg(flag).output()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        version_in(&text).with_context(|| format!("no version in {text:?}"))
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian installs servers in folders that are often not in a user's PATH.
    let places = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    places.map(|place| place.join(name)).find(|program| program.is_file())
}

/// Builds the program as it is in its image, and returns its path.
fn build(workspace: &Path, program: &str) -> Result<PathBuf> {
    eprintln!("building {program} …");
    let status = Command::new("make")
        .args(["--silent", "static"])
        .arg(format!("STATIC_BINARIES={program}"))
        .current_dir(workspace)
        .status()
        .context("starting make")?;
    if !status.success() {
        bail!("{program} does not build; repair it, or give a binary of it by a flag (see --help)");
    }
    Ok(workspace.join("target/static").join(program))
}

/// Returns the first word that looks like a version, alone or after a slash.
fn version_in(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || c == '/');
    words
        .map(|word| word.split('-').next().unwrap_or(word))
        .find(|word| word.contains('.') && word.split('.').all(|part| part.parse::<u32>().is_ok()))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_output_of_each_peer() {
        for (text, version) in [
            ("nginx version: nginx/1.22.1\n", "1.22.1"),
            ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n", "2.6.12"),
            ("\nenvoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL\n", "1.40.0"),
            ("nghttpx nghttp2/1.52.0\n", "1.52.0"),
            ("recycling-proxy 0.1.0\n", "0.1.0"),
        ] {
            assert_eq!(version_in(text).as_deref(), Some(version));
        }
        assert_eq!(version_in("none at all"), None);
    }
}

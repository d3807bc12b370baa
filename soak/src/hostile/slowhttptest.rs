//! slowhttptest's four modes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::legitimate::Beside;
use crate::lane::{Lane, Target};

/// The time within which an attack must have its connections.
const RAMP: Duration = Duration::from_mins(1);

/// A mode of slowhttptest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    arguments: &'static [&'static str],
    path: &'static str,
}

pub(crate) const SLOW_HEADS: Mode = Mode { arguments: &["-H", "-i", "2", "-x", "24"], path: "/" };
pub(crate) const SLOW_BODIES: Mode =
    Mode { arguments: &["-B", "-i", "2", "-s", "8192", "-x", "10", "-t", "POST"], path: "/echo" };
pub(crate) const RANGES: Mode = Mode { arguments: &["-R", "-a", "10", "-b", "3000"], path: "/" };
/// A small receive window, of which a few bytes are read each second. The response is longer than the socket buffers,
/// so that a slow reader keeps its connection.
pub(crate) const SLOW_READING: Mode =
    Mode { arguments: &["-X", "-w", "512", "-y", "1024", "-n", "1", "-z", "32"], path: "/bytes/20000000" };

/// The program, and its number of connections.
#[derive(Clone, Debug)]
pub(crate) struct Slowhttptest {
    pub(crate) program: PathBuf,
    pub(crate) connections: u32,
}

/// A running attack, which ends when this value is dropped.
#[derive(Debug)]
pub(crate) struct Attacker {
    _process: Child,
}

impl Mode {
    fn option(self) -> &'static str {
        self.arguments.first().copied().unwrap_or_default()
    }

    /// Starts the attack, and waits until it has its connections.
    pub(crate) async fn begin(self, lane: &Lane, target: Target, with: &Slowhttptest) -> Result<Attacker> {
        let before = lane.opened(target).await?;
        let wanted = u64::from(with.connections) * 9 / 10;
        let mut process = self.command(lane.address(target), with).spawn()?;
        let begun = Instant::now();
        // A connection of the ranges attack ends with its response.
        while lane.opened(target).await? < before + wanted {
            if let Some(status) = process.try_wait()? {
                bail!("slowhttptest {} exited before it had opened its connections: {status}", self.option());
            }
            if begun.elapsed() > RAMP {
                bail!("slowhttptest {} did not open {wanted} connections within {RAMP:?}", self.option());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Attacker { _process: process })
    }

    fn command(self, to: SocketAddr, with: &Slowhttptest) -> Command {
        let mut command = Command::new(&with.program);
        let connections = with.connections.to_string();
        // -r: connections per second; -l: duration in seconds, far longer than a window; -p: timeout of a probe in
        // seconds.
        command.args(["-c", &connections, "-r", &connections, "-l", "240", "-p", "10"]);
        command.args(self.arguments).args(["-u", &format!("http://{to}{}", self.path)]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        command
    }
}

impl Beside for Attacker {}

//! A process of the benchmark: it is ready when it answers, and ends with its owner.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock;
use crate::load::exchange;
use crate::peer::Protocol;

/// How long a process may take until its first response.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long it may take to end after SIGTERM.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// The interval at which a starting process is polled. It bounds the error of a measured start.
const POLL: Duration = Duration::from_micros(200);

/// A server on a loopback port. It is ended when this value is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    port: u16,
    start_to_ready: Duration,
}

impl Running {
    /// Starts a server and waits for its first response. Its output goes to the file `log`; the error has the end of
    /// the file if the server never answers.
    pub(crate) fn start(command: &mut Command, protocol: Protocol, port: u16, log: &Path) -> Result<Self> {
        Self::start_until(command, port, log, || exchange::once(protocol, port).map(drop))
    }

    /// Does the same with another request, `exchange`, which succeeds when the server is ready.
    pub(crate) fn start_until(
        command: &mut Command,
        port: u16,
        log: &Path,
        exchange: impl Fn() -> Result<()>,
    ) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let begun = clock::now();
        let child = command.spawn().with_context(|| format!("starting {}", command.get_program().display()))?;
        let mut running = Self { child, port, start_to_ready: Duration::ZERO };
        while exchange().is_err() {
            if let Some(status) = running.child.try_wait()? {
                bail!("it exited before it answered: {status}: {}", end_of(log));
            }
            if begun.elapsed() > TIMEOUT {
                bail!("no answer within {TIMEOUT:?}: {}", end_of(log));
            }
            thread::sleep(POLL);
        }
        running.start_to_ready = begun.elapsed();
        Ok(running)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the time from `fork` to the first whole response.
    pub(crate) fn start_to_ready(&self) -> Duration {
        self.start_to_ready
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM first: nginx's master ends its worker only on SIGTERM.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let is_signalled = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let deadline = clock::now() + SHUTDOWN_TIMEOUT;
        while is_signalled && clock::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn end_of(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" / ")
}

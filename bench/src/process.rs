//! A process of the benchmark: started, awaited until it answers, ended with its owner.

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

/// How long a process may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take to end after SIGTERM.
const FAREWELL: Duration = Duration::from_secs(5);
/// The pause between two questions whether it answers; bounds the error of a measured start.
const POLL: Duration = Duration::from_micros(200);

/// A server on a port of loopback. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    port: u16,
    start_to_ready: Duration,
}

impl Running {
    /// Starts a server and waits for its first answer. What it prints goes to the file `log`, whose end is in the error
    /// if it never answers.
    pub(crate) fn start(command: &mut Command, protocol: Protocol, port: u16, log: &Path) -> Result<Self> {
        Self::start_until(command, port, log, || exchange::once(protocol, port).map(drop))
    }

    /// Returns the same, where the first answer is that to this question.
    pub(crate) fn start_until(
        command: &mut Command,
        port: u16,
        log: &Path,
        ask: impl Fn() -> Result<()>,
    ) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let begun = clock::now();
        let child = command.spawn().with_context(|| format!("starting {}", command.get_program().display()))?;
        let mut running = Self { child, port, start_to_ready: Duration::ZERO };
        while ask().is_err() {
            if let Some(status) = running.child.try_wait()? {
                bail!("it exited before it answered: {status}: {}", end_of(log));
            }
            if begun.elapsed() > PATIENCE {
                bail!("no answer within {PATIENCE:?}: {}", end_of(log));
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

    /// From `fork` to the first whole answer through it.
    pub(crate) fn start_to_ready(&self) -> Duration {
        self.start_to_ready
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM first: nginx's master takes its worker along only when it is asked.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let deadline = clock::now() + FAREWELL;
        while asked && clock::now() < deadline {
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

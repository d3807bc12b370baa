//! Programs under test.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{sleep, timeout};

use crate::unexpected::{Excerpt, TIMEOUT, Unexpected};

/// The interval at which conditions are polled that cannot be awaited.
const POLL: Duration = Duration::from_millis(5);

/// A running program; killed and waited for when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    repeats_output: bool,
}

impl Process {
    /// Starts a program without input; its output and errors are kept.
    pub fn spawn(name: impl Into<String>, mut command: Command) -> Result<Self, Unexpected> {
        let name = name.into();
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawned = command.spawn();
        let mut child = spawned.map_err(|source| Unexpected::Io { who: name.clone(), what: "start", source })?;
        let output = Arc::new(Mutex::new(String::new()));
        let mut readers = Vec::new();
        readers.extend(child.stdout.take().map(|pipe| keep(pipe, &output)));
        readers.extend(child.stderr.take().map(|pipe| keep(pipe, &output)));
        Ok(Self { name, child, output, readers, repeats_output: false })
    }

    /// Prints the program's output when it is dropped. Test runners show it below a test that fails, and not otherwise.
    #[must_use]
    pub fn repeating_its_output(mut self) -> Self {
        self.repeats_output = true;
        self
    }

    /// Does not print the program's output when it is dropped.
    #[must_use]
    pub fn keeping_its_output(mut self) -> Self {
        self.repeats_output = false;
        self
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns everything that it printed so far, output and errors together.
    pub fn output(&self) -> String {
        lock(&self.output).clone()
    }

    /// Waits for a line with `text` in it and returns the line.
    pub async fn line_with(&mut self, text: &str) -> Result<String, Unexpected> {
        let search = async {
            loop {
                // Before the output is read, so that the last lines of a process are not missed.
                let ended = self.child.try_wait().ok().flatten().is_some();
                if ended {
                    self.readers.drain(..).for_each(|reader| drop(reader.join()));
                }
                let found = self.output().lines().find(|line| line.contains(text)).map(str::to_owned);
                if found.is_some() || ended {
                    return found;
                }
                sleep(POLL).await;
            }
        };
        let found = timeout(TIMEOUT, search).await.ok().flatten();
        found.ok_or_else(|| self.silent(&format!("a line with {text:?}")))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<(), Unexpected> {
        let pid = Pid::from_child(&self.child);
        let io =
            |errno: rustix::io::Errno| Unexpected::Io { who: self.name.clone(), what: "signal", source: errno.into() };
        kill_process(pid, signal).map_err(io)
    }

    /// Returns whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it ends and returns what it printed, too.
    pub async fn end(&mut self) -> Result<(ExitStatus, String), Unexpected> {
        let waiting = async {
            loop {
                match self.child.try_wait() {
                    Ok(Some(status)) => return status,
                    // An error does not go away: the timeout below ends the wait.
                    Ok(None) | Err(_) => sleep(POLL).await,
                }
            }
        };
        let Ok(status) = timeout(TIMEOUT, waiting).await else { return Err(self.silent("its end")) };
        self.readers.drain(..).for_each(|reader| drop(reader.join()));
        Ok((status, self.output()))
    }

    fn silent(&self, what: &str) -> Unexpected {
        let (who, what) = (self.name.clone(), what.to_owned());
        Unexpected::Silence { who, what, had: Excerpt::new(self.output().as_bytes()) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.readers.drain(..).for_each(|reader| drop(reader.join()));
        if self.repeats_output {
            for line in self.output().lines() {
                println!("{}: {line}", self.name);
            }
        }
    }
}

fn keep(pipe: impl Read + Send + 'static, output: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut lines = BufReader::new(pipe);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            lock(&output).push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

fn lock(output: &Mutex<String>) -> MutexGuard<'_, String> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn("sh", command).unwrap()
    }

    #[tokio::test]
    async fn output_and_exit_status_of_a_process_are_kept() {
        let (status, output) = shell("echo out; echo err >&2; exit 3").end().await.unwrap();
        assert_eq!(status.code(), Some(3));
        assert!(output.contains("out\n") && output.contains("err\n"), "{output}");
    }

    #[tokio::test]
    async fn waiting_for_a_line_fails_as_soon_as_the_process_ends() {
        let mut process = shell("echo other");
        assert_eq!(process.line_with("the").await.unwrap(), "other");
        assert!(process.line_with("missing").await.is_err());
    }

    #[tokio::test]
    async fn signals_reach_the_process() {
        let mut process = shell("trap 'echo caught; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
        process.line_with("ready").await.unwrap();
        assert!(process.is_running());
        process.signal(Signal::TERM).unwrap();
        let (status, output) = process.end().await.unwrap();
        assert!(status.success() && output.contains("caught"), "{output}");
    }
}

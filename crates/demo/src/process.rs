//! A program that the demo runs. It is killed when the demo ends, also by Ctrl-C.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

/// A running program, which is killed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with these arguments and nothing but this environment, as a container does.
    pub(crate) fn spawn(
        name: &str,
        program: &Path,
        args: &[String],
        env: &[(String, String)],
        logs: &Path,
    ) -> Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(program)
            .args(args)
            .env_clear()
            .envs(env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Fails with the end of the program's log if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended by itself ({status}); its last lines:\n{}", self.name, self.last_lines());
        }
        Ok(())
    }

    /// Ends it and waits until it is gone.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("cannot stop {}", self.name))
    }

    /// Returns the end of its log, indented.
    pub(crate) fn last_lines(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(10)).map(|line| format!("    {line}"));
        last.collect::<Vec<String>>().join("\n")
    }
}

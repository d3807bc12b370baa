//! The programs of the suites.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::process::Command;
use tokio::time::timeout;

/// Returns a program that `conformance/install.sh` has brought, ready for its arguments.
pub fn tool(name: &str) -> anyhow::Result<std::process::Command> {
    brought(name).map(std::process::Command::new)
}

/// Returns a script for Node that `conformance/install.sh` has put beside the packages that it needs, ready for its
/// arguments.
pub fn node(script: &str) -> anyhow::Result<std::process::Command> {
    let mut command = std::process::Command::new("node");
    command.arg(brought(script)?);
    Ok(command)
}

fn brought(name: &str) -> anyhow::Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/conformance").join(name);
    ensure!(path.is_file(), "{name} is not there: conformance/install.sh brings it, and 'make conformance' calls that");
    Ok(path)
}

/// How a program ended that ran to its end by itself.
#[derive(Debug)]
pub struct Ended {
    /// Whether it says that all is well.
    pub success: bool,
    /// What it printed.
    pub output: String,
    /// What it complained of.
    pub errors: String,
}

/// Runs a program to its end; kills one that takes longer than `limit` and returns an error.
pub async fn run(command: std::process::Command, limit: Duration) -> anyhow::Result<Ended> {
    let name = command.get_program().to_string_lossy().into_owned();
    let arguments = command.get_args().map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    let mut command = Command::from(command);
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let Ok(ended) = timeout(limit, running).await else {
        bail!("{name} {arguments}: did not end within {limit:?}");
    };
    let ended = ended.with_context(|| format!("starting {name}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ended { success: ended.status.success(), output: text(&ended.stdout), errors: text(&ended.stderr) })
}

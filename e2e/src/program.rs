//! Programs that users of a cluster run.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// Runs a program in a namespace, with this input. Returns its output; the error has its standard error.
pub fn run(namespace: &str, program: &str, arguments: &[&str], input: Option<&str>) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.args(["--namespace", namespace]).args(arguments);
    finish(command, input, &format!("{program} {}", arguments.join(" ")))
}

/// Runs the `evenkeel` that `make e2e` has built. Returns its output.
pub fn evenkeel(arguments: &[&str]) -> anyhow::Result<String> {
    finish(built(arguments)?, None, &format!("evenkeel {}", arguments.join(" ")))
}

/// Does the same for a command that may fail. Returns its exit code and its output.
pub fn evenkeel_finds(arguments: &[&str]) -> anyhow::Result<(i32, String)> {
    let output = built(arguments)?.output().context("evenkeel cannot be run")?;
    let code = output.status.code().context("evenkeel was killed")?;
    println!("  evenkeel {}: {code}{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok((code, String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Runs a program with this input. Returns its output.
pub fn fed(program: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    finish(command, Some(input), &format!("{program} {}", arguments.join(" ")))
}

/// Returns the path of the workspace's `evenkeel`: in the folder of the profile, which has `balance-figures`, too, and
/// below which Cargo puts tests.
pub fn path_of_evenkeel() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folders = own.ancestors().skip(1).take(2);
    folders.map(|folder| folder.join("evenkeel")).find(|program| program.is_file()).with_context(|| {
        format!("evenkeel is not beside {}: `make e2e` and `make balance-figures` build it", own.display())
    })
}

fn built(arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(path_of_evenkeel()?);
    command.args(arguments);
    Ok(command)
}

fn finish(mut command: Command, input: Option<&str>, shown: &str) -> anyhow::Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().with_context(|| {
        format!(
            "{shown}: cannot be run: see https://kubernetes.io/docs/tasks/tools and https://helm.sh/docs/intro/install"
        )
    })?;
    let mut stdin = running.stdin.take().context("it was piped")?;
    stdin.write_all(input.unwrap_or_default().as_bytes())?;
    drop(stdin);
    let output = running.wait_with_output()?;
    ensure!(output.status.success(), "{shown}: {}", String::from_utf8_lossy(&output.stderr));
    println!("  {shown}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

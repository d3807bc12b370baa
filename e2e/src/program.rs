//! Programs that the users of a cluster run.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// Runs a program in a namespace, with this input, and waits for it; what it printed. Where it fails, the error has what it said.
pub fn run(namespace: &str, program: &str, arguments: &[&str], input: Option<&str>) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.args(["--namespace", namespace]).args(arguments);
    finish(command, input, &format!("{program} {}", arguments.join(" ")))
}

/// Runs `evenkeel` as it is built from this workspace.
pub fn evenkeel(arguments: &[&str]) -> anyhow::Result<String> {
    finish(of_workspace(arguments), None, &format!("evenkeel {}", arguments.join(" ")))
}

/// The same, where it need not succeed: its exit code, and what it printed.
pub fn evenkeel_finds(arguments: &[&str]) -> anyhow::Result<(i32, String)> {
    let output = of_workspace(arguments).output().context("cargo cannot be run")?;
    let code = output.status.code().context("evenkeel was killed")?;
    println!("  evenkeel {}: {code}{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok((code, String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn of_workspace(arguments: &[&str]) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--locked", "--package", "cli", "--bin", "evenkeel", "--"]).args(arguments);
    command
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

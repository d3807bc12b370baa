//! `evenkeel completion SHELL`.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap_complete::Shell;

use crate::plugin::Name;

/// Print a completion script for your shell.
#[derive(clap::Args)]
#[command(after_help = "Example: evenkeel completion bash > /etc/bash_completion.d/evenkeel")]
pub(crate) struct Args {
    /// The shell to complete in.
    shell: Shell,
}

/// Writes the script to standard output.
pub(crate) fn run(args: &Args, name: Name) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut name.command(), name.file(), &mut script);
    io::stdout().lock().write_all(&script).context("standard output cannot be written")?;
    Ok(ExitCode::SUCCESS)
}

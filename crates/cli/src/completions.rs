//! `evenkeel completions SHELL`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

/// Print a completion script for your shell.
#[derive(clap::Args)]
#[command(after_help = "Example: evenkeel completions bash > /etc/bash_completion.d/evenkeel")]
pub(crate) struct Args {
    /// The shell to complete in.
    shell: Shell,
}

/// Writes the script to standard output.
pub(crate) fn run(args: &Args) -> ExitCode {
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "evenkeel", &mut std::io::stdout());
    ExitCode::SUCCESS
}

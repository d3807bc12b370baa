//! What every command line does alike: how it ends without a command, and completions.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;
use settings::EXIT_USAGE;

/// Prints what clap has to say: help and version to standard output with 0, everything else to standard error with 64.
pub fn usage(said: &clap::Error) -> ExitCode {
    // A closed output is no reason for another message.
    let _ = said.print();
    if said.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
}

/// Prints a script that completes `command` in this shell. A closed output is no error.
pub fn print_completions(shell: Shell, mut command: Command) {
    let (name, mut script) = (command.get_name().to_owned(), Vec::new());
    clap_complete::generate(shell, &mut command, name, &mut script);
    let _ = io::stdout().lock().write_all(&script);
}

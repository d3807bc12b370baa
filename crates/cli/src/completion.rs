//! `evenkeel completion SHELL`, and what kubectl asks to complete `kubectl evenkeel`.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap_complete::Shell;
use clap_complete::engine::{CompletionCandidate, complete};

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

/// Writes what can come next, as kubectl asks a `kubectl_complete-evenkeel` for it: its arguments are the words behind
/// `kubectl evenkeel`, of which the last is being typed and may be empty.
pub(crate) fn for_kubectl(words: impl IntoIterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let words: Vec<OsString> = std::iter::once(Name::Plugin.file().into()).chain(words).collect();
    let last = words.len().saturating_sub(1);
    let folder = env::current_dir().ok();
    let found = complete(&mut Name::Plugin.command(), words, last, folder.as_deref())?;
    io::stdout().lock().write_all(of_cobra(&found).as_bytes()).context("standard output cannot be written")?;
    Ok(ExitCode::SUCCESS)
}

/// The shell completes no file names by itself (`ShellCompDirectiveNoFileComp` of cobra).
const NO_FILES: u8 = 4;
/// It puts no space behind the word (`ShellCompDirectiveNoSpace`).
const NO_SPACE: u8 = 2;

/// Returns candidates in the form of the library cobra, which kubectl is made with: a line for each, with its help
/// behind a tab, and a last one with the number of what the shell is to do.
fn of_cobra(found: &[CompletionCandidate]) -> String {
    let mut text = String::new();
    let mut directive = NO_FILES;
    for candidate in found.iter().filter(|candidate| !candidate.is_hide_set()) {
        let word = candidate.get_value().to_string_lossy();
        if word.ends_with(['/', '=']) {
            directive = NO_FILES | NO_SPACE;
        }
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = match help.lines().next() {
            Some(help) => writeln!(text, "{word}\t{help}"),
            None => writeln!(text, "{word}"),
        };
    }
    let _ = writeln!(text, ":{directive}");
    text
}

//! By which name the program was called: its own, or as a plugin of kubectl, which runs `kubectl-evenkeel` for `kubectl
//! evenkeel`.

use std::ffi::OsStr;
use std::path::Path;

use clap::{Command, CommandFactory as _};

/// The file that kubectl looks for.
const FILE: &str = "kubectl-evenkeel";
/// The file that it runs to complete a line with `kubectl evenkeel`.
const COMPLETION_FILE: &str = "kubectl_complete-evenkeel";

/// A name of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// `evenkeel`.
    Own,
    /// `kubectl evenkeel`.
    Plugin,
    /// What kubectl runs to complete that.
    PluginCompletion,
}

impl Name {
    /// Returns the name by which the first argument, the program's path, was called.
    pub(crate) fn of(program: Option<&OsStr>) -> Self {
        let file = program.and_then(|program| Path::new(program).file_stem());
        match file.and_then(OsStr::to_str) {
            Some(FILE) => Self::Plugin,
            Some(COMPLETION_FILE) => Self::PluginCompletion,
            Some(_) | None => Self::Own,
        }
    }

    /// Returns the name of the file, as which shells and manual pages know the program.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Own => "evenkeel",
            Self::Plugin => FILE,
            Self::PluginCompletion => COMPLETION_FILE,
        }
    }

    /// Returns the command line, whose help says the name by which it was called.
    pub(crate) fn command(self) -> Command {
        let command = crate::Cli::command();
        match self {
            Self::Own => command,
            Self::Plugin | Self::PluginCompletion => {
                command.name(FILE).bin_name("kubectl evenkeel").display_name(FILE).mut_subcommands(|command| {
                    match command.get_after_help().map(ToString::to_string) {
                        Some(help) => command.after_help(as_plugin(&help)),
                        None => command,
                    }
                })
            }
        }
    }
}

/// Returns examples with the name that is typed: where a line or a part of a pipe begins with the program's own.
fn as_plugin(help: &str) -> String {
    ["  ", "| ", "Example: "].iter().fold(help.to_owned(), |help, before| {
        help.replace(&format!("{before}evenkeel "), &format!("{before}kubectl evenkeel "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_has_the_name_of_its_file() {
        for (program, name) in [
            ("kubectl-evenkeel", Name::Plugin),
            ("/home/me/.krew/bin/kubectl-evenkeel", Name::Plugin),
            ("kubectl-evenkeel.exe", Name::Plugin),
            ("/usr/local/bin/kubectl_complete-evenkeel", Name::PluginCompletion),
            ("/usr/local/bin/evenkeel", Name::Own),
            ("evenkeel-2", Name::Own),
        ] {
            assert_eq!(Name::of(Some(OsStr::new(program))), name, "{program}");
        }
        assert_eq!(Name::of(None), Name::Own);
    }

    #[test]
    fn help_shows_the_command_as_it_is_typed() {
        let mut command = Name::Plugin.command();
        command.build();
        assert!(command.render_help().to_string().contains("Usage: kubectl evenkeel <COMMAND>"));
        for subcommand in command.get_subcommands_mut() {
            let name = subcommand.get_name().to_owned();
            let help = subcommand.render_long_help().to_string();
            if name != "help" {
                assert!(help.contains(&format!("Usage: kubectl evenkeel {name}")), "{help}");
            }
            let own = help
                .lines()
                .map(str::trim)
                .filter(|line| line.starts_with("evenkeel ") || line.contains("| evenkeel "));
            assert_eq!(own.collect::<Vec<_>>(), Vec::<&str>::new(), "{name}");
        }
        assert!(Name::Own.command().render_help().to_string().contains("Usage: evenkeel <COMMAND>"));
    }
}

//! `evenkeel man FOLDER`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::exit::{Blame, OrBlame as _};
use crate::plugin::Name;

/// Write a manual page for each command into a folder.
#[derive(clap::Args)]
#[command(after_help = "\
Example: evenkeel man /usr/local/share/man/man1

Exit codes:
  0   the pages were written
  66  the folder cannot be written to")]
pub(crate) struct Args {
    /// A folder that exists, such as one of MANPATH.
    folder: PathBuf,
}

/// Writes the pages.
pub(crate) fn run(args: &Args, name: Name) -> anyhow::Result<ExitCode> {
    let folder = args.folder.display();
    clap_mangen::generate_to(name.command(), &args.folder)
        .with_context(|| format!("{folder} cannot be written to"))
        .or_blame(Blame::Input)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_man_page_under_the_programs_name() {
        for (name, page, says) in [
            (Name::Own, "evenkeel-status.1", "evenkeel status"),
            (Name::Plugin, "kubectl-evenkeel-status.1", "kubectl evenkeel status"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let args = Args { folder: folder.path().to_owned() };
            assert_eq!(run(&args, name).unwrap(), ExitCode::SUCCESS);
            let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
            assert!(text.contains(says), "{text}");
            for command in name.command().get_subcommands() {
                let page = folder.path().join(format!("{}-{}.1", name.file(), command.get_name()));
                assert!(page.exists(), "{}", page.display());
            }
        }
        let absent = Args { folder: "/nonexistent/folder".into() };
        assert!(run(&absent, Name::Own).unwrap_err().to_string().contains("/nonexistent/folder cannot be written to"));
    }
}

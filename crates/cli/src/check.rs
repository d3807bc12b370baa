//! `evenkeel check`: finds why recycling is not there, or has no effect.
//!
//! ```text
//! files ───┐                ┌─ rules of manifests ─┐
//! cluster ─┴▶ objects ──────┤                      ├─▶ checked ─▶ text, table, JSON
//!             readings ─────┴─ rules of live pods ─┘
//! ```
//!
//! What is injected, and why not, is decided by crate `inject` alone.

mod checked;
mod finding;
mod objects;
mod report;
mod rules;
mod scope;
mod workload;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::exit::{Blame, OrBlame as _};
use crate::manifests::{Source, documents};
use checked::Checked;
use objects::Objects;
use report::Colour;
use scope::Scope;

/// Find out why recycling is not there, or has no effect.
///
/// With -f it applies the rules that need no cluster to one stream of manifests: Deployments with their Services, autoscalers, Namespaces
/// and network policies. Give it all of them together, as in CI.
///
/// Each finding is a line: ✓ it is as it should be, ! it may be meant, ✗ mend it. The word in brackets is the anchor in
/// docs/TROUBLESHOOTING.md.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  helm template shop ./chart | evenkeel check -f -
  evenkeel check -R -f manifests/ --strict

Exit codes:
  0   nothing is to be mended; there may be warnings
  1   there are warnings, and --strict was given; or the check could not be done
  2   something is to be mended
  64  the command line cannot be used
  65  an input is neither YAML nor JSON
  66  an input cannot be read")]
pub(crate) struct Args {
    /// A manifest, a folder of them (*.json, *.yaml, *.yml), or - for standard input; may repeat.
    #[arg(short, long = "filename", value_name = "FILE|FOLDER", required = true)]
    files: Vec<Source>,

    /// Read the folders in a folder, too.
    #[arg(short = 'R', long, requires = "files")]
    recursive: bool,

    /// Exit with 1 if there are warnings.
    #[arg(long)]
    strict: bool,

    /// The form of what is printed; left out, lines for people.
    #[arg(short, long, value_enum)]
    output: Option<Form>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Form {
    /// One JSON object.
    Json,
}

/// Checks manifests.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let objects = read(&args.files, args.recursive)?;
    let scope = Scope::default();
    let workloads = checked::workloads(&objects, &scope);
    let checked = checked::checked(&workloads, &objects, &scope);
    print(&checked, args)?;
    Ok(checked.code(args.strict))
}

fn read(files: &[Source], recursive: bool) -> anyhow::Result<Objects> {
    let mut objects = Objects::default();
    for source in files {
        for input in source.inputs(recursive)? {
            let text = input.read()?;
            let stream = documents::read(&text).with_context(|| input.to_string()).or_blame(Blame::Data)?;
            stream.documents.into_iter().filter(|it| !it.value.is_null()).for_each(|it| objects.add(it.value));
        }
    }
    Ok(objects)
}

fn print(checked: &Checked, args: &Args) -> anyhow::Result<()> {
    let text = match args.output {
        Some(Form::Json) => format!("{}\n", report::json::json(checked)),
        None => report::text::text(checked, false, colour()),
    };
    io::stdout().lock().write_all(text.as_bytes()).context("standard output cannot be written")
}

/// Colours are for terminals, and where nobody says otherwise (no-color.org).
fn colour() -> Colour {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stdout().is_terminal() && !unwanted { Colour::Ansi } else { Colour::Never }
}

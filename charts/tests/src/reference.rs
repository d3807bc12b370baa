//! The chart's README: what people read of the values.

use crate::values::Entry;

const HEAD: &str = "\
<!-- Generated from values.yaml by `make generate`. -->
# The chart `evenkeel`
Installs the admission webhook of [evenkeel](../../README.md), which puts a recycling proxy beside the apps that ask for
one by an annotation. [INSTALL.md](../../docs/INSTALL.md) says how to install, upgrade and uninstall it.

Each value comes with the reason for its default. A value that is not named here is refused.
";

/// Returns the page.
pub fn page(entries: &[Entry]) -> String {
    entries.iter().fold(HEAD.to_owned(), |page, entry| page + &paragraph(entry))
}

fn paragraph(entry: &Entry) -> String {
    let (name, default, comment) = (entry.name(), &entry.default, &entry.comment);
    match (entry.path.len(), entry.is_group) {
        (1, true) => format!("\n## `{name}`\n{comment}\n\n"),
        (1, false) => format!("\n## `{name}`\nBy default `{default}`. {comment}\n"),
        (_, true) => format!("\n**`{name}`** {comment}\n\n"),
        // Whether a group is switched on: the group says it.
        (_, false) if comment.is_empty() => format!("- `{name}`, by default `{default}`.\n"),
        (_, false) => format!("- `{name}`, by default `{default}`. {comment}\n"),
    }
}

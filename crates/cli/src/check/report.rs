//! What a check prints.

pub(crate) mod json;
pub(crate) mod table;
pub(crate) mod text;

use super::finding::Severity;

/// How signs are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Never,
    Ansi,
}

impl Colour {
    fn paint(self, severity: Severity, text: &str) -> String {
        let code = match severity {
            Severity::Good => 32,
            Severity::Warning => 33,
            Severity::Problem => 31,
        };
        match self {
            Self::Never => text.to_owned(),
            Self::Ansi => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// Returns `1 problem`, `2 problems`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Returns `ok`, or how many problems and warnings there are.
fn verdict(problems: usize, warnings: usize) -> String {
    let parts = [(problems, "problem"), (warnings, "warning")];
    let parts: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).map(|(n, what)| counted(*n, what)).collect();
    if parts.is_empty() { "ok".to_owned() } else { parts.join(", ") }
}

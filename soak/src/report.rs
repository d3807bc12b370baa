//! The results of a run, as Markdown and as JSON.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use comfy_table::presets::ASCII_MARKDOWN;
use serde::Serialize;
use tokio::time::Instant;

use crate::machine;

/// The commands in the order of the joined report.
const COMMANDS: [&str; 4] = ["clients", "rollouts", "recycles", "hostile"];

/// The report of one command.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The command.
    pub(crate) name: &'static str,
    /// The procedure, in one or two sentences.
    pub(crate) how: String,
    /// Whether each goal was met.
    pub(crate) verdicts: Vec<Verdict>,
    /// The figures.
    pub(crate) table: Table,
    /// Notes for the reader of the figures.
    pub(crate) notes: Vec<String>,
    machine: String,
    seconds: u64,
}

/// Rows under named columns.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// A goal, and whether it was met.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) goal: String,
    pub(crate) measured: String,
    pub(crate) met: bool,
}

impl Table {
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = &'a str>, rows: Vec<Vec<String>>) -> Self {
        Self { columns: columns.into_iter().map(str::to_owned).collect(), rows }
    }
}

impl Verdict {
    pub(crate) fn new(goal: impl Into<String>, measured: impl Into<String>, met: bool) -> Self {
        Self { goal: goal.into(), measured: measured.into(), met }
    }
}

impl Report {
    /// Returns an empty report of a run that began at `begun`.
    pub(crate) fn of(name: &'static str, begun: Instant, how: String) -> Self {
        let (machine, seconds) = (machine::description(), begun.elapsed().as_secs());
        Self { name, how, verdicts: Vec::new(), table: Table::default(), notes: Vec::new(), machine, seconds }
    }

    pub(crate) fn goals_are_met(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.met)
    }

    /// Writes both forms into the folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let json = serde_json::to_string_pretty(self)?;
        for (ending, text) in [("md", self.to_string()), ("json", json)] {
            let path = folder.join(self.name).with_extension(ending);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = humantime::format_duration(Duration::from_secs(self.seconds));
        writeln!(f, "## {}\n\n{} Took {took} on {}.\n", self.name, self.how, self.machine)?;
        let rows = self.verdicts.iter().map(|Verdict { goal, measured, met }| {
            vec![goal.clone(), measured.clone(), if *met { "met" } else { "**missed**" }.to_owned()]
        });
        write!(f, "{}", Table::new(["goal", "measured", ""], rows.collect()))?;
        if !self.table.rows.is_empty() {
            write!(f, "\n{}", self.table)?;
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "- {note}"))
    }
}

impl fmt::Display for Table {
    /// Columns are padded, so that the text is also readable on a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table.load_preset(ASCII_MARKDOWN).set_header(&self.columns).add_rows(&self.rows);
        writeln!(f, "{table}")
    }
}

/// Joins the reports in the folder into the results of the repository.
pub(crate) fn join(folder: &Path) -> Result<()> {
    let mut text = String::from(
        "# Results of the long runs\n\nWritten by `make soak-long`; README.md says what each command does and how it counts.\n",
    );
    let sections: Vec<String> =
        COMMANDS.iter().filter_map(|name| fs::read_to_string(folder.join(name).with_extension("md")).ok()).collect();
    ensure!(!sections.is_empty(), "no command was run yet: {} has no report", folder.display());
    for section in sections {
        text.push('\n');
        text.push_str(&section);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("RESULTS.md");
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

/// Returns a number with separated thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated_by_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(count(number), text);
        }
    }

    #[tokio::test]
    async fn one_missed_goal_fails_the_report() {
        let mut report = Report::of("clients", Instant::now(), "All.".to_owned());
        report.verdicts.push(Verdict::new("0 lost", "0", true));
        assert!(report.goals_are_met());
        report.verdicts.push(Verdict::new("0 repeated", "1", false));
        assert!(!report.goals_are_met());
        assert!(report.to_string().contains("| 0 repeated | 1        | **missed** |"), "{report}");
    }
}

//! The tables and verdicts of a run, as Markdown.

use std::fmt::{self, Write as _};

use comfy_table::presets::ASCII_MARKDOWN;

use crate::summary::Summary;

/// One scenario's results.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) title: String,
    /// What was measured and how, one or two sentences.
    pub(crate) how: String,
    pub(crate) table: Table,
    pub(crate) verdicts: Vec<Verdict>,
}

/// Rows under named columns.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// A goal, and whether it is reached.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) goal: String,
    pub(crate) measured: String,
    pub(crate) standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Met,
    Missed,
    NotMeasured,
}

impl Verdict {
    /// Compares a median with the highest value that reaches the goal.
    pub(crate) fn at_most(goal: String, limit: f64, measured: Option<Summary>, unit: &str) -> Self {
        Self::judge(goal, measured, unit, |median| median <= limit)
    }

    /// Compares a median with the lowest value that reaches the goal.
    pub(crate) fn at_least(goal: String, limit: f64, measured: Option<Summary>, unit: &str) -> Self {
        Self::judge(goal, measured, unit, |median| median >= limit)
    }

    /// Returns a goal about something that could not be measured.
    pub(crate) fn not_measured(goal: String, reason: String) -> Self {
        Self { goal, measured: reason, standing: Standing::NotMeasured }
    }

    fn judge(goal: String, measured: Option<Summary>, unit: &str, reached: impl Fn(f64) -> bool) -> Self {
        match measured {
            Some(summary) if reached(summary.median) => {
                Self { goal, measured: with_range(summary, unit), standing: Standing::Met }
            }
            Some(summary) => Self { goal, measured: with_range(summary, unit), standing: Standing::Missed },
            None => Self::not_measured(goal, "–".to_owned()),
        }
    }
}

/// Returns `median (lowest–highest) unit`, with significant digits only.
pub(crate) fn with_range(Summary { median, lowest, highest }: Summary, unit: &str) -> String {
    let digits = match median.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let space = if unit.is_empty() { "" } else { " " };
    format!("{median:.digits$}{space}{unit} ({lowest:.digits$}–{highest:.digits$})")
}

/// Returns the whole report: the machine, the sections with the cost beside peers, and then every goal.
pub(crate) fn render(preface: &str, sections: &[Section]) -> String {
    let mut text = preface.to_owned();
    for Section { title, how, table, .. } in sections {
        // Writing to a String cannot fail.
        _ = write!(text, "\n## {title}\n\n{how}\n\n{table}");
    }
    let verdicts = sections.iter().flat_map(|section| section.verdicts.iter().map(move |verdict| (section, verdict)));
    let rows = verdicts
        .map(|(section, verdict)| {
            let Verdict { goal, measured, standing } = verdict;
            vec![section.title.clone(), goal.clone(), measured.clone(), standing.to_string()]
        })
        .collect();
    let goals = Table { columns: vec!["", "goal", "measured", ""], rows };
    _ = write!(text, "\n## Goals\n\n{goals}");
    text
}

impl fmt::Display for Standing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Met => "met",
            Self::Missed => "**missed**",
            Self::NotMeasured => "not measured",
        })
    }
}

impl fmt::Display for Table {
    /// Columns are padded, so that the text is also readable on a terminal.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table.load_preset(ASCII_MARKDOWN).set_header(&self.columns).add_rows(&self.rows);
        writeln!(formatter, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_if_the_median_is_at_its_limit() {
        let measured = Summary::of([1.0, 1.1, 9.0]);
        let standing = |limit| Verdict::at_most(String::new(), limit, measured, "").standing;
        assert_eq!((standing(1.1), standing(1.09)), (Standing::Met, Standing::Missed));
        assert_eq!(Verdict::at_least(String::new(), 1.1, measured, "").standing, Standing::Met);
        assert_eq!(Verdict::at_least(String::new(), 1.0, None, "").standing, Standing::NotMeasured);
    }

    #[test]
    fn numbers_have_fewer_decimals_the_larger_they_are() {
        let text = |value| with_range(Summary::of([value]).unwrap(), "µs");
        assert_eq!(text(1.234), "1.23 µs (1.23–1.23)");
        assert_eq!(text(12.34), "12.3 µs (12.3–12.3)");
        assert_eq!(text(1234.5), "1234 µs (1234–1234)");
    }

    #[test]
    fn the_columns_of_a_table_are_aligned() {
        let table = Table { columns: vec!["", "µs"], rows: vec![vec!["byte copy".into(), "1".into()]] };
        assert_eq!(table.to_string(), "|           | µs |\n|-----------|----|\n| byte copy | 1  |\n");
    }
}

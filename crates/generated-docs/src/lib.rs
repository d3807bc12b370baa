//! Generates parts of documents from the code. Tests compare them with the committed documents, and rewrite those with
//! `UPDATE_DOCS=1`. Never shipped.
//!
//! A part of a page is marked for it: `<!-- NAME -->` on a line before it, `<!-- end of NAME -->` on the line behind
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

mod pages;

pub use pages::{Block, blocks, clean, pages, root};

/// Compares a file of the repository, or rewrites it.
///
/// # Panics
/// If the file is not what is generated `now`; with the `command` that rewrites it.
pub fn file(name: &str, now: &str, command: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path(name), now).unwrap_or_else(|error| panic!("{name}: {error}"));
    } else {
        assert_eq!(read(name), now, "{name} is not up to date; run: UPDATE_DOCS=1 {command}");
    }
}

/// Compares the marked `part` of a page of the repository, or rewrites it.
///
/// # Panics
/// If the page does not mark it, or has something else there than is generated `now`; with the `command` that rewrites
/// it.
pub fn part(page: &str, part: &str, now: &str, command: &str) {
    let text = read(page);
    let with_it =
        with_part(&text, part, now).unwrap_or_else(|| panic!("{page} does not mark where {part:?} begins and ends"));
    file(page, &with_it, command);
}

fn with_part(page: &str, part: &str, now: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {part} -->\n"), format!("<!-- end of {part} -->"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{now}{end}{after}"))
}

/// Returns a table of the metrics in the text format of Prometheus: a row for each `# HELP` and `# TYPE`.
///
/// # Panics
/// If a metric has no type, or a label no value.
pub fn metrics(metrics: &str) -> String {
    let rows = metrics.lines().filter_map(|line| line.strip_prefix("# HELP ")).map(|line| {
        let (name, help) = line.split_once(' ').expect("a help text");
        let of_type = format!("# TYPE {name} ");
        let kind = metrics.lines().find_map(|line| line.strip_prefix(&of_type)).expect("a type");
        format!("| `{name}` | {kind} | {} | {} |\n", labels(metrics, name), help.trim_end_matches('.'))
    });
    let head = "| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    rows.fold(head, |table, row| table + &row)
}

/// Returns the labels of a metric, each with its values where all are there from the start.
fn labels(metrics: &str, name: &str) -> String {
    let mut labels: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let samples = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.split_once('}'));
    for pair in samples.flat_map(|(pairs, _)| pairs.split(',')) {
        let (label, value) = pair.split_once('=').expect("a value");
        labels.entry(label).or_default().insert(format!("`{}`", value.trim_matches('"')));
    }
    let labels = labels.into_iter().map(|(label, values)| {
        let values: Vec<String> = values.into_iter().collect();
        if values.len() == 1 { format!("`{label}`") } else { format!("`{label}`: {}", values.join(", ")) }
    });
    labels.collect::<Vec<String>>().join("; ")
}

fn path(name: &str) -> PathBuf {
    root().join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n<!-- y -->\n<!-- end of y -->\n";

    #[test]
    fn replacing_a_part_keeps_the_rest_of_the_page() {
        let with_x = "a\n<!-- x -->\nnew\n<!-- end of x -->\nb\n<!-- y -->\n<!-- end of y -->\n";
        assert_eq!(with_part(PAGE, "x", "new\n").as_deref(), Some(with_x));
        assert_eq!(with_part(PAGE, "x", "old\n").as_deref(), Some(PAGE));
    }

    #[test]
    fn a_part_without_markers_is_not_found() {
        assert_eq!(with_part(PAGE, "z", ""), None);
        assert_eq!(with_part("<!-- x -->\n", "x", ""), None);
    }

    #[test]
    fn a_file_that_is_up_to_date_passes() {
        file("Cargo.toml", &read("Cargo.toml"), "nothing");
    }

    #[test]
    #[should_panic(expected = "run: UPDATE_DOCS=1 cargo test")]
    fn a_file_that_is_out_of_date_fails_with_the_command_to_run() {
        assert!(std::env::var_os("UPDATE_DOCS").is_none(), "this test would write");
        file("Cargo.toml", "", "cargo test");
    }
}

//! docs/ODD-INPUTS.md names an existing test for each of its rows.

use std::collections::BTreeSet;
use std::process::Command;

use test_support::{TestResult, ensure, ensure_eq};

const PAGE: &str = include_str!("../../../../docs/ODD-INPUTS.md");

#[test]
fn every_row_of_odd_inputs_md_names_an_existing_test() -> TestResult {
    let listed = Command::new(std::env::current_exe()?).args(["--list", "--format=terse"]).output()?;
    let listed = String::from_utf8(listed.stdout)?;
    let tests: BTreeSet<&str> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let rows: Vec<&str> = PAGE.lines().filter(|line| line.starts_with("| ")).collect();
    let mut promises = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        ensure_eq!(cells.len(), 3, "{row}");
        if cells[0] == "input" {
            continue;
        }
        promises += 1;
        let named: Vec<&str> = cells[2].split(", ").map(|name| name.trim_matches('`')).collect();
        for name in named {
            ensure!(tests.contains(name), "there is no test {name:?}: {row}");
        }
    }
    ensure!(promises > 30, "only {promises} promises were found");
    Ok(())
}

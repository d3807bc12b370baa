//! docs/METRICS.md has the metrics that the program exposes, and the tests that docs/BALANCING.md names exist.

use std::fs;
use std::path::Path;

use balancer::metrics::Metrics;

#[test]
fn metrics_md_has_every_metric_of_the_balancer() {
    let table = generated_docs::metrics(&Metrics::new().expose(None).unwrap().text);
    let command = "cargo test -p balancer --test balancer documentation";
    generated_docs::part("docs/METRICS.md", "metrics of evenkeel-balancer", &table, command);
}

/// Returns the names of the functions in a folder.
fn functions(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(functions(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let after = text.split("fn ").skip(1).filter_map(|rest| rest.split_once('('));
            names.extend(after.map(|(name, _)| name.to_owned()));
        }
    }
    names
}

#[test]
fn balancing_md_names_an_existing_test_for_each_fault() {
    let page = fs::read_to_string(generated_docs::root().join("docs/BALANCING.md")).unwrap();
    let (_, section) = page.split_once("\n## When something fails\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let crates = generated_docs::root().join("crates");
    let known: Vec<String> = ["balancer/src", "balancer/tests", "recycling-proxy/tests"]
        .iter()
        .flat_map(|folder| functions(&crates.join(folder)))
        .collect();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        let (_, tests) = row.trim_end_matches(" |").rsplit_once("| ").unwrap();
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).filter(|name| !name.contains('/')).collect();
        assert!(!named.is_empty() || tests == "the same", "{row}");
        for name in named {
            assert!(known.iter().any(|known| known == name), "{name} is no test");
        }
    }
}

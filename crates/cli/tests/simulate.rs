//! `evenkeel simulate` as its users run it.

use std::process::{Command, Output};

use serde_json::Value;

fn simulate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evenkeel")).arg("simulate").args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Small enough for a build without optimisation.
const SMALL: &[&str] = &["--clients", "60", "--rate", "5", "--pods", "2", "--scale-to", "4", "--runs", "3"];

#[test]
fn the_same_arguments_print_the_same_output() {
    let args = [SMALL, &["--balance"]].concat();
    let (first, second) = (simulate(&args), simulate(&args));
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert_eq!(first.stdout, second.stdout);
    let other = simulate(&[&args[..], &["--seed", "2"]].concat());
    assert_ne!(first.stdout, other.stdout);
}

#[test]
fn a_comparison_recommends_a_threshold_and_shows_the_effect_of_balancing() {
    let output = simulate(SMALL);
    let said = text(&output.stdout);
    assert!(output.status.success());
    assert!(said.contains("Threshold: max-requests="), "{said}");
    assert!(said.contains("Balancing: "), "{said}");
}

#[test]
fn json_has_the_figures_of_each_policy() {
    let output = simulate(&[SMALL, &["--json", "--max-requests", "20"]].concat());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [nothing, limit] = document["policies"].as_array().unwrap().as_slice() else {
        panic!("{document}");
    };
    assert_eq!(nothing["levelAfterSeconds"]["median"], Value::Null, "the new pods never get anything");
    assert_eq!(limit["maxRequests"], 20);
    assert!(limit["levelAfterSeconds"]["median"].as_f64().unwrap() < 60.0);
    assert_eq!(limit["peakToMeanBySecond"].as_array().unwrap().len(), 150);
}

#[test]
fn the_plot_is_an_svg_with_a_line_for_each_policy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scale-out.svg");
    let output = simulate(&[SMALL, &["--balance", "--svg", path.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let picture = std::fs::read_to_string(path).unwrap();
    assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
    for label in ["nothing", "balance=on"] {
        assert!(picture.contains(label), "{label}");
    }
    let unwritable = simulate(&[SMALL, &["--balance", "--svg", "/nowhere/scale-out.svg"]].concat());
    assert_eq!(unwritable.status.code(), Some(1));
    assert!(text(&unwritable.stderr).contains("/nowhere/scale-out.svg"));
}

#[test]
fn every_impossible_number_is_reported_in_a_sentence() {
    let output = simulate(&["--clients", "0", "--rate", "-1", "--pods", "0", "--event", "10s:scale=0"]);
    assert_eq!(output.status.code(), Some(64));
    let said = text(&output.stderr);
    for what in ["the number of clients is 0", "the rate is -1", "the number of pods is 0", "after an event is 0"] {
        assert!(said.contains(what), "{what}: {said}");
    }
    let event = simulate(&["--event", "soon:scale=3"]);
    assert_eq!(event.status.code(), Some(64));
    assert!(text(&event.stderr).contains("TIME:scale=PODS"), "{}", text(&event.stderr));
}

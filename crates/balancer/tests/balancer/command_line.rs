//! The program's command line.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evenkeel-balancer")).args(arguments).output().unwrap()
}

#[test]
fn unusable_settings_are_all_reported_at_once() {
    let output = run(&["run", "--admin=x", "--proxy-port=0", "--log-level=loud"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{told}");
    for flag in ["--admin (EVENKEEL_BALANCER_ADMIN)", "--proxy-port", "--log-level"] {
        assert!(told.contains(flag), "{told}");
    }
    assert_eq!(told.lines().count(), 3, "{told}");
    assert_eq!(run(&["rotate", "--namespace=A"]).status.code(), Some(64));
    assert_eq!(run(&["walk"]).status.code(), Some(64));
}

#[test]
fn help_has_an_example_and_environment_names() {
    for (arguments, part) in [
        (&["--help"][..], "evenkeel-balancer run --namespace evenkeel"),
        (&["run", "--help"], "EVENKEEL_BALANCER_PROXY_PORT"),
        (&["rotate", "--help"], "once every pod that reports knows it"),
        (&["completions", "bash"], "evenkeel-balancer"),
    ] {
        let output = run(arguments);
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && told.contains(part), "{arguments:?}: {told}");
    }
}

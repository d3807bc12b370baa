//! The whole story, and what ends it early.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use test_support::Process;

use crate::programs::built;

/// Returns the demo with these arguments.
fn demo(args: &[&str]) -> Process {
    let mut command = Command::new(built("evenkeel"));
    command.arg("demo").args(args);
    Process::spawn("evenkeel demo", command).unwrap()
}

/// Returns the processes that `parent` has started and that are still there.
fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let ids = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    ids.filter(|id| parent_of(*id) == Some(parent)).collect()
}

/// Returns `None` where the process has ended, also while it is not yet waited for.
fn parent_of(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat")).ok()?;
    // The name in parentheses can hold anything, the fields behind it cannot.
    let (_, fields) = stat.rsplit_once(") ")?;
    let (state, fields) = fields.split_once(' ')?;
    let parent = fields.split(' ').next()?.parse().ok()?;
    (state != "Z").then_some(parent)
}

#[tokio::test]
async fn pods_that_are_added_get_their_share_only_with_recycling() {
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("share.svg");
    // 40 connections of 25 requests/s retired after 2 each: some 500 landings in the measured second.
    let args = ["--seconds=3", "--max-requests=2", "--pods-after=3", "--seed=1", "--svg", svg.to_str().unwrap()];
    let (status, output) = demo(&args).end().await.unwrap();
    assert!(status.success(), "{output}");
    let row = |name: &str| {
        let line = output.lines().find(|line| line.trim_start().starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in the table:\n{output}"));
        line.trim_start()[name.len()..].split_whitespace().map(str::to_owned).collect::<Vec<String>>()
    };
    assert_eq!(row("failed"), ["0", "0"]);
    let added = row("share of web-3, added");
    assert_eq!(added[..2], ["0", "%"], "{output}");
    assert!(added[2].parse::<u32>().unwrap() > 16, "{output}");
    assert_eq!(row("reconnects per connection")[0], "0.0");
    assert!(!output.contains('\x1b'), "escapes in what is no terminal:\n{output}");
    assert!(output.contains("add     /spec/template/spec/initContainers"), "{output}");
    assert!(std::fs::read_to_string(svg).unwrap().contains("web-3"));
}

#[tokio::test]
async fn an_interrupted_demo_leaves_no_process_behind() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut demo = demo(&["--seconds=600"]);
        demo.line_with("requests/s   0 failed").await.unwrap();
        let pods = children(demo.id());
        assert!(pods.len() >= 2, "{}", demo.output());
        demo.signal(signal).unwrap();
        let (status, output) = demo.end().await.unwrap();
        assert_eq!(status.code(), Some(130), "{output}");
        // Killed before the demo has ended; the kernel takes its moment to bury them.
        let buried = async {
            while pods.iter().any(|pod| parent_of(*pod).is_some()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), buried).await.expect("programs outlive the demo");
    }
}

#[tokio::test]
async fn a_demo_that_would_remove_pods_is_refused() {
    let (status, output) = demo(&["--pods-before=3", "--pods-after=2"]).end().await.unwrap();
    assert_eq!(status.code(), Some(64), "{output}");
    assert!(output.contains("--pods-after must not be below --pods-before"), "{output}");
}

//! Runs `evenkeel check`, and reads its findings.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{TestNamespace, program};
use serde_json::Value;
use tokio::time::{Instant, sleep};

pub(crate) const CLEAN: i32 = 0;
pub(crate) const FOUND: i32 = 2;
/// How long a fault may take until it is visible: pods start, probes fail, Events are published.
const FOUND_WITHIN: Duration = Duration::from_mins(2);

/// Runs `evenkeel check` on the namespace. Fails unless it exits with `expected`. Returns its report.
pub(crate) fn check(namespace: &TestNamespace, expected: i32) -> anyhow::Result<Value> {
    let (code, report) = run(namespace)?;
    ensure!(code == expected, "exit code {code} in place of {expected}: {report:#}");
    Ok(report)
}

fn run(namespace: &TestNamespace) -> anyhow::Result<(i32, Value)> {
    run_with(namespace, &[])
}

/// Runs it with further flags. Returns its exit code and its report.
pub(crate) fn run_with(namespace: &TestNamespace, flags: &[&str]) -> anyhow::Result<(i32, Value)> {
    let arguments = ["check", "--namespace", namespace.name(), "--interval", "2", "--output", "json"];
    let (code, report) = program::evenkeel_finds(&[&arguments, flags].concat())?;
    Ok((code, serde_json::from_str(&report).context("the report is not JSON")?))
}

/// Waits until each of these findings has been in a report, each of the object with this name. Returns the last report.
pub(crate) async fn once_found(namespace: &TestNamespace, awaited: &[(&str, &str)]) -> anyhow::Result<Value> {
    once_found_with(namespace, &[], awaited).await
}

/// Does the same with further flags.
pub(crate) async fn once_found_with(
    namespace: &TestNamespace,
    flags: &[&str],
    awaited: &[(&str, &str)],
) -> anyhow::Result<Value> {
    let (started, mut missing) = (Instant::now(), awaited.to_vec());
    loop {
        let (_, report) = run_with(namespace, flags)?;
        missing.retain(|(name, id)| !bad(&report, name).iter().any(|it| it == id));
        if missing.is_empty() {
            return Ok(report);
        }
        println!("  awaited still: {missing:?}");
        ensure!(started.elapsed() < FOUND_WITHIN, "not found: {missing:?} in {report:#}");
        sleep(Duration::from_millis(500)).await;
    }
}

/// Waits for a report without findings about these objects, and returns it.
pub(crate) async fn once_well(namespace: &TestNamespace, names: &[&str]) -> anyhow::Result<Value> {
    let started = Instant::now();
    loop {
        let (_, report) = run(namespace)?;
        if names.iter().all(|name| bad(&report, name).is_empty()) {
            return Ok(report);
        }
        ensure!(started.elapsed() < FOUND_WITHIN, "findings about {names:?} in {report:#}");
        sleep(Duration::from_millis(500)).await;
    }
}

/// Returns the findings about the object with this name: problems, then warnings.
pub(crate) fn bad(report: &Value, name: &str) -> Vec<String> {
    [ids(report, name, "problem"), ids(report, name, "warning")].concat()
}

/// Returns whether the report confirms `id` for the object with this name.
pub(crate) fn says(report: &Value, name: &str, id: &str) -> bool {
    ids(report, name, "ok").iter().any(|it| it == id)
}

/// Returns the identifiers of the entries about the object with this name, of this severity.
pub(crate) fn ids(report: &Value, name: &str, severity: &str) -> Vec<String> {
    let objects = report["objects"].as_array().into_iter().flatten();
    let is_it = |object: &&Value| object["name"] == name || object["kind"] == name;
    let findings = objects.filter(is_it).filter_map(|object| object["findings"].as_array());
    let severe = findings.flatten().filter(|finding| finding["severity"] == severity);
    severe.filter_map(|finding| finding["id"].as_str().map(str::to_owned)).collect()
}

//! Which of the chart's alerts fire on the metrics of programs under test.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::outcome::{Failure, TestResult};

/// The alerts, in the format of Prometheus' rule files.
const ALERTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/evenkeel/files/alerts.yaml");
/// The suffixes of counters; everything else is a gauge.
const COUNTERS: &[&str] = &["_total", "_bucket", "_sum", "_count"];

/// What one target of Prometheus has shown at two times.
#[derive(Debug)]
pub struct Scraped<'a> {
    /// The labels that Prometheus adds: `namespace`, `pod`, `workload`.
    pub labels: &'a [(&'a str, &'a str)],
    /// The text at the first time.
    pub before: String,
    /// The text at the second.
    pub after: String,
}

/// Checks with promtool that exactly these alerts fire, each on this number of series, `minutes` after the first of the
/// two times. The second time counts as a minute later; counters go on growing as they did between the two.
///
/// # Errors
/// If other alerts fire, or not all of them; or if promtool cannot be started. It comes with Prometheus (Debian's
/// package is `prometheus`).
pub fn expect_alerts(scraped: &[Scraped<'_>], minutes: u32, expected: &[(&str, u32)]) -> TestResult {
    let folder = tempfile::tempdir()?;
    let test = folder.path().join("test.yaml");
    std::fs::write(&test, unit_test(scraped, minutes, expected))?;
    let output = Command::new("promtool").args(["test", "rules"]).arg(&test).output()?;
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() { Ok(()) } else { Err(Failure::new(String::from_utf8_lossy(&said))) }
}

fn unit_test(scraped: &[Scraped<'_>], minutes: u32, expected: &[(&str, u32)]) -> String {
    let mut series = String::new();
    for it in scraped {
        let before: Vec<(String, f64)> = it.before.lines().filter_map(|line| sample(line, it.labels)).collect();
        for (name, after) in it.after.lines().filter_map(|line| sample(line, it.labels)) {
            let before = before.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
            let family = name.split('{').next().unwrap_or_default();
            let values = if COUNTERS.iter().any(|end| family.ends_with(end)) {
                let first = before.unwrap_or_default();
                format!("{first}+{}x{minutes}", after - first)
            } else {
                let first = before.map_or_else(|| "_".to_owned(), |value| value.to_string());
                format!("{first} {after}x{minutes}")
            };
            _ = writeln!(series, "      - series: '{name}'\n        values: {values}");
        }
    }
    let mut samples = String::new();
    for (alert, count) in expected {
        _ = writeln!(samples, "          - labels: '{{alertname=\"{alert}\"}}'\n            value: {count}");
    }
    let none = if samples.is_empty() { " []" } else { "" };
    let alerts = Path::new(ALERTS).display();
    // Alerts on absent metrics must not fire for programs that this test does not scrape.
    let firing = r#"count by (alertname) (ALERTS{alertstate="firing", alertname!~"EvenkeelWebhookAbsent"})"#;
    format!(
        "rule_files: ['{alerts}']\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n{series}    promql_expr_test:\n      - expr: '{firing}'\n        eval_time: {minutes}m\n        exp_samples:{none}\n{samples}"
    )
}

/// Reads a sample: its series with the `labels` added, and its value. Returns `None` for a comment.
fn sample(line: &str, labels: &[(&str, &str)]) -> Option<(String, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.rsplit_once(' ')?;
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    let labels = labels.join(",");
    let series = match series.split_once('{') {
        Some((name, rest)) => format!("{name}{{{labels},{rest}"),
        None => format!("{series}{{{labels}}}"),
    };
    Some((series, value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_continue_counters_and_repeat_gauges() {
        let scraped = Scraped {
            labels: &[("pod", "a")],
            before: "# HELP x\nx_total 1\nopen{port=\"80\"} 3".to_owned(),
            after: "x_total 4\ny_total{port=\"80\"} 2\nopen{port=\"80\"} 5\nnew 1".to_owned(),
        };
        let test = unit_test(&[scraped], 9, &[("A", 2)]);
        for line in [
            "      - series: 'x_total{pod=\"a\"}'\n        values: 1+3x9\n",
            "      - series: 'y_total{pod=\"a\",port=\"80\"}'\n        values: 0+2x9\n",
            "      - series: 'open{pod=\"a\",port=\"80\"}'\n        values: 3 5x9\n",
            "      - series: 'new{pod=\"a\"}'\n        values: _ 1x9\n",
            "          - labels: '{alertname=\"A\"}'\n            value: 2\n",
        ] {
            assert!(test.contains(line), "{line} is not in\n{test}");
        }
    }
}

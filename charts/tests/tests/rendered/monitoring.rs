//! Monitors, alerts and the dashboard use metrics that the programs expose.

use std::collections::BTreeSet;

use chart_tests::files::text;
use chart_tests::parts::PARTS;
use chart_tests::render::rendered;
use serde_json::Value;

/// Returns the metrics of docs/METRICS.md, which a test of the programs compares with what they show.
pub(crate) fn documented() -> BTreeSet<String> {
    let page = text("docs/METRICS.md");
    // Histograms have series of three names.
    let series = |name: &str| ["", "_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}"));
    let quoted = page.split('`').filter(|word| is_injected(word) && word.bytes().all(of_a_name));
    quoted.flat_map(series).collect()
}

/// Returns whether the programs show a metric of this name: one of their own, or of the process.
fn is_injected(word: &str) -> bool {
    ["evenkeel_", "process_"].iter().any(|prefix| word.starts_with(prefix))
}

fn of_a_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte == b'_'
}

/// Returns the metrics that are asked for in a text with queries.
pub(crate) fn asked(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    words.filter(|word| is_injected(word)).map(str::to_owned).collect()
}

/// Labels that come with the scrape, and that of a histogram's buckets.
const SCRAPED: [&str; 4] = ["namespace", "workload", "pod", "le"];

/// Returns the labels that docs/METRICS.md has for a metric, or for that of which this is a series.
fn labels_of(metric: &str) -> BTreeSet<String> {
    let page = text("docs/METRICS.md");
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| metric.strip_suffix(suffix));
    let base = base.unwrap_or(metric);
    let quoted = |text: &str| -> BTreeSet<String> {
        let words = text.split('`').skip(1).step_by(2);
        words.filter(|word| *word != base).map(str::to_owned).collect()
    };
    let row = page.lines().find(|line| line.starts_with(&format!("| `{base}` |")));
    if let Some(cell) = row.and_then(|row| row.split('|').nth(3)) {
        // A label stands before the colon, its values behind it.
        return cell.split(';').filter_map(|label| label.split(':').next()).flat_map(quoted).collect();
    }
    // One whose series begin with the first event has a sentence.
    let sentence = page.split("\n- ").find(|item| item.contains(&format!("`{base}`")) && item.contains("label"));
    quoted(sentence.unwrap_or_else(|| panic!("no labels of {metric}")))
}

/// Panics if a query names a label that its metrics do not have: it would find nothing, and say nothing.
fn assert_labels(query: &str) {
    let mut of_query: BTreeSet<String> = SCRAPED.map(str::to_owned).into();
    for metric in asked(query) {
        let of_metric = labels_of(&metric);
        for rest in query.split(&metric).skip(1).filter_map(|rest| rest.strip_prefix('{')) {
            let matchers = rest.split_once('}').map(|(matchers, _)| matchers).unwrap_or_default();
            for label in names(matchers) {
                assert!(
                    of_metric.contains(label) || SCRAPED.contains(&label),
                    "{metric} has no label {label}: {query}"
                );
            }
        }
        of_query.extend(of_metric);
    }
    for clause in [" by (", " on (", "group_left ("] {
        for rest in query.split(clause).skip(1) {
            for label in names(rest.split_once(')').map(|(labels, _)| labels).unwrap_or_default()) {
                assert!(of_query.contains(label), "no metric has a label {label}: {query}");
            }
        }
    }
}

/// Returns the names with which the parts of a list begin.
fn names(list: &str) -> impl Iterator<Item = &str> {
    let parts = list.split(',').map(str::trim);
    parts
        .map(|part| part.split(|c: char| !(c.is_ascii_lowercase() || c == '_')).next().unwrap_or_default())
        .filter(|name| !name.is_empty())
}

#[test]
fn a_query_by_an_unknown_label_is_refused() {
    assert_labels("sum by (reason) (rate(evenkeel_proxy_connections_retired_total{namespace=\"x\"}[5m]))");
    for query in [
        "sum by (colour) (evenkeel_proxy_connections_retired_total)",
        "evenkeel_proxy_connections_retired_total{colour=\"x\"}",
    ] {
        assert!(std::panic::catch_unwind(|| assert_labels(query)).is_err(), "{query}");
    }
}

#[test]
fn no_monitoring_object_is_rendered_by_default() {
    let rendered = rendered(&[]);
    for kind in ["ServiceMonitor", "PodMonitor", "PrometheusRule"] {
        assert!(rendered.all(kind).is_empty(), "{kind}");
    }
    assert_eq!(rendered.all("ConfigMap"), [rendered.of_balancer("ConfigMap")], "no dashboard");
}

#[test]
fn alerts_use_existing_metrics() {
    let rendered = rendered(PARTS.last().unwrap());
    let groups = rendered.one("PrometheusRule")["spec"]["groups"].as_array().unwrap();
    let documented = documented();
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let asked = asked(rule["expr"].as_str().unwrap());
        assert!(!asked.is_empty() && asked.is_subset(&documented), "{rule}");
        assert_labels(rule["expr"].as_str().unwrap());
        assert!(rule["annotations"]["summary"].is_string() && rule["annotations"]["description"].is_string(), "{rule}");
        assert!(["info", "warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{rule}");
        assert!(!rule.to_string().contains("NAMESPACE"), "{rule}");
    }
}

/// An alert wakes somebody who has never heard of it.
#[test]
fn every_alert_has_an_entry_in_its_runbook() {
    const PAGE: &str = "docs/TROUBLESHOOTING.md";
    let rendered = rendered(PARTS.last().unwrap());
    let groups = rendered.one("PrometheusRule")["spec"]["groups"].as_array().unwrap();
    let page = text(PAGE);
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let alert = rule["alert"].as_str().unwrap();
        assert!(page.contains(&format!("\n### {alert}\n")), "{PAGE} has no entry for {alert}");
        // The anchor that GitHub makes of the heading.
        let url = format!("https://github.com/evenkeel/evenkeel/blob/main/{PAGE}#{}", alert.to_lowercase());
        assert_eq!(rule["annotations"]["runbook_url"], url);
    }
}

#[test]
fn the_dashboard_uses_existing_metrics() {
    let rendered = rendered(PARTS.last().unwrap());
    let config = rendered.one("ConfigMap");
    assert_eq!(config["metadata"]["labels"]["grafana_dashboard"], "1");
    let dashboard: Value = serde_json::from_str(config["data"]["evenkeel.json"].as_str().unwrap()).unwrap();
    let documented = documented();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut shown = BTreeSet::new();
    for target in panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten() {
        let asked = asked(target["expr"].as_str().unwrap());
        assert!(!asked.is_empty() && asked.is_subset(&documented), "{target}");
        assert_labels(target["expr"].as_str().unwrap());
        shown.extend(asked);
    }
    assert!(shown.contains("evenkeel_proxy_requests_total"), "share per pod");
    assert!(shown.contains("evenkeel_proxy_connections_retired_total"), "recycles by reason");
    let mut ids = BTreeSet::new();
    assert!(panels.iter().all(|panel| ids.insert(panel["id"].as_u64().unwrap())), "panels share an id");
}

#[test]
fn the_pod_monitor_scrapes_the_injected_port() {
    let rendered = rendered(PARTS.last().unwrap());
    let port = rendered.one("PodMonitor")["spec"]["podMetricsEndpoints"][0]["port"].as_str().unwrap().to_owned();
    let injected = text("crates/inject/tests/golden/minimal/output.yaml");
    assert!(injected.contains(&format!("- name: {port}\n          containerPort: {}\n", settings::ADMIN_PORT)));
}

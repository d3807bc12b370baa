//! Monitors, alerts and the dashboard ask for metrics that the programs show.

use std::collections::BTreeSet;

use chart_tests::files::text;
use chart_tests::parts::PARTS;
use chart_tests::render::rendered;
use serde_json::Value;

/// The metrics of docs/METRICS.md, which a test of the programs compares with what they show.
pub(crate) fn documented() -> BTreeSet<String> {
    let page = text("docs/METRICS.md");
    // Histograms have series of three names.
    let series = |name: &str| ["", "_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}"));
    let quoted = page.split('`').filter(|word| word.starts_with("evenkeel_") && word.bytes().all(of_a_name));
    quoted.flat_map(series).collect()
}

fn of_a_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte == b'_'
}

/// The metrics that are asked for in a text with queries.
pub(crate) fn asked(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    words.filter(|word| word.starts_with("evenkeel_")).map(str::to_owned).collect()
}

#[test]
fn none_unless_asked_for() {
    let rendered = rendered(&[]);
    for kind in ["ServiceMonitor", "PodMonitor", "PrometheusRule"] {
        assert!(rendered.all(kind).is_empty(), "{kind}");
    }
    assert_eq!(rendered.all("ConfigMap"), [rendered.of_balancer("ConfigMap")], "no dashboard");
}

#[test]
fn alerts_ask_for_metrics_that_there_are() {
    let rendered = rendered(PARTS.last().unwrap());
    let groups = rendered.one("PrometheusRule")["spec"]["groups"].as_array().unwrap();
    let documented = documented();
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let asked = asked(rule["expr"].as_str().unwrap());
        assert!(!asked.is_empty() && asked.is_subset(&documented), "{rule}");
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
fn the_dashboard_is_json_that_asks_for_metrics_that_there_are() {
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
        shown.extend(asked);
    }
    assert!(shown.contains("evenkeel_proxy_requests_total"), "share per pod");
    assert!(shown.contains("evenkeel_proxy_connections_retired_total"), "recycles by reason");
    let mut ids = BTreeSet::new();
    assert!(panels.iter().all(|panel| ids.insert(panel["id"].as_u64().unwrap())), "panels share an id");
}

#[test]
fn proxies_are_found_by_the_port_that_is_injected() {
    let rendered = rendered(PARTS.last().unwrap());
    let port = rendered.one("PodMonitor")["spec"]["podMetricsEndpoints"][0]["port"].as_str().unwrap().to_owned();
    let injected = text("crates/inject/tests/golden/minimal/output.yaml");
    assert!(injected.contains(&format!("- name: {port}\n          containerPort: {}\n", settings::ADMIN_PORT)));
}

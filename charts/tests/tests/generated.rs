//! The files that are generated from the values are up to date. `UPDATE_DOCS=1` rewrites them.

use chart_tests::files::{generated, text};
use chart_tests::values::{Entry, entries};
use chart_tests::{reference, schema};
use serde_json::Value;

fn values() -> Vec<Entry> {
    entries(&text("charts/evenkeel/values.yaml"))
}

#[test]
fn the_schema_is_generated_from_the_values() {
    let schema = serde_json::to_string_pretty(&schema::schema(&values())).unwrap();
    generated("charts/evenkeel/values.schema.json", &format!("{schema}\n"));
}

#[test]
fn the_readme_of_the_chart_is_generated_from_the_values() {
    generated("charts/evenkeel/README.md", &reference::page(&values()));
}

#[test]
fn every_value_has_a_comment() {
    // Their group says it.
    let of_itself = |entry: &Entry| entry.path.last().is_some_and(|key| key == "enabled");
    for entry in values() {
        assert!(of_itself(&entry) || !entry.comment.is_empty(), "{} has no comment", entry.name());
    }
}

#[test]
fn the_schema_allows_no_undescribed_keys() {
    fn check(schema: &Value, at: &str) {
        let Value::Object(keys) = schema else { return };
        if schema["type"] == "object" && !["/properties/global"].contains(&at) && !of_kubernetes(at) {
            assert!(keys.contains_key("additionalProperties"), "{at} takes anything");
        }
        for (key, inner) in keys {
            check(inner, &format!("{at}/{key}"));
        }
    }
    // Which fields these have is for the API server to say.
    fn of_kubernetes(at: &str) -> bool {
        ["affinity/properties", "metricsFrom/items/properties"].iter().any(|part| at.contains(part))
    }
    check(&schema::schema(&values()), "");
}

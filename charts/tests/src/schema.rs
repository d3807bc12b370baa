//! `values.schema.json`, by which Helm refuses values that the chart does not know.

use serde_json::{Map, Value, json};
use settings::Annotation;

use crate::values::Entry;

/// Returns the schema in the draft that both Helm 3 and 4 read. No object takes a key that nobody described.
pub fn schema(entries: &[Entry]) -> Value {
    let mut properties = properties(entries, &[]);
    let global = json!({
        "description": "Values that Helm passes to every chart of a release; this one reads none.",
        "type": "object",
    });
    properties.insert("global".to_owned(), global);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": "Generated from values.yaml by `make generate`.",
        "title": "Values of the chart evenkeel",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

/// Returns those of the group at `path`.
fn properties(entries: &[Entry], path: &[String]) -> Map<String, Value> {
    let inside = entries.iter().filter(|entry| entry.path.split_last().is_some_and(|(_, group)| group == path));
    inside.map(|entry| (entry.path[path.len()].clone(), property(entries, entry))).collect()
}

fn property(entries: &[Entry], entry: &Entry) -> Value {
    let mut property = Map::new();
    property.insert("description".to_owned(), entry.comment.clone().into());
    // An enum says more than a type.
    if !entry.schema.contains_key("enum") {
        property.insert("type".to_owned(), type_of(&entry.default).into());
    }
    if entry.default.is_object() {
        property.insert("additionalProperties".to_owned(), false.into());
        let inside = if entry.name() == "defaults" { defaults() } else { properties(entries, &entry.path) };
        property.insert("properties".to_owned(), inside.into());
    }
    property.extend(entry.schema.clone());
    property.into()
}

/// An annotation's value is text; YAML makes an integer of one that looks like it.
fn defaults() -> Map<String, Value> {
    let known = Annotation::ALL.iter().filter(|annotation| annotation.takes_installation_default());
    let described = known.map(|annotation| {
        let description = format!("{} ({})", annotation.help(), annotation.value_form());
        (annotation.name().to_owned(), json!({"description": description, "type": ["string", "integer"]}))
    });
    described.collect()
}

fn type_of(default: &Value) -> &'static str {
    match default {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

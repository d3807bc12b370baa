//! `values.yaml` with its comments, which parsers of YAML drop.

use serde_json::{Map, Value};

/// A key of `values.yaml`.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where it is, from the outermost key.
    pub path: Vec<String>,
    /// Its comment, as one line.
    pub comment: String,
    /// What `@schema` in the comment says; mostly empty.
    pub schema: Map<String, Value>,
    /// Its default.
    pub default: Value,
    /// Whether its own keys are entries too. Those of a free-form value are not.
    pub is_group: bool,
}

impl Entry {
    /// Returns the path as people write it.
    pub fn name(&self) -> String {
        self.path.join(".")
    }
}

/// Returns every key, in the order of the file, groups before what is in them.
///
/// Comments are found by lines and defaults by a parser of YAML: a key has a line of its own that ends its comment.
///
/// # Panics
/// If the file is no YAML of that form, or `@schema` is followed by something else than a JSON object.
pub fn entries(yaml: &str) -> Vec<Entry> {
    let defaults: Value = serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("values.yaml: {error}"));
    let mut path: Vec<String> = Vec::new();
    let mut comment = Vec::new();
    let mut entries: Vec<Entry> = Vec::new();
    for line in yaml.lines() {
        let text = line.trim_start();
        if let Some(remark) = text.strip_prefix('#') {
            comment.push(remark.trim());
            continue;
        }
        let Some((key, _)) = text.split_once(':').filter(|(key, _)| !key.starts_with('-')) else {
            comment.clear();
            continue;
        };
        path.truncate((line.len() - text.len()) / 2);
        path.push(key.to_owned());
        // Keys within a free-form default.
        if entries.iter().any(|entry| !entry.is_group && path.starts_with(&entry.path) && path != entry.path) {
            continue;
        }
        let (schema, words): (Vec<&str>, Vec<&str>) = comment.drain(..).partition(|line| line.starts_with("@schema"));
        let schema: Map<String, Value> = schema.into_iter().flat_map(|line| described(line, key)).collect();
        let default = defaults.pointer(&format!("/{}", path.join("/"))).cloned();
        let default = default.unwrap_or_else(|| panic!("values.yaml: {} is no key of it", path.join(".")));
        let has_keys = default.as_object().is_some_and(|keys| !keys.is_empty());
        let is_free = schema.contains_key("additionalProperties") || schema.contains_key("properties");
        entries.push(Entry {
            path: path.clone(),
            comment: words.join(" "),
            schema,
            default,
            is_group: has_keys && !is_free,
        });
    }
    entries
}

fn described(line: &str, key: &str) -> Map<String, Value> {
    let json = line.trim_start_matches("@schema");
    serde_json::from_str(json).unwrap_or_else(|error| panic!("values.yaml: @schema of {key}: {error}: {json}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_have_their_comments_defaults_and_groups() {
        let yaml = "\
# Of the file.

# Who answers.
# Two of them.
webhook:
  # @schema {\"minimum\": 1}
  replicas: 2
  # Free.
  # @schema {\"additionalProperties\": {\"type\": \"string\"}}
  labels:
    a.b/c: d

list:
  - one: 1
empty: {}
";
        let entries = entries(yaml);
        let names: Vec<String> = entries.iter().map(Entry::name).collect();
        assert_eq!(names, ["webhook", "webhook.replicas", "webhook.labels", "list", "empty"]);
        assert_eq!(entries[0].comment, "Who answers. Two of them.");
        assert!(entries[0].is_group && !entries[2].is_group && !entries[4].is_group);
        assert_eq!(entries[1].schema["minimum"], 1);
        assert_eq!(entries[2].default, json!({"a.b/c": "d"}));
    }
}

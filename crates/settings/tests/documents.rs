//! Annotations in the commands and manifests that documents and examples show are usable.

use std::collections::BTreeMap;
use std::fs;

use generated_docs::{blocks, root};
use settings::{Annotation, Layer, PREFIX, STATUS_KEY, WorkloadSettings};

/// Returns the annotations that a text sets, as kubectl (`KEY=VALUE`) or as YAML (`KEY: VALUE`); `KEY-` sets none.
fn set_in(text: &str) -> Vec<(String, String)> {
    let rests = text.split(PREFIX).skip(1);
    let pairs = rests.filter_map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '-'))?;
        let (name, rest) = rest.split_at(end);
        let value = rest.strip_prefix('=').or_else(|| rest.strip_prefix(": "))?;
        let value = value.split_whitespace().next()?.trim_matches(['"', '\'']);
        Some((format!("{PREFIX}{name}"), value.to_owned()))
    });
    pairs.filter(|(key, _)| key != STATUS_KEY).collect()
}

/// Panics unless the annotation can be used, beside those that others need.
fn assert_usable(at: &str, key: &str, value: &str) {
    assert!(Annotation::of_key(key).is_some(), "{at}: {key} is no annotation");
    let others = [(Annotation::MaxRequests, "1000"), (Annotation::TlsSecret, "web-tls")];
    let mut annotations: BTreeMap<String, String> =
        others.map(|(annotation, value)| (annotation.key().to_owned(), value.to_owned())).into();
    annotations.insert(key.to_owned(), value.to_owned());
    let resolved = WorkloadSettings::resolve(&[Layer::Workload(&annotations)]);
    assert!(resolved.is_ok(), "{at}: {key}={value}: {resolved:?}");
}

#[test]
fn annotations_in_documents_are_usable() {
    let shown = blocks().into_iter().filter(|block| ["sh", "yaml"].contains(&block.language.as_str()));
    let mut seen = 0;
    for block in shown {
        for (key, value) in set_in(&block.text) {
            assert_usable(&format!("{}:{}", block.page, block.line), &key, &value);
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen} annotations");
}

#[test]
fn annotations_in_examples_are_usable() {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        for (key, value) in set_in(&fs::read_to_string(&path).unwrap()) {
            assert_usable(&path.display().to_string(), &key, &value);
            seen += 1;
        }
    }
    assert!(seen > 3, "{seen} annotations");
}

#[test]
fn annotations_are_extracted_from_text() {
    let text = "kubectl annotate deployment web evenkeel.dev/jitter=5% evenkeel.dev/max-age-\n  evenkeel.dev/balance: \"on\"\n";
    let found =
        [("jitter", "5%"), ("balance", "on")].map(|(name, value)| (format!("{PREFIX}{name}"), value.to_owned()));
    assert_eq!(set_in(text), found);
}

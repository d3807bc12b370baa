//! What documents and `examples/` show is valid: values of the chart, and manifests.

use std::collections::BTreeSet;
use std::fs;

use chart_tests::files::path;
use chart_tests::render::render;
use chart_tests::strict::judge;
use generated_docs::{Block, blocks};
use serde_json::{Value, json};

fn of_language(language: &str) -> Vec<Block> {
    blocks().into_iter().filter(|block| block.language == language).collect()
}

fn documents(at: &str, text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{at}: {error}"))
}

/// Panics unless the type of this object reads it.
fn assert_valid(at: &str, object: &Value) {
    match judge(object) {
        Some(judged) => judged.unwrap_or_else(|fault| panic!("{at}: {fault}")),
        // Kinds of others: their own definitions read them where they are installed.
        None => {
            assert!(object["apiVersion"].as_str().is_some_and(|version| OTHERS.contains(&version)), "{at}: {object}");
        }
    }
}

/// Versions of kinds that Kubernetes does not have.
const OTHERS: [&str; 3] = ["keda.sh/v1alpha1", "argoproj.io/v1alpha1", "cert-manager.io/v1"];

#[test]
fn helm_commands_in_documents_set_values_of_the_chart() {
    let commands: Vec<String> = of_language("sh").iter().flat_map(Block::commands).collect();
    let mut seen = 0;
    for command in commands.iter().filter(|command| command.starts_with("helm ")) {
        let words: Vec<&str> = command.split_whitespace().map(|word| word.trim_matches('\'')).collect();
        let pairs = words.windows(2).filter(|pair| pair[0].starts_with("--set"));
        let flags: Vec<String> = pairs.map(|pair| pair.join("=")).collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        render(&flags).unwrap_or_else(|fault| panic!("{command}: {fault}"));
        seen += flags.len();
    }
    assert!(seen > 1, "only {seen} values found in helm commands of the documents");
}

#[test]
fn manifests_in_documents_are_valid() {
    let (mut objects, mut fragments) = (0, BTreeSet::new());
    for block in of_language("yaml") {
        let at = format!("{}:{}", block.page, block.line);
        for document in documents(&at, &block.text) {
            if document["kind"].is_string() {
                assert_valid(&at, &document);
                objects += 1;
            } else {
                let key = document.as_object().and_then(|fragment| fragment.keys().next().cloned());
                let key = key.unwrap_or_else(|| panic!("{at}: no mapping"));
                assert_fragment(&at, &key, &document);
                fragments.insert(key);
            }
        }
    }
    assert!(objects > 0 && fragments.len() > 2, "{objects} objects, {fragments:?}");
}

/// Part of a manifest or of a file of settings, known by the first key of its alphabet.
fn assert_fragment(at: &str, key: &str, document: &Value) {
    let reference = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    match key {
        "metrics" if document["metrics"].is_array() => {
            let spec = json!({"scaleTargetRef": reference, "maxReplicas": 2, "metrics": document["metrics"]});
            let kind = ("autoscaling/v2", "HorizontalPodAutoscaler");
            assert_valid(at, &json!({"apiVersion": kind.0, "kind": kind.1, "metadata": {"name": "web"}, "spec": spec}));
        }
        // The chart's values: the whole block is one file.
        "namespaces" | "defaults" | "networkPolicy" | "metrics" => {
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), document.to_string()).unwrap();
            let flag = format!("--values={}", file.path().display());
            render(&[&flag]).unwrap_or_else(|fault| panic!("{at}: {fault}"));
        }
        // Of Argo CD, the Prometheus adapter, and Prometheus, which `make alerts` asks.
        "metadata" | "spec" | "externalRules" | "scrape_configs" => {}
        _ => panic!("{at}: {key}: this test does not know of what it is a part; add it"),
    }
}

#[test]
fn examples_are_valid() {
    let mut kinds = BTreeSet::new();
    for entry in fs::read_dir(path("examples")).unwrap() {
        let file = entry.unwrap().path();
        let at = file.display().to_string();
        for object in documents(&at, &fs::read_to_string(&file).unwrap()) {
            assert_valid(&at, &object);
            kinds.insert(object["kind"].as_str().unwrap().to_owned());
        }
    }
    for kind in ["Deployment", "StatefulSet", "HorizontalPodAutoscaler", "ScaledObject", "Application"] {
        assert!(kinds.contains(kind), "no example has a {kind}: {kinds:?}");
    }
}

/// KEDA would never scale a workload that is not there, or by a series that nobody exposes.
#[test]
fn the_keda_example_scales_the_sample_by_an_existing_metric() {
    let read = |name: &str| documents(name, &fs::read_to_string(path(name)).unwrap());
    let scaled = read("examples/keda.yaml").remove(0);
    let web = read("examples/web.yaml").remove(0);
    assert_eq!(scaled["spec"]["scaleTargetRef"]["name"], web["metadata"]["name"]);
    let query = scaled["spec"]["triggers"][0]["metadata"]["query"].as_str().unwrap();
    let asked = crate::monitoring::asked(query);
    assert!(!asked.is_empty() && asked.is_subset(&crate::monitoring::documented()), "{query}");
}

/// What pages tell people to ask Prometheus for.
#[test]
fn queries_in_documents_use_existing_metrics() {
    let queries = of_language("promql");
    assert!(queries.len() > 2, "{queries:?}");
    for query in queries {
        let asked = crate::monitoring::asked(&query.text);
        assert!(!asked.is_empty() && asked.is_subset(&crate::monitoring::documented()), "{query:?}");
    }
}

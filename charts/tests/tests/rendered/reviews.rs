//! Which objects API servers send for review, and what they do without a response.

use chart_tests::render::rendered;
use serde_json::{Value, json};

fn webhook(flags: &[&str]) -> Value {
    rendered(flags).one("MutatingWebhookConfiguration")["webhooks"][0].clone()
}

#[test]
fn the_webhook_configuration_fails_open() {
    let webhook = webhook(&[]);
    assert_eq!(webhook["failurePolicy"], "Ignore");
    assert!((2..=5).contains(&webhook["timeoutSeconds"].as_u64().unwrap()));
    assert_eq!(webhook["sideEffects"], "None");
    assert_eq!(webhook["reinvocationPolicy"], "IfNeeded");
}

#[test]
fn the_webhook_reviews_the_configured_kinds() {
    let asked = |flags: &[&str]| -> Vec<(Value, Value, Value)> {
        let webhook = webhook(flags);
        let rules = webhook["rules"].as_array().unwrap().iter();
        rules
            .map(|rule| (rule["apiGroups"][0].clone(), rule["resources"][0].clone(), rule["operations"].clone()))
            .collect()
    };
    let both = json!(["CREATE", "UPDATE"]);
    let deployments = (json!("apps"), json!("deployments"), both.clone());
    assert_eq!(asked(&[]), [deployments]);
    let expected = [
        (json!("apps"), json!("statefulsets"), both.clone()),
        (json!(""), json!("pods"), json!(["CREATE"])),
        (json!("argoproj.io"), json!("rollouts"), both),
    ];
    assert_eq!(asked(&["--set=webhook.kinds={StatefulSet,Pod,Rollout}"]), expected);
}

#[test]
fn its_own_and_opted_out_namespaces_are_not_reviewed() {
    let webhook = webhook(&["--set=namespaces.excluded={kube-system,other}"]);
    let expected = json!([
        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "other", "evenkeel"]},
        {"key": "evenkeel.dev/inject", "operator": "NotIn", "values": ["disabled"]},
    ]);
    assert_eq!(webhook["namespaceSelector"], json!({"matchExpressions": expected}));
}

#[test]
fn reviews_can_be_limited_to_selected_namespaces() {
    let webhook = webhook(&["--set-string=namespaces.matchLabels.team=x"]);
    assert_eq!(webhook["namespaceSelector"]["matchLabels"], json!({"team": "x"}));
    assert_eq!(webhook["namespaceSelector"]["matchExpressions"].as_array().unwrap().len(), 2);
}

#[test]
fn only_objects_with_an_evenkeel_annotation_are_reviewed() {
    let webhook = webhook(&[]);
    let conditions = webhook["matchConditions"].as_array().unwrap();
    assert_eq!(conditions.len(), 1);
    assert!(conditions[0]["expression"].as_str().unwrap().contains("startsWith('evenkeel.dev/')"));
}

#[test]
fn the_webhook_configuration_refers_to_the_releases_service() {
    let rendered = rendered(&[]);
    let service = &rendered.one("MutatingWebhookConfiguration")["webhooks"][0]["clientConfig"]["service"];
    assert_eq!(service["name"], rendered.one("Service")["metadata"]["name"]);
    let ports = rendered.one("Service")["spec"]["ports"].as_array().unwrap();
    assert!(ports.iter().any(|port| port["port"] == service["port"]));
}

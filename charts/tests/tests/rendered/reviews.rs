//! Which objects API servers ask about, and what they do without an answer.

use chart_tests::render::rendered;
use serde_json::{Value, json};

fn webhook(flags: &[&str]) -> Value {
    rendered(flags).one("MutatingWebhookConfiguration")["webhooks"][0].clone()
}

#[test]
fn pods_always_start() {
    let webhook = webhook(&[]);
    assert_eq!(webhook["failurePolicy"], "Ignore");
    assert!((2..=5).contains(&webhook["timeoutSeconds"].as_u64().unwrap()));
    assert_eq!(webhook["sideEffects"], "None");
    assert_eq!(webhook["reinvocationPolicy"], "IfNeeded");
}

#[test]
fn it_is_asked_about_the_kinds_that_are_wanted() {
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
fn neither_its_own_namespace_nor_one_that_opted_out() {
    let webhook = webhook(&["--set=namespaces.excluded={kube-system,other}"]);
    let expected = json!([
        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "other", "evenkeel"]},
        {"key": "evenkeel.dev/inject", "operator": "NotIn", "values": ["disabled"]},
    ]);
    assert_eq!(webhook["namespaceSelector"], json!({"matchExpressions": expected}));
}

#[test]
fn at_first_a_few_namespaces() {
    let webhook = webhook(&["--set-string=namespaces.matchLabels.team=x"]);
    assert_eq!(webhook["namespaceSelector"]["matchLabels"], json!({"team": "x"}));
    assert_eq!(webhook["namespaceSelector"]["matchExpressions"].as_array().unwrap().len(), 2);
}

#[test]
fn only_objects_that_carry_an_annotation_of_ours() {
    let webhook = webhook(&[]);
    let conditions = webhook["matchConditions"].as_array().unwrap();
    assert_eq!(conditions.len(), 1);
    assert!(conditions[0]["expression"].as_str().unwrap().contains("startsWith('evenkeel.dev/')"));
}

#[test]
fn the_service_is_that_of_the_release() {
    let rendered = rendered(&[]);
    let service = &rendered.one("MutatingWebhookConfiguration")["webhooks"][0]["clientConfig"]["service"];
    assert_eq!(service["name"], rendered.one("Service")["metadata"]["name"]);
    let ports = rendered.one("Service")["spec"]["ports"].as_array().unwrap();
    assert!(ports.iter().any(|port| port["port"] == service["port"]));
}

//! Annotations that change what is injected.

use inject::{Decision, Outcome};
use serde_json::{Value, json};

use crate::workload::{
    DEPLOYMENT, app, app_mut, applied, apply_over, assert_sound, client_side_apply, converges, injected, original,
    outcome,
};

#[test]
fn an_edited_annotation_results_in_one_operation() {
    let mut arrived = injected(&original());
    arrived["metadata"]["annotations"]["evenkeel.dev/max-requests"] = json!("7");
    let Outcome::Inject { patch, .. } = outcome(&arrived) else { panic!("expected a patch") };
    let expected = json!([
        {"op": "replace", "path": "/spec/template/spec/initContainers/2/env/0/value", "value": "7"},
    ]);
    assert_eq!(serde_json::to_value(patch).unwrap(), expected);
}

/// The volume and its mount, with and without defaults of the API server.
#[test]
fn the_certificate_volume_is_added_and_removed() {
    let mut author = original();
    author["metadata"]["annotations"]["evenkeel.dev/tls-secret"] = json!("web-tls");
    let updated = injected(&with_annotations_of(injected(&original()), &author));
    assert_sound(&updated);
    for place in ["/spec/template/spec/volumes", "/spec/template/spec/initContainers/2/volumeMounts"] {
        assert!(updated.pointer(place).is_some(), "{place}");
        assert_eq!(updated.pointer(place), injected(&author).pointer(place));
    }
    let mut live = injected(&author);
    live["spec"]["template"]["spec"]["volumes"][0]["secret"]["defaultMode"] = json!(420);
    assert_eq!(outcome(&live).decision(), Decision::Unchanged);
    converges(&with_annotations_of(live, &original()), &original());

    let mut renewed = author.clone();
    renewed["metadata"]["annotations"]["evenkeel.dev/tls-secret"] = json!("web-tls-2");
    converges(&with_annotations_of(injected(&author), &renewed), &renewed);
}

fn with_annotations_of(mut object: Value, author: &Value) -> Value {
    object["metadata"]["annotations"] = author["metadata"]["annotations"].clone();
    object
}

#[test]
fn an_unknown_namespace_changes_no_interception() {
    use inject::{Installation, NamespaceFacts, PodSecurity, inject};
    let restricted = NamespaceFacts { pod_security: PodSecurity::Restricted, ..NamespaceFacts::default() };
    let installation = Installation::default();
    let injection =
        |object: &Value, namespace: Option<&NamespaceFacts>| inject(object, DEPLOYMENT, namespace, &installation);
    let live = applied(&original(), &injection(&original(), Some(&restricted)));
    assert_eq!(app(&live)["ports"][0]["name"], "app-8080");
    assert_eq!(injection(&live, None).decision(), Decision::Unchanged);
    assert_eq!(injection(&live, Some(&NamespaceFacts::default())).decision(), Decision::Injected);
}

#[test]
fn an_invalid_annotation_leaves_an_injection_unchanged() {
    let fault = |mut object: Value| {
        object["metadata"]["annotations"]["evenkeel.dev/max-requests"] = json!("1e3");
        object
    };
    let live = fault(injected(&original()));
    assert_eq!((outcome(&live).decision(), outcome(&live).patch()), (Decision::Invalid, None));
    // An apply of the manifest with the fault must be as valid as without the injection.
    let arrived = client_side_apply(&live, &fault(original()));
    assert_ne!(arrived, live);
    assert_eq!(applied(&arrived, &outcome(&arrived)), live);
    // New handlers of the author are kept.
    let mut author = fault(original());
    app_mut(&mut author)["livenessProbe"] = json!({"tcpSocket": {"port": 9000}});
    app_mut(&mut author)["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 3}}});
    let arrived = apply_over(&live, &original(), &author);
    let result = applied(&arrived, &outcome(&arrived));
    assert_eq!(app(&result)["livenessProbe"], json!({"tcpSocket": {"port": 9000}}));
    assert_eq!(app(&result)["lifecycle"], app(&author)["lifecycle"]);
    // Probes of a missing proxy would fail.
    let mut arrived = live;
    arrived["spec"]["template"]["spec"]["initContainers"] =
        original()["spec"]["template"]["spec"]["initContainers"].clone();
    assert_eq!(applied(&arrived, &outcome(&arrived)), fault(original()));
}

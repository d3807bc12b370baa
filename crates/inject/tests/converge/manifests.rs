//! Manifests that are applied to an injected workload.

use inject::{Outcome, remove};
use serde_json::{Value, json};

use crate::workload::{
    DEPLOYMENT, app, app_mut, applied, apply_over, client_side_apply, converges, injected, original, outcome,
};

#[test]
fn the_same_manifest_applied_again_converges() {
    let arrived = client_side_apply(&injected(&original()), &original());
    assert_eq!(app(&arrived)["livenessProbe"], app(&original())["livenessProbe"]);
    converges(&arrived, &original());
    let Outcome::Inject { patch, .. } = outcome(&arrived) else { panic!("expected a patch") };
    assert!(patch.iter().all(|operation| operation.path().to_string().ends_with("/tcpSocket/port")), "{patch}");
}

#[test]
fn a_changed_manifest_applied_converges() {
    let mut author = original();
    let edited = app_mut(&mut author);
    edited["ports"] = json!([{"name": "http", "containerPort": 9090}]);
    edited["livenessProbe"] = json!({"tcpSocket": {"port": 9090}});
    edited["readinessProbe"] = json!({"exec": {"command": ["true"]}});
    let arrived = apply_over(&injected(&original()), &original(), &author);
    converges(&arrived, &author);
    let result = applied(&arrived, &outcome(&arrived));
    assert_eq!(app(&result)["livenessProbe"], json!({"tcpSocket": {"port": 15220}}));
    assert_eq!(app(&result)["readinessProbe"], json!({"exec": {"command": ["true"]}}));
    let env = &result["spec"]["template"]["spec"]["initContainers"][1]["env"];
    assert_eq!(env[0]["value"], "9090");
    assert_eq!(env[1], json!({"name": "EVENKEEL_PROBES", "value": "15220=9090"}));
    // Until the review, the author's hook is a second handler beside ours.
    app_mut(&mut author)["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 3}}});
    let arrived = apply_over(&injected(&original()), &original(), &author);
    converges(&arrived, &author);
    assert_eq!(outcome(&arrived).warnings(), ["evenkeel: web has its own preStop: not held for the drain"]);
}

#[test]
fn an_exported_injection_applied_as_a_manifest_converges() {
    // `kubectl get -o yaml` without the status.
    let mut arrived = injected(&original());
    arrived["spec"]["template"]["metadata"].as_object_mut().unwrap().remove("annotations");
    let mut author = original();
    app_mut(&mut author)["livenessProbe"]["tcpSocket"] = json!({"port": 8080});
    converges(&arrived, &author);
}

#[test]
fn added_removed_and_renamed_containers_converge() {
    let mut author = original();
    let containers =
        |object: &mut Value| object["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().clone();
    let mut arrived = injected(&original());
    for object in [&mut author, &mut arrived] {
        let more = json!({"name": "more", "image": "a", "ports": [{"containerPort": 7000}]});
        let mut list = containers(object);
        list.insert(0, more);
        object["spec"]["template"]["spec"]["containers"] = json!(list);
    }
    converges(&arrived, &author);
    for object in [&mut author, &mut arrived] {
        object["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().remove(0);
    }
    converges(&arrived, &author);
    for object in [&mut author, &mut arrived] {
        app_mut(object)["name"] = json!("renamed");
    }
    // The record is of the old name, so the port's name cannot be restored.
    app_mut(&mut author)["livenessProbe"]["tcpSocket"] = json!({"port": 8080});
    converges(&arrived, &author);
}

#[test]
fn containers_without_a_usable_name_are_not_held() {
    // The API server rejects them, but only after the review.
    for name in ["", "a,9", "a=b"] {
        let mut author = original();
        app_mut(&mut author)["name"] = json!(name);
        converges(&injected(&author), &author);
    }
}

/// A native sidecar of the author, before and after ours, in a new and in an injected workload.
#[test]
fn a_sidecar_that_serves_an_intercepted_port_is_an_app() {
    let gateway = json!({"name": "gateway", "image": "a", "restartPolicy": "Always",
        "ports": [{"name": "https", "containerPort": 8443}], "startupProbe": {"tcpSocket": {"port": "https"}}});
    let with_gateway = |mut object: Value, place: usize| {
        let list = object["spec"]["template"]["spec"]["initContainers"].as_array_mut().unwrap();
        list.insert(place, gateway.clone());
        object
    };
    let author = with_gateway(original(), 1);
    let names = |object: &Value| {
        let list = object["spec"]["template"]["spec"]["initContainers"].as_array().unwrap();
        list.iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let live = injected(&author);
    assert_eq!(names(&live), ["migrate", "recycling-proxy-redirect", "recycling-proxy", "gateway"]);
    let of_gateway = &live["spec"]["template"]["spec"]["initContainers"][3];
    assert_eq!(of_gateway["startupProbe"]["tcpSocket"]["port"], 15221);
    assert_eq!(of_gateway["lifecycle"]["preStop"]["httpGet"]["port"], 15219);
    converges(&with_gateway(injected(&original()), 1), &author);
    converges(&with_gateway(injected(&original()), 3), &author);
    let restored = applied(&live, &remove(&live, DEPLOYMENT));
    assert_eq!(restored.to_string(), author.to_string());
    // By its name, without an app that declares a port.
    let mut alone = with_gateway(original(), 0);
    alone["spec"]["template"]["spec"]["containers"] = json!([{"name": "web", "image": "a"}]);
    alone["metadata"]["annotations"]["evenkeel.dev/ports"] = json!("https");
    assert_eq!(names(&injected(&alone)), ["recycling-proxy-redirect", "recycling-proxy", "gateway", "migrate"]);
    // A sidecar without an intercepted port is not changed.
    let mut other = with_gateway(original(), 0);
    other["metadata"]["annotations"]["evenkeel.dev/ports"] = json!("http");
    assert_eq!(names(&injected(&other)), ["gateway", "migrate", "recycling-proxy-redirect", "recycling-proxy"]);
    assert_eq!(injected(&other)["spec"]["template"]["spec"]["initContainers"][0], gateway);
}

//! A workload to inject into, and what must hold of it afterwards.

use std::collections::{BTreeMap, BTreeSet};

use inject::{Outcome, WorkloadKind, inject};
use serde_json::{Value, json};

/// The kind of every workload here.
pub(crate) const DEPLOYMENT: WorkloadKind = WorkloadKind::Deployment;

/// A Deployment as its author wrote it.
pub(crate) fn original() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "annotations": {"evenkeel.dev/max-requests": "1000"}},
        "spec": {"template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "initContainers": [{"name": "migrate", "image": "a"}],
                "containers": [{
                    "name": "web",
                    "image": "a",
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "livenessProbe": {"periodSeconds": 7, "tcpSocket": {"port": "http"}},
                    "readinessProbe": {"tcpSocket": {"port": 8080}},
                }],
            },
        }},
    })
}

/// What comes of a workload without defaults of an installation.
pub(crate) fn outcome(object: &Value) -> Outcome {
    inject(object, DEPLOYMENT, None, &BTreeMap::new())
}

/// The object with the outcome's patch applied.
pub(crate) fn applied(object: &Value, outcome: &Outcome) -> Value {
    let mut object = object.clone();
    if let Some(patch) = outcome.patch() {
        json_patch::patch(&mut object, patch).unwrap_or_else(|error| panic!("{error}\n{patch}\n{object}"));
    }
    object
}

/// The object after one injection.
pub(crate) fn injected(object: &Value) -> Value {
    applied(object, &outcome(object))
}

/// The first app container.
#[allow(dead_code, reason = "each test crate uses its part of this module")]
pub(crate) fn app(object: &Value) -> &Value {
    &object["spec"]["template"]["spec"]["containers"][0]
}

/// The first app container, to be edited.
#[allow(dead_code, reason = "each test crate uses its part of this module")]
pub(crate) fn app_mut(object: &mut Value) -> &mut Value {
    &mut object["spec"]["template"]["spec"]["containers"][0]
}

/// What a client-side apply of `author`'s manifest makes of a live object: members that it names are back, what it never named
/// stays.
#[allow(dead_code, reason = "each test crate uses its part of this module")]
pub(crate) fn client_side_apply(live: &Value, author: &Value) -> Value {
    let mut merged = live.clone();
    json_merge(
        &mut merged["spec"]["template"]["spec"]["containers"][0],
        &author["spec"]["template"]["spec"]["containers"][0],
    );
    merged
}

#[allow(dead_code, reason = "each test crate uses its part of this module")]
fn json_merge(into: &mut Value, from: &Value) {
    let (Value::Object(into), Value::Object(from)) = (&mut *into, from) else {
        into.clone_from(from);
        return;
    };
    for (key, value) in from {
        json_merge(into.entry(key.clone()).or_insert(Value::Null), value);
    }
}

/// Asserts that `arrived` becomes what a fresh injection of `author`'s would be.
#[allow(dead_code, reason = "each test crate uses its part of this module")]
#[track_caller]
pub(crate) fn converges(arrived: &Value, author: &Value) {
    let result = applied(arrived, &outcome(arrived));
    assert_eq!(result, injected(author));
    assert_sound(&result);
}

/// Asserts what must hold of every injected object: it is one that the API server takes, and another injection has nothing
/// to do.
pub(crate) fn assert_sound(object: &Value) {
    let spec = &object["spec"]["template"]["spec"];
    let init: Vec<&Value> = spec["initContainers"].as_array().unwrap().iter().collect();
    let names: BTreeSet<&str> = init.iter().filter_map(|container| container["name"].as_str()).collect();
    let by_name = object.to_string().contains("portNames");
    assert!(names.contains("recycling-proxy"), "{object}");
    assert_eq!(names.contains("recycling-proxy-redirect"), !by_name, "{object}");
    assert_eq!(names.len(), init.len(), "{object}");
    for container in init.iter().filter(|container| container["name"].as_str().unwrap().starts_with("recycling-proxy"))
    {
        for resource in ["cpu", "memory"] {
            assert!(container["resources"]["requests"][resource].is_string(), "{object}");
            assert!(container["resources"]["limits"][resource].is_string(), "{object}");
        }
    }
    let proxy = init.iter().find(|container| container["name"] == "recycling-proxy").unwrap();
    let names: Vec<&Value> = proxy["ports"].as_array().unwrap().iter().map(|port| &port["name"]).collect();
    assert!((1..names.len()).all(|index| !names[..index].contains(&names[index])), "{object}");
    assert_eq!(names.len() > 1, by_name, "{object}");
    for container in init.into_iter().chain(spec["containers"].as_array().unwrap()) {
        for holder in ["/livenessProbe", "/readinessProbe", "/startupProbe", "/lifecycle/preStop"] {
            let handlers = ["exec", "grpc", "httpGet", "sleep", "tcpSocket"];
            let holder = container.pointer(holder).and_then(Value::as_object);
            let is_there = |kind: &&str| holder.is_some_and(|holder| holder.get(*kind).is_some_and(|it| !it.is_null()));
            assert!(handlers.iter().filter(|kind| is_there(kind)).count() <= 1, "{object}");
        }
    }
    assert_eq!(outcome(object).patch(), None, "{object}");
}

//! A workload to inject into, and what must hold of it afterwards.

use std::collections::BTreeSet;

use inject::{Installation, Outcome, WorkloadKind, inject};
use serde_json::{Value, json};

/// The kind of every workload here.
pub(crate) const DEPLOYMENT: WorkloadKind = WorkloadKind::Deployment;

/// Returns a Deployment as its author wrote it.
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

/// Of RFC 8410 §10.1.
const BALANCE_KEY: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

/// Returns what comes of a workload in an installation with a balancer, and without defaults.
pub(crate) fn outcome(object: &Value) -> Outcome {
    let installation = Installation { balance_keys: BALANCE_KEY.parse().ok(), ..Installation::default() };
    inject(object, DEPLOYMENT, None, &installation)
}

/// Returns the object with the outcome's patch applied.
pub(crate) fn applied(object: &Value, outcome: &Outcome) -> Value {
    let mut object = object.clone();
    if let Some(patch) = outcome.patch() {
        json_patch::patch(&mut object, patch).unwrap_or_else(|error| panic!("{error}\n{patch}\n{object}"));
    }
    object
}

/// Returns the object after one injection.
pub(crate) fn injected(object: &Value) -> Value {
    applied(object, &outcome(object))
}

/// Returns the first app container.
#[allow(dead_code, reason = "each test crate uses its part of this module")]
pub(crate) fn app(object: &Value) -> &Value {
    &object["spec"]["template"]["spec"]["containers"][0]
}

/// Returns the first app container, to be edited.
#[allow(dead_code, reason = "each test crate uses its part of this module")]
pub(crate) fn app_mut(object: &mut Value) -> &mut Value {
    &mut object["spec"]["template"]["spec"]["containers"][0]
}

/// Returns what an apply of `author`'s manifest, which is the one of before, makes of a live object.
#[allow(dead_code, reason = "each test crate uses its part of this module")]
pub(crate) fn client_side_apply(live: &Value, author: &Value) -> Value {
    apply_over(live, author, author)
}

/// Returns what an apply of `author`'s manifest makes of a live object to which `last` was applied: a strategic merge
/// by three ways, as kubectl and Helm 3 do it. What the author says holds; what they said before and say no more goes;
/// what they never said stays. A server-side apply by one manager comes to the same.
#[allow(dead_code, reason = "each test crate uses its part of this module")]
pub(crate) fn apply_over(live: &Value, last: &Value, author: &Value) -> Value {
    merged("", Some(live), Some(last), author)
}

#[allow(dead_code, reason = "each test crate uses its part of this module")]
fn merged(key: &str, live: Option<&Value>, last: Option<&Value>, author: &Value) -> Value {
    match (live, author) {
        (Some(Value::Object(live)), Value::Object(author)) => {
            let mut object = live.clone();
            for key in last.and_then(Value::as_object).into_iter().flat_map(serde_json::Map::keys) {
                if !author.contains_key(key) {
                    object.shift_remove(key);
                }
            }
            for (key, value) in author {
                let value = merged(key, live.get(key), last.and_then(|last| last.get(key)), value);
                object.insert(key.clone(), value);
            }
            Value::Object(object)
        }
        (Some(Value::Array(live)), Value::Array(author)) => match merge_key(key) {
            Some(merge_key) => Value::Array(merged_by(merge_key, live, last.and_then(Value::as_array), author)),
            None => Value::Array(author.clone()),
        },
        (_, author) => author.clone(),
    }
}

/// By what the entries of a list are told apart; other lists are replaced as a whole.
#[allow(dead_code, reason = "each test crate uses its part of this module")]
fn merge_key(list: &str) -> Option<&'static str> {
    match list {
        "containers" | "initContainers" | "env" | "volumes" => Some("name"),
        "ports" => Some("containerPort"),
        _ => None,
    }
}

#[allow(dead_code, reason = "each test crate uses its part of this module")]
fn merged_by(key: &str, live: &[Value], last: Option<&Vec<Value>>, author: &[Value]) -> Vec<Value> {
    let find = |list: &[Value], entry: &Value| list.iter().find(|other| other.get(key) == entry.get(key)).cloned();
    let last = last.map_or(&[][..], Vec::as_slice);
    let stays = |entry: &&Value| find(last, entry).is_none() || find(author, entry).is_some();
    let mut entries: Vec<Value> = live.iter().filter(stays).cloned().collect();
    for entry in author {
        let merged = merged("", find(live, entry).as_ref(), find(last, entry).as_ref(), entry);
        match entries.iter_mut().find(|other| other.get(key) == entry.get(key)) {
            Some(place) => *place = merged,
            None => entries.push(merged),
        }
    }
    entries
}

/// Asserts that `arrived` becomes what a fresh injection of `author`'s would be.
#[allow(dead_code, reason = "each test crate uses its part of this module")]
#[track_caller]
pub(crate) fn converges(arrived: &Value, author: &Value) {
    let result = applied(arrived, &outcome(arrived));
    assert_eq!(result, injected(author));
    assert_sound(&result);
}

/// Asserts what must hold of every injected object: it is one that the API server takes, and another injection has
/// nothing to do.
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
        }
        assert!(container["resources"]["limits"]["memory"].is_string(), "{object}");
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

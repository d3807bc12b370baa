//! Applies without a review: the webhook is unavailable or uninstalled, or the namespace has opted out. The API server
//! merges the injection with the applied manifest. The result must be valid, and the author's fields must have nothing
//! of ours.

use crate::workload::{DEPLOYMENT, app, app_mut, applied, apply_over, converges, injected, original, outcome};
use inject::Decision;
use serde_json::{Map, Value, json};

/// Returns changes of a container in the next manifest, member by member; null removes one.
fn edits() -> Vec<Value> {
    vec![
        json!({}),
        json!({"image": "b"}),
        // Each kind of probe, with its required members.
        json!({"readinessProbe": {"httpGet": {"port": "http"}}}),
        json!({"readinessProbe": {"httpGet": {"port": 8080}}, "livenessProbe": {"httpGet": {"port": "http", "host": ""}}}),
        json!({"readinessProbe": {"grpc": {"port": 8080}}}),
        json!({"readinessProbe": {"exec": {"command": ["true"]}}}),
        json!({"readinessProbe": {"tcpSocket": {"port": 9090}}}),
        json!({"readinessProbe": {"tcpSocket": {"port": 8080, "host": "db"}}}),
        json!({"readinessProbe": null, "livenessProbe": null}),
        json!({"startupProbe": {"tcpSocket": {"port": "http"}}}),
        // Hooks.
        json!({"lifecycle": {"preStop": {"httpGet": {"port": "http"}}}}),
        json!({"lifecycle": {"preStop": {"httpGet": {"port": 8080, "path": "/leave", "scheme": "HTTPS"}}}}),
        json!({"lifecycle": {"preStop": {"httpGet": {"port": 9090, "httpHeaders": [{"name": "A", "value": "b"}]}}}}),
        json!({"lifecycle": {"postStart": {"httpGet": {"port": "http"}}}}),
        json!({"lifecycle": {"stopSignal": "SIGINT"}}),
        // Ports and their names.
        json!({"ports": [{"containerPort": 8080}], "livenessProbe": {"tcpSocket": {"port": 8080}}}),
        json!({"ports": [{"name": "web", "containerPort": 8080}], "livenessProbe": {"tcpSocket": {"port": "web"}}}),
        json!({"ports": [{"name": "http", "containerPort": 9090}]}),
        json!({"ports": [{"name": "http", "containerPort": 8080}, {"name": "more", "containerPort": 7000}]}),
    ]
}

fn edited(mut object: Value, edit: &Value) -> Value {
    for (key, value) in edit.as_object().unwrap() {
        match value {
            Value::Null => _ = app_mut(&mut object).as_object_mut().unwrap().remove(key),
            value => app_mut(&mut object)[key] = value.clone(),
        }
    }
    object
}

/// Returns the container as an API server stores it, as far as fields that authors leave out have a default in a
/// handler or port.
fn with_defaults(container: &Value) -> Value {
    let mut container = container.clone();
    let holders = ["/livenessProbe", "/readinessProbe", "/startupProbe", "/lifecycle/postStart", "/lifecycle/preStop"];
    for holder in holders {
        if let Some(Value::Object(get)) = container.pointer_mut(&format!("{holder}/httpGet")) {
            for (key, value) in [("path", "/"), ("scheme", "HTTP")] {
                get.entry(key).or_insert_with(|| json!(value));
            }
        }
        if let Some(Value::Object(grpc)) = container.pointer_mut(&format!("{holder}/grpc")) {
            grpc.entry("service").or_insert_with(|| json!(""));
        }
    }
    for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        port.as_object_mut().unwrap().entry("protocol").or_insert_with(|| json!("TCP"));
    }
    container
}

/// Returns the object as an API server stores it.
fn stored(mut object: Value) -> Value {
    *app_mut(&mut object) = with_defaults(app(&object));
    object
}

/// Returns the object without our hook, which stays if the author has none.
fn without_our_hook(mut container: Value) -> Value {
    let ports = 15_212..=15_219;
    let ours = container.pointer("/lifecycle/preStop/httpGet/port").and_then(Value::as_u64);
    if ours.is_some_and(|port| ports.contains(&port)) {
        let lifecycle = container["lifecycle"].as_object_mut().unwrap();
        lifecycle.remove("preStop");
        if lifecycle.is_empty() {
            container.as_object_mut().unwrap().remove("lifecycle");
        }
    }
    container
}

fn sorted(object: &Value) -> Map<String, Value> {
    let mut members: Vec<_> = object.as_object().unwrap().clone().into_iter().collect();
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    members.into_iter().collect()
}

#[test]
fn an_unreviewed_apply_leaves_no_field_of_ours_in_the_authors_fields() {
    for settings in [
        json!({}),
        json!({"evenkeel.dev/interception": "named-port"}),
        json!({"evenkeel.dev/interception": "named-port", "evenkeel.dev/proxy-protocol": "v1"}),
        json!({"evenkeel.dev/proxy-protocol": "v2"}),
    ] {
        let mut first = original();
        first["metadata"]["annotations"].as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let live = stored(injected(&first));
        for edit in edits() {
            let author = edited(first.clone(), &edit);
            let arrived = stored(apply_over(&live, &first, &author));
            let (merged, said) = (without_our_hook(app(&arrived).clone()), with_defaults(app(&author)));
            assert_eq!(sorted(&merged), sorted(&said), "{settings} {edit}");
            let author = stored(author);
            match outcome(&author).decision() {
                Decision::Injected => converges(&arrived, &author),
                // A port without a name has none to intercept.
                Decision::Skipped => assert_eq!(applied(&arrived, &outcome(&arrived)), author),
                decision => panic!("{settings} {edit}: {decision:?}"),
            }
            let restored = applied(&arrived, &inject::remove(&arrived, DEPLOYMENT));
            assert_eq!(sorted(app(&restored)), sorted(&said), "{settings} {edit}");
        }
    }
}

/// Known limit (docs/INSTALL.md): a first hook of the author that cannot wait.
#[test]
fn an_unreviewed_hook_of_another_kind_stays_beside_ours_until_a_review() {
    let author = edited(original(), &json!({"lifecycle": {"preStop": {"exec": {"command": ["true"]}}}}));
    let arrived = apply_over(&injected(&original()), &original(), &author);
    let hook = app(&arrived)["lifecycle"]["preStop"].as_object().unwrap();
    assert_eq!(hook.keys().collect::<Vec<_>>(), ["httpGet", "exec"]);
    converges(&arrived, &author);
}

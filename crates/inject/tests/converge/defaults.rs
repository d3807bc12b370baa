//! What the API server fills in, and what an earlier version wrote, does not count as a change.

use inject::{Decision, remove};
use serde_json::{Value, json};

use crate::workload::{DEPLOYMENT, app, app_mut, applied, assert_sound, injected, original, outcome};

#[test]
fn what_the_api_server_fills_in_changes_nothing() {
    let mut live = injected(&original());
    let probe = json!({"failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1});
    for containers in ["containers", "initContainers"] {
        for container in live["spec"]["template"]["spec"][containers].as_array_mut().unwrap() {
            let defaults = json!({"imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File", "resources": {}});
            fill(container, &defaults);
            for kind in ["livenessProbe", "readinessProbe", "startupProbe"] {
                if container.get(kind).is_some() {
                    fill(&mut container[kind], &probe);
                }
            }
            for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                fill(port, &json!({"protocol": "TCP"}));
            }
        }
    }
    assert_eq!(outcome(&live).decision(), Decision::Unchanged);
    assert_eq!(outcome(&live).warnings(), [""; 0]);
}

#[test]
fn defaults_of_a_liveness_probe_change_no_variable() {
    let mut author = original();
    app_mut(&mut author)["livenessProbe"] = json!({"httpGet": {"port": "http", "httpHeaders": [{"name": "A"}]}});
    let defaults = json!({"path": "/", "scheme": "HTTP", "httpHeaders": [{"name": "A", "value": ""}], "port": "http"});
    let mut spelled = author.clone();
    app_mut(&mut spelled)["livenessProbe"] = json!({"httpGet": defaults, "timeoutSeconds": 1, "periodSeconds": 10});
    let mut live = injected(&author);
    app_mut(&mut live)["livenessProbe"] = app(&spelled)["livenessProbe"].clone();
    assert_eq!(outcome(&live).decision(), Decision::Unchanged);
    assert_eq!(live, injected(&spelled));
    let option = r#"{"web":{"httpGet":{"port":8080,"httpHeaders":[{"name":"A"}]}}}"#;
    assert!(live.to_string().contains(&json!(option).to_string()), "{live}");
}

/// An earlier version did not pass the app's liveness probe to the proxy.
#[test]
fn a_hold_hook_of_an_earlier_version_is_updated() {
    let mut arrived = injected(&original());
    let earlier = json!({"path": "/drained", "port": 15211, "scheme": "HTTP"});
    app_mut(&mut arrived)["lifecycle"]["preStop"]["httpGet"] = earlier;
    let env = arrived["spec"]["template"]["spec"]["initContainers"][2]["env"].as_array_mut().unwrap();
    let index = env.iter().position(|variable| variable["name"] == "EVENKEEL_LIVENESS");
    let liveness = env.remove(index.expect("the proxy has the probe"));
    assert_eq!(applied(&arrived, &remove(&arrived, DEPLOYMENT)), original());
    let result = injected(&arrived);
    assert_sound(&result);
    assert_eq!(app(&result), app(&injected(&original())));
    // An update appends variables.
    let env = result["spec"]["template"]["spec"]["initContainers"][2]["env"].as_array().unwrap();
    assert_eq!(env.last(), Some(&liveness));
}

/// Adds missing members.
fn fill(object: &mut Value, defaults: &Value) {
    for (key, value) in defaults.as_object().unwrap() {
        object.as_object_mut().unwrap().entry(key.clone()).or_insert_with(|| value.clone());
    }
}

//! Injection converges: a workload that is new, injected, edited or partly restored ends in the same state.
//!
//! The states are those that `kubectl apply`, `replace` and `edit` of an injected workload, the API server's defaults
//! and lost annotations lead to.

mod workload;

use inject::{Decision, Outcome, remove};
use serde_json::{Value, json};
use workload::{
    DEPLOYMENT, app, app_mut, applied, apply_over, assert_sound, client_side_apply, converges, injected, original,
    outcome,
};

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
    let told = r#"{"web":{"httpGet":{"port":8080,"httpHeaders":[{"name":"A"}]}}}"#;
    assert!(live.to_string().contains(&json!(told).to_string()), "{live}");
}

/// As an earlier version injected it: without a word of the app's probe.
#[test]
fn a_hold_hook_of_an_earlier_version_is_updated() {
    let mut arrived = injected(&original());
    let earlier = json!({"path": "/drained", "port": 15211, "scheme": "HTTP"});
    app_mut(&mut arrived)["lifecycle"]["preStop"]["httpGet"] = earlier;
    let env = arrived["spec"]["template"]["spec"]["initContainers"][2]["env"].as_array_mut().unwrap();
    let told = env.iter().position(|variable| variable["name"] == "EVENKEEL_LIVENESS");
    let told = env.remove(told.expect("the proxy is told of the probe"));
    assert_eq!(applied(&arrived, &remove(&arrived, DEPLOYMENT)), original());
    let result = injected(&arrived);
    assert_sound(&result);
    assert_eq!(app(&result), app(&injected(&original())));
    // The order of the environment tells the way by which it came.
    let env = result["spec"]["template"]["spec"]["initContainers"][2]["env"].as_array().unwrap();
    assert_eq!(env.last(), Some(&told));
}

/// Adds the members that are not there.
fn fill(object: &mut Value, defaults: &Value) {
    for (key, value) in defaults.as_object().unwrap() {
        object.as_object_mut().unwrap().entry(key.clone()).or_insert_with(|| value.clone());
    }
}

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
    // A hook beside ours is one of two handlers, until a review.
    app_mut(&mut author)["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 3}}});
    let arrived = apply_over(&injected(&original()), &original(), &author);
    converges(&arrived, &author);
    assert_eq!(outcome(&arrived).warnings(), ["evenkeel: web has its own preStop: not held for the drain"]);
}

#[test]
fn an_exported_injection_applied_as_a_manifest_converges() {
    // `kubectl get -o yaml`, the status cut out, applied as one's own.
    let mut arrived = injected(&original());
    arrived["spec"]["template"]["metadata"].as_object_mut().unwrap().remove("annotations");
    let mut author = original();
    app_mut(&mut author)["livenessProbe"]["tcpSocket"] = json!({"port": 8080});
    converges(&arrived, &author);
}

#[test]
fn removed_containers_of_ours_are_restored() {
    for name in ["recycling-proxy", "recycling-proxy-redirect"] {
        let mut arrived = injected(&original());
        let list = arrived["spec"]["template"]["spec"]["initContainers"].as_array_mut().unwrap();
        list.retain(|container| container["name"] != name);
        let result = applied(&arrived, &outcome(&arrived));
        assert_sound(&result);
        assert_eq!(outcome(&result).decision(), Decision::Unchanged);
    }
    let mut arrived = injected(&original());
    arrived["spec"]["template"]["spec"]["initContainers"] =
        original()["spec"]["template"]["spec"]["initContainers"].clone();
    converges(&arrived, &original());
}

#[test]
fn an_unreadable_status_is_replaced() {
    for status in ["", "{", "{\"version\":9}", "null"] {
        let mut arrived = injected(&original());
        arrived["spec"]["template"]["metadata"]["annotations"]["evenkeel.dev/status"] = json!(status);
        let mut author = original();
        app_mut(&mut author)["livenessProbe"]["tcpSocket"] = json!({"port": 8080});
        converges(&arrived, &author);
    }
}

#[test]
fn edited_fields_of_ours_are_restored() {
    for (place, value) in [
        ("/args", json!(["run", "--max-requests=1"])),
        ("/command", json!(["sh"])),
        ("/restartPolicy", json!(null)),
        ("/env/0/value", json!("7")),
        ("/env", json!([])),
        ("/securityContext/runAsUser", json!(0)),
        ("/securityContext/capabilities/add", json!(["SYS_ADMIN"])),
        ("/lifecycle", json!(null)),
        ("/startupProbe", json!({"exec": {"command": ["true"]}})),
    ] {
        let mut arrived = injected(&original());
        let proxy = &mut arrived["spec"]["template"]["spec"]["initContainers"][2];
        assert_eq!(proxy["name"], "recycling-proxy");
        let (parent, key) = place.rsplit_once('/').unwrap();
        let parent = proxy.pointer_mut(parent).unwrap();
        let index = key.parse::<usize>();
        *(if let Ok(index) = index { &mut parent[index] } else { &mut parent[key] }) = value;
        converges(&arrived, &original());
    }
}

#[test]
fn resources_set_by_hand_are_kept() {
    let mut arrived = injected(&original());
    let by_hand = json!({"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}});
    arrived["spec"]["template"]["spec"]["initContainers"][2]["resources"] = by_hand.clone();
    assert_eq!(outcome(&arrived).decision(), Decision::Unchanged);
    arrived["metadata"]["annotations"]["evenkeel.dev/max-requests"] = json!("7");
    let result = applied(&arrived, &outcome(&arrived));
    assert_eq!(result["spec"]["template"]["spec"]["initContainers"][2]["resources"], by_hand);
    arrived["metadata"]["annotations"]["evenkeel.dev/proxy-cpu-request"] = json!("20m");
    let result = applied(&arrived, &outcome(&arrived));
    assert_eq!(result["spec"]["template"]["spec"]["initContainers"][2]["resources"]["requests"]["cpu"], "20m");
}

#[test]
fn an_image_that_another_webhook_rewrites_is_kept() {
    let mut arrived = injected(&original());
    let image = |object: &Value| object["spec"]["template"]["spec"]["initContainers"][2]["image"].clone();
    arrived["spec"]["template"]["spec"]["initContainers"][2]["image"] = json!("mirror.example.com/proxy:1");
    assert_eq!(outcome(&arrived).decision(), Decision::Unchanged);
    arrived["metadata"]["annotations"]["evenkeel.dev/max-requests"] = json!("7");
    assert_eq!(image(&applied(&arrived, &outcome(&arrived))), "mirror.example.com/proxy:1");
    arrived["metadata"]["annotations"]["evenkeel.dev/proxy-image"] = json!("example.com/other:2");
    assert_eq!(image(&applied(&arrived, &outcome(&arrived))), "example.com/other:2");
}

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
    // The record is of a container that is not there, and with it goes the port's name.
    app_mut(&mut author)["livenessProbe"]["tcpSocket"] = json!({"port": 8080});
    converges(&arrived, &author);
}

#[test]
fn containers_without_a_usable_name_are_not_held() {
    // The API server refuses them, but only after it has asked the webhook.
    for name in ["", "a,9", "a=b"] {
        let mut author = original();
        app_mut(&mut author)["name"] = json!(name);
        converges(&injected(&author), &author);
    }
}

#[test]
fn init_containers_of_others_may_be_added_around_ours() {
    let mut arrived = injected(&original());
    let list = arrived["spec"]["template"]["spec"]["initContainers"].as_array_mut().unwrap();
    list.remove(0);
    list.insert(1, json!({"name": "between", "image": "a"}));
    list.push(json!({"name": "after", "image": "a"}));
    assert_eq!(outcome(&arrived).decision(), Decision::Unchanged);
    let restored = applied(&arrived, &remove(&arrived, DEPLOYMENT));
    let others = json!([{"name": "between", "image": "a"}, {"name": "after", "image": "a"}]);
    assert_eq!(restored["spec"]["template"]["spec"]["initContainers"], others);
}

#[test]
fn an_invalid_annotation_leaves_an_injection_unchanged() {
    let fault = |mut object: Value| {
        object["metadata"]["annotations"]["evenkeel.dev/max-requests"] = json!("1e3");
        object
    };
    let live = fault(injected(&original()));
    assert_eq!((outcome(&live).decision(), outcome(&live).patch()), (Decision::Invalid, None));
    // An apply of the manifest with the fault must be as valid as it would be without us.
    let arrived = client_side_apply(&live, &fault(original()));
    assert_ne!(arrived, live);
    assert_eq!(applied(&arrived, &outcome(&arrived)), live);
    // A new handler of the author's is what they want now.
    let mut author = fault(original());
    app_mut(&mut author)["livenessProbe"] = json!({"tcpSocket": {"port": 9000}});
    app_mut(&mut author)["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 3}}});
    let arrived = apply_over(&live, &original(), &author);
    let result = applied(&arrived, &outcome(&arrived));
    assert_eq!(app(&result)["livenessProbe"], json!({"tcpSocket": {"port": 9000}}));
    assert_eq!(app(&result)["lifecycle"], app(&author)["lifecycle"]);
    // Probes that ask a proxy that is not there would keep the pods from becoming ready.
    let mut arrived = live;
    arrived["spec"]["template"]["spec"]["initContainers"] =
        original()["spec"]["template"]["spec"]["initContainers"].clone();
    assert_eq!(applied(&arrived, &outcome(&arrived)), fault(original()));
}

#[test]
fn a_workload_that_can_no_longer_have_the_proxy_is_restored() {
    let mut arrived = injected(&original());
    let mut author = original();
    for object in [&mut arrived, &mut author] {
        object["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    }
    assert_eq!(outcome(&arrived).decision(), Decision::Skipped);
    assert_eq!(applied(&arrived, &outcome(&arrived)), author);
}

#[test]
fn opting_out_by_applying_a_manifest_removes_the_proxy() {
    let mut author = original();
    author["metadata"].as_object_mut().unwrap().remove("annotations");
    let mut arrived = client_side_apply(&injected(&original()), &original());
    arrived["metadata"].as_object_mut().unwrap().remove("annotations");
    assert_eq!(outcome(&arrived).decision(), Decision::Removed);
    assert_eq!(applied(&arrived, &outcome(&arrived)), author);
}

#[test]
fn a_proxy_written_by_hand_is_not_removed() {
    let mut by_hand = injected(&original());
    by_hand["metadata"].as_object_mut().unwrap().remove("annotations");
    by_hand["spec"]["template"]["metadata"].as_object_mut().unwrap().remove("annotations");
    assert_eq!(outcome(&by_hand), Outcome::NotAsked);
    let mut unfit = by_hand.clone();
    unfit["metadata"]["annotations"] = json!({"evenkeel.dev/max-requests": "10"});
    unfit["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    assert_eq!((outcome(&unfit).decision(), outcome(&unfit).patch()), (Decision::Skipped, None));
    let mut faulty = unfit.clone();
    faulty["metadata"]["annotations"] = json!({"evenkeel.dev/max-requests": "none"});
    assert_eq!((outcome(&faulty).decision(), outcome(&faulty).patch()), (Decision::Invalid, None));
    // Unless that is what is asked for.
    assert_eq!(remove(&by_hand, DEPLOYMENT).decision(), Decision::Removed);
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

/// The volume and its mount, whatever the API server has filled in.
#[test]
fn the_certificate_volume_is_added_and_removed() {
    let mut author = original();
    author["metadata"]["annotations"]["evenkeel.dev/tls-secret"] = json!("web-tls");
    let come = injected(&with_annotations_of(injected(&original()), &author));
    assert_sound(&come);
    // The order of the environment tells the way by which it came.
    for place in ["/spec/template/spec/volumes", "/spec/template/spec/initContainers/2/volumeMounts"] {
        assert_eq!((come.pointer(place), true), (injected(&author).pointer(place), come.pointer(place).is_some()));
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
fn a_workload_that_would_become_too_large_is_left_unchanged() {
    let annotated = |length: usize| {
        let mut object = original();
        object["spec"]["template"]["metadata"]["annotations"] = json!({"k": "x".repeat(length - 1)});
        object
    };
    // As much as an API server takes, and too much with our status beside it.
    let full = outcome(&annotated(262_144));
    assert_eq!((full.skip_reason(), full.patch()), (Some(inject::SkipReason::TooLarge), None));
    let fitting = annotated(261_000);
    let injected = applied(&fitting, &outcome(&fitting));
    assert_sound(&injected);
    // One that grew since is taken back to what its author wrote.
    let mut grown = injected;
    grown["spec"]["template"]["metadata"]["annotations"]["k"] = json!("x".repeat(262_143));
    assert_eq!(applied(&grown, &outcome(&grown)), annotated(262_144));
}

/// A native sidecar of another origin that serves, before and after ours, fresh and earlier than ours.
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
    // One that serves nothing of what is taken stays where it is, as it is.
    let mut other = with_gateway(original(), 0);
    other["metadata"]["annotations"]["evenkeel.dev/ports"] = json!("http");
    assert_eq!(names(&injected(&other)), ["gateway", "migrate", "recycling-proxy-redirect", "recycling-proxy"]);
    assert_eq!(injected(&other)["spec"]["template"]["spec"]["initContainers"][0], gateway);
}

//! Injection by port names converges, too. References to a port by name lead to the app, and probes of an app that
//! expects a PROXY header pass the proxy.

use crate::workload::{
    DEPLOYMENT, app, app_mut, applied, assert_sound, client_side_apply, converges, injected, original, outcome,
};
use inject::Decision;
use serde_json::{Value, json};

/// Returns the original with `named-port`, and its port's name in a probe and a hook.
fn by_name() -> Value {
    let mut object = original();
    object["metadata"]["annotations"]["evenkeel.dev/interception"] = json!("named-port");
    let app = app_mut(&mut object);
    app["startupProbe"] = json!({"httpGet": {"path": "/", "port": "http"}});
    app["lifecycle"] = json!({"postStart": {"tcpSocket": {"port": "http"}}});
    object
}

#[test]
fn an_injection_by_port_name_converges() {
    let live = injected(&by_name());
    assert_sound(&live);
    assert_eq!(app(&live)["ports"][0]["name"], "app-8080");
    assert_eq!(app(&live)["livenessProbe"]["tcpSocket"]["port"], "app-8080");
    converges(&client_side_apply(&live, &by_name()), &by_name());
    // A probe is put back alone, and the port's name alone.
    for place in ["/livenessProbe/tcpSocket/port", "/startupProbe/httpGet/port", "/ports/0/name"] {
        let mut arrived = live.clone();
        *app_mut(&mut arrived).pointer_mut(place).unwrap() = json!("http");
        converges(&arrived, &by_name());
    }
    let mut arrived = live.clone();
    let init = arrived["spec"]["template"]["spec"]["initContainers"].as_array_mut().unwrap();
    init.retain(|container| container["name"] != "recycling-proxy");
    converges(&arrived, &by_name());
}

#[test]
fn port_names_are_restored_without_the_status() {
    for status in [None, Some(json!("{"))] {
        let mut arrived = injected(&by_name());
        let metadata = &mut arrived["spec"]["template"]["metadata"];
        match status {
            Some(status) => metadata["annotations"]["evenkeel.dev/status"] = status,
            None => _ = metadata.as_object_mut().unwrap().remove("annotations"),
        }
        converges(&arrived, &by_name());
    }
}

#[test]
fn a_change_of_interception_converges() {
    let with = |mut object: Value, word: &str| {
        object["metadata"]["annotations"]["evenkeel.dev/interception"] = json!(word);
        object
    };
    let live = injected(&by_name());
    converges(&with(live, "redirect"), &with(by_name(), "redirect"));
    let arrived = with(injected(&with(by_name(), "redirect")), "named-port");
    let result = applied(&arrived, &outcome(&arrived));
    assert_sound(&result);
    // Variables stay in their places, and new ones come after them.
    let sorted = |mut object: Value| {
        let proxy = &mut object["spec"]["template"]["spec"]["initContainers"][1];
        proxy["env"].as_array_mut().unwrap().sort_by_key(|variable| variable["name"].to_string());
        object
    };
    assert_eq!(sorted(result), sorted(injected(&by_name())));
}

#[test]
fn a_port_renamed_by_the_author_converges() {
    let renamed = |mut object: Value, probe: &str| {
        app_mut(&mut object)["ports"][0]["name"] = json!("web");
        app_mut(&mut object)["livenessProbe"]["tcpSocket"]["port"] = json!(probe);
        app_mut(&mut object)["startupProbe"]["httpGet"]["port"] = json!(probe);
        app_mut(&mut object)["lifecycle"]["postStart"]["tcpSocket"]["port"] = json!(probe);
        object
    };
    let author = renamed(by_name(), "web");
    converges(&renamed(injected(&by_name()), "web"), &author);
    // Probes with another field manager are changed, too.
    converges(&renamed(injected(&by_name()), "app-8080"), &author);
}

#[test]
fn an_invalid_annotation_changes_no_port_name() {
    let fault = |mut object: Value| {
        object["metadata"]["annotations"]["evenkeel.dev/max-requests"] = json!("1e3");
        object
    };
    let live = fault(injected(&by_name()));
    assert_eq!((outcome(&live).decision(), outcome(&live).patch()), (Decision::Invalid, None));
    let arrived = client_side_apply(&live, &fault(by_name()));
    assert_eq!(applied(&arrived, &outcome(&arrived)), live);
}

/// Returns the same with an app that expects a header of the PROXY protocol.
fn with_header() -> Value {
    let mut object = by_name();
    object["metadata"]["annotations"]["evenkeel.dev/proxy-protocol"] = json!("v1");
    let app = app_mut(&mut object);
    app["readinessProbe"] = json!({"grpc": {"port": 8080}});
    app["lifecycle"] = json!({"postStart": {"httpGet": {"path": "/warm", "port": 8080}}});
    object
}

#[test]
fn probes_of_an_app_that_expects_a_proxy_header_go_through_the_proxy() {
    let live = injected(&with_header());
    assert_sound(&live);
    for place in ["/startupProbe/httpGet", "/readinessProbe/grpc", "/lifecycle/postStart/httpGet"] {
        assert_eq!(app(&live).pointer(place).unwrap()["port"], 15_220, "{place}");
    }
    assert_eq!(app(&live)["livenessProbe"]["tcpSocket"]["port"], "app-8080", "it says nothing");
    converges(&client_side_apply(&live, &with_header()), &with_header());
    let restored = applied(&live, &inject::remove(&live, DEPLOYMENT));
    assert_eq!(restored.to_string(), with_header().to_string());
}

#[test]
fn probes_are_restored_when_the_proxy_header_is_switched_off() {
    let off = |mut object: Value| {
        object["metadata"]["annotations"]["evenkeel.dev/proxy-protocol"] = json!("off");
        object
    };
    converges(&off(injected(&with_header())), &off(with_header()));
}

#[test]
fn an_invalid_annotation_changes_no_rewritten_probe() {
    let fault = |mut object: Value| {
        object["metadata"]["annotations"]["evenkeel.dev/max-requests"] = json!("1e3");
        object
    };
    let live = fault(injected(&with_header()));
    assert_eq!((outcome(&live).decision(), outcome(&live).patch()), (Decision::Invalid, None));
    let arrived = client_side_apply(&live, &fault(with_header()));
    assert_eq!(applied(&arrived, &outcome(&arrived)), live);
}

#[test]
fn probes_follow_the_ports_of_the_proxy() {
    let earlier = |mut object: Value| {
        let port = json!({"name": "admin", "containerPort": 7000});
        app_mut(&mut object)["ports"].as_array_mut().unwrap().push(port);
        object
    };
    let live = injected(&with_header());
    let author = earlier(with_header());
    assert_eq!(app(&injected(&author))["startupProbe"]["httpGet"]["port"], 15_221);
    converges(&earlier(live), &author);
}

#[test]
fn a_rewritten_probe_is_restored_to_the_ports_present_name() {
    let mut arrived = injected(&with_header());
    app_mut(&mut arrived)["ports"][0]["name"] = json!("web");
    let mut author = with_header();
    app_mut(&mut author)["ports"][0]["name"] = json!("web");
    app_mut(&mut author)["livenessProbe"]["tcpSocket"]["port"] = json!("web");
    app_mut(&mut author)["startupProbe"]["httpGet"]["port"] = json!("web");
    converges(&arrived, &author);
}

#[test]
fn an_app_that_is_probed_where_the_proxy_would_listen_is_skipped() {
    for (port, decision) in [(15_220, Decision::Skipped), (15_221, Decision::Injected)] {
        let mut object = by_name();
        app_mut(&mut object)["startupProbe"] = json!({"grpc": {"port": port}});
        assert_eq!(outcome(&object).decision(), decision, "{port}");
    }
}

//! The `preStop` hook that holds an app container until the drain has ended.
//!
//! Except for its port, the hook has the defaults of Kubernetes. Every author of an `httpGet` writes a port: so if a
//! `kubectl apply` merges theirs with ours and no webhook reviews it, nothing of ours is left.

use serde_json::{Map, Value, json};
use settings::HOLD_PORTS;

use crate::fields::handler;
use crate::json::empty_form::{EmptyForms, set_or_remove};

/// The default path of Kubernetes.
const PATH: &str = "/";
/// The admin endpoint that the hooks of earlier versions called; below it was one for each container whose liveness
/// probe the proxy knew.
const LEGACY_PATH: &str = "/drained";
const HOOK: &str = "preStop";

/// The fields of `lifecycle` that hold a hook.
pub(crate) const KINDS: [&str; 2] = ["postStart", "preStop"];

/// Returns the `lifecycle` of the container `name` as its author wrote it.
pub(crate) fn restored(lifecycle: Option<&Value>, name: &str, empty_forms: &EmptyForms) -> Option<Value> {
    let repaired = repaired(lifecycle);
    let Some(Value::Object(mut members)) = repaired else { return repaired };
    if hook(&members).is_some_and(is_ours) {
        set_or_remove(&mut members, HOOK, empty_forms.form(&hook_of(name)).value(json!({})));
        return empty_forms.or_empty(&lifecycle_of(name), members);
    }
    if let Some(Value::Object(hook)) = members.get_mut(HOOK) {
        without_legacy_path(hook, name);
    }
    Some(Value::Object(members))
}

/// Returns the `lifecycle` without a handler of ours beside one of the author's.
pub(crate) fn repaired(lifecycle: Option<&Value>) -> Option<Value> {
    let Some(Value::Object(members)) = lifecycle else { return lifecycle.cloned() };
    let mut members = members.clone();
    let doubled = hook(&members).filter(|hook| is_ours(hook) && handler::has_other_handler(hook, "httpGet"));
    if let Some(hook) = doubled {
        let own = handler::without(hook, "httpGet");
        members.insert(HOOK.to_owned(), Value::Object(own));
    }
    Some(Value::Object(members))
}

/// Returns whether the `lifecycle` has a `preStop` hook.
pub(crate) fn has_pre_stop(lifecycle: Option<&Value>) -> bool {
    lifecycle.and_then(|members| members.get(HOOK)).is_some_and(|hook| !hook.is_null())
}

/// Returns the `lifecycle` with our hook, which calls this port of the proxy.
pub(crate) fn with_hold(lifecycle: Option<&Value>, port: u16) -> Value {
    let mut members = lifecycle.and_then(Value::as_object).cloned().unwrap_or_default();
    members.insert(HOOK.to_owned(), json!({"httpGet": {"path": PATH, "port": port, "scheme": "HTTP"}}));
    Value::Object(members)
}

/// Records what the hook of the container `name` replaces.
pub(crate) fn note(lifecycle: Option<&Value>, name: &str, empty_forms: &mut EmptyForms) {
    empty_forms.record(&lifecycle_of(name), lifecycle);
    empty_forms.record(&hook_of(name), lifecycle.and_then(|members| members.get(HOOK)));
}

fn hook(lifecycle: &Map<String, Value>) -> Option<&Map<String, Value>> {
    lifecycle.get(HOOK)?.as_object()
}

/// Returns whether the hook is ours. No other hook calls this port and path, and without the proxy it would fail.
fn is_ours(hook: &Map<String, Value>) -> bool {
    let http = hook.get("httpGet").filter(|http| !handler::names_host(http));
    let port = http.and_then(|http| u16::try_from(http.get("port")?.as_u64()?).ok());
    let path = http.and_then(|http| http.get("path")?.as_str());
    let is_of_today = port.is_some_and(|port| HOLD_PORTS.contains(&port)) && path == Some(PATH);
    let below = handler::admin_path(hook).and_then(|path| path.strip_prefix(LEGACY_PATH));
    is_of_today || below.is_some_and(|container| container.is_empty() || container.starts_with('/'))
}

/// Removes the path that an earlier version's hook left in an author's `httpGet` without one. It names the container,
/// and is nobody else's.
fn without_legacy_path(hook: &mut Map<String, Value>, name: &str) {
    let Some(Value::Object(http)) = hook.get_mut("httpGet") else { return };
    if http.get("path").and_then(Value::as_str) == Some(&format!("{LEGACY_PATH}/{name}")) {
        http.shift_remove("path");
    }
}

fn lifecycle_of(name: &str) -> String {
    format!("lifecycle/{name}")
}

fn hook_of(name: &str) -> String {
    format!("preStop/{name}")
}

#[cfg(test)]
mod tests {
    use settings::ADMIN_PORT;

    use super::*;

    #[test]
    fn a_lifecycle_comes_back_as_it_was() {
        for before in [
            None,
            Some(json!(null)),
            Some(json!({})),
            Some(json!({"preStop": null})),
            Some(json!({"postStart": {"sleep": {"seconds": 1}}})),
            Some(json!({"preStop": null, "postStart": {"sleep": {"seconds": 1}}})),
        ] {
            assert!(!has_pre_stop(before.as_ref()));
            for previous in [None, Some("/drained"), Some("/drained/app")] {
                let mut empty_forms = EmptyForms::default();
                note(before.as_ref(), "app", &mut empty_forms);
                let mut held = with_hold(before.as_ref(), 15_212);
                if let Some(path) = previous {
                    held["preStop"]["httpGet"] = json!({"path": path, "port": ADMIN_PORT, "scheme": "HTTP"});
                }
                let after = restored(Some(&held), "app", &empty_forms);
                assert_eq!(serde_json::to_string(&after).unwrap(), serde_json::to_string(&before).unwrap());
            }
        }
    }

    #[test]
    fn a_hook_of_the_authors_stays() {
        let own = json!({"preStop": {"exec": {"command": ["sleep", "5"]}}});
        assert!(has_pre_stop(Some(&own)));
        assert_eq!(restored(Some(&own), "app", &EmptyForms::default()), Some(own));
        for path in ["/drain", "/drained2", "drained/app", "/"] {
            let own = json!({"preStop": {"httpGet": {"path": path, "port": ADMIN_PORT}}});
            assert_eq!(restored(Some(&own), "app", &EmptyForms::default()), Some(own));
        }
        for (path, port) in [("/", 15_212), ("/drained", ADMIN_PORT)] {
            let own = json!({"preStop": {"httpGet": {"path": path, "port": port, "host": "elsewhere"}}});
            assert_eq!(restored(Some(&own), "app", &EmptyForms::default()), Some(own));
        }
    }

    #[test]
    fn an_authors_http_get_keeps_nothing_of_ours() {
        let ours = [
            (with_hold(None, 15_212), json!({"port": "http", "path": "/", "scheme": "HTTP"})),
            // By an earlier version.
            (
                json!({"preStop": {"httpGet": {"path": "/drained/app", "port": ADMIN_PORT, "scheme": "HTTP"}}}),
                json!({"port": "http", "scheme": "HTTP"}),
            ),
        ];
        for (mut merged, left) in ours {
            merged["preStop"]["httpGet"]["port"] = json!("http");
            assert_eq!(
                restored(Some(&merged), "app", &EmptyForms::default()),
                Some(json!({"preStop": {"httpGet": left}}))
            );
        }
    }

    #[test]
    fn a_hook_beside_ours_wins() {
        let mut both = with_hold(None, 15_212);
        both["preStop"]["sleep"] = json!({"seconds": 3});
        let own = json!({"preStop": {"sleep": {"seconds": 3}}});
        assert_eq!(restored(Some(&both), "app", &EmptyForms::default()), Some(own));
    }
}

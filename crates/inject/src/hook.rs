//! The `preStop` hook by which an app container waits for the drain.
//!
//! It has the defaults of Kubernetes, but for its port, which every author of an `httpGet` says: so where theirs is merged with ours in an
//! apply that nobody reviews, nothing of ours is left.

use serde_json::{Map, Value, json};
use settings::HOLD_PORTS;

use crate::blank::{Blanks, put};
use crate::handler;

/// Where Kubernetes asks if nothing is said.
const PATH: &str = "/";
/// The admin endpoint that earlier versions asked, and below it one for each container whose liveness probe the proxy knew.
const EARLIER: &str = "/drained";
const HOOK: &str = "preStop";

/// The members of a `lifecycle` that hold a hook.
pub(crate) const KINDS: [&str; 2] = ["postStart", "preStop"];

/// The `lifecycle` of the container `name` as its author wrote it.
pub(crate) fn undone(lifecycle: Option<&Value>, name: &str, blanks: &Blanks) -> Option<Value> {
    let mended = mended(lifecycle);
    let Some(Value::Object(mut members)) = mended else { return mended };
    if hook(&members).is_some_and(is_ours) {
        put(&mut members, HOOK, blanks.was(&hook_of(name)).value(json!({})));
        return blanks.or_blank(&lifecycle_of(name), members);
    }
    if let Some(Value::Object(hook)) = members.get_mut(HOOK) {
        without_earlier_path(hook, name);
    }
    Some(Value::Object(members))
}

/// The `lifecycle` without a handler of ours beside one of the author's.
pub(crate) fn mended(lifecycle: Option<&Value>) -> Option<Value> {
    let Some(Value::Object(members)) = lifecycle else { return lifecycle.cloned() };
    let mut members = members.clone();
    let doubled = hook(&members).filter(|hook| is_ours(hook) && handler::has_rival(hook, "httpGet"));
    if let Some(hook) = doubled {
        let own = handler::without(hook, "httpGet");
        members.insert(HOOK.to_owned(), Value::Object(own));
    }
    Some(Value::Object(members))
}

/// Whether the `lifecycle` has a hook already that runs when the container is to stop.
pub(crate) fn is_there(lifecycle: Option<&Value>) -> bool {
    lifecycle.and_then(|members| members.get(HOOK)).is_some_and(|hook| !hook.is_null())
}

/// The `lifecycle` with the hook that waits in the place of none, at this port of the proxy's.
pub(crate) fn waiting(lifecycle: Option<&Value>, port: u16) -> Value {
    let mut members = lifecycle.and_then(Value::as_object).cloned().unwrap_or_default();
    members.insert(HOOK.to_owned(), json!({"httpGet": {"path": PATH, "port": port, "scheme": "HTTP"}}));
    Value::Object(members)
}

/// Remembers what the hook of the container `name` takes the place of.
pub(crate) fn note(lifecycle: Option<&Value>, name: &str, blanks: &mut Blanks) {
    blanks.note(&lifecycle_of(name), lifecycle);
    blanks.note(&hook_of(name), lifecycle.and_then(|members| members.get(HOOK)));
}

fn hook(lifecycle: &Map<String, Value>) -> Option<&Map<String, Value>> {
    lifecycle.get(HOOK)?.as_object()
}

/// Nobody else's hook goes to such a port and path, and without the proxy it would fail.
fn is_ours(hook: &Map<String, Value>) -> bool {
    let http = hook.get("httpGet").filter(|http| !handler::names_host(http));
    let port = http.and_then(|http| u16::try_from(http.get("port")?.as_u64()?).ok());
    let path = http.and_then(|http| http.get("path")?.as_str());
    let is_of_today = port.is_some_and(|port| HOLD_PORTS.contains(&port)) && path == Some(PATH);
    let below = handler::admin_path(hook).and_then(|path| path.strip_prefix(EARLIER));
    is_of_today || below.is_some_and(|container| container.is_empty() || container.starts_with('/'))
}

/// The hook without the path that an earlier version's left in an `httpGet` of the author's, who had said none: it names the container, and
/// is nobody else's.
fn without_earlier_path(hook: &mut Map<String, Value>, name: &str) {
    let Some(Value::Object(http)) = hook.get_mut("httpGet") else { return };
    if http.get("path").and_then(Value::as_str) == Some(&format!("{EARLIER}/{name}")) {
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
            assert!(!is_there(before.as_ref()));
            for earlier in [None, Some("/drained"), Some("/drained/app")] {
                let mut blanks = Blanks::default();
                note(before.as_ref(), "app", &mut blanks);
                let mut held = waiting(before.as_ref(), 15_212);
                if let Some(path) = earlier {
                    held["preStop"]["httpGet"] = json!({"path": path, "port": ADMIN_PORT, "scheme": "HTTP"});
                }
                let after = undone(Some(&held), "app", &blanks);
                assert_eq!(serde_json::to_string(&after).unwrap(), serde_json::to_string(&before).unwrap());
            }
        }
    }

    #[test]
    fn a_hook_of_the_authors_stays() {
        let own = json!({"preStop": {"exec": {"command": ["sleep", "5"]}}});
        assert!(is_there(Some(&own)));
        assert_eq!(undone(Some(&own), "app", &Blanks::default()), Some(own));
        for path in ["/drain", "/drained2", "drained/app", "/"] {
            let own = json!({"preStop": {"httpGet": {"path": path, "port": ADMIN_PORT}}});
            assert_eq!(undone(Some(&own), "app", &Blanks::default()), Some(own));
        }
        for (path, port) in [("/", 15_212), ("/drained", ADMIN_PORT)] {
            let own = json!({"preStop": {"httpGet": {"path": path, "port": port, "host": "elsewhere"}}});
            assert_eq!(undone(Some(&own), "app", &Blanks::default()), Some(own));
        }
    }

    #[test]
    fn an_authors_http_get_keeps_nothing_of_ours() {
        let ours = [
            (waiting(None, 15_212), json!({"port": "http", "path": "/", "scheme": "HTTP"})),
            // Of an earlier version.
            (
                json!({"preStop": {"httpGet": {"path": "/drained/app", "port": ADMIN_PORT, "scheme": "HTTP"}}}),
                json!({"port": "http", "scheme": "HTTP"}),
            ),
        ];
        for (mut merged, left) in ours {
            merged["preStop"]["httpGet"]["port"] = json!("http");
            assert_eq!(undone(Some(&merged), "app", &Blanks::default()), Some(json!({"preStop": {"httpGet": left}})));
        }
    }

    #[test]
    fn a_hook_beside_ours_wins() {
        let mut both = waiting(None, 15_212);
        both["preStop"]["sleep"] = json!({"seconds": 3});
        let own = json!({"preStop": {"sleep": {"seconds": 3}}});
        assert_eq!(undone(Some(&both), "app", &Blanks::default()), Some(own));
    }
}

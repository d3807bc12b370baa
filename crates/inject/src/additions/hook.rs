//! The hooks that are injected into app containers.
//!
//! The injected hook is an `httpGet` with a port and otherwise the defaults of Kubernetes. An author's `httpGet` always
//! has a port. So if a `kubectl apply` merges the author's hook into the injected one without a review, the result is
//! the author's hook.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::additions::plan::Plan;
use crate::json::empty_form::{EmptyForms, object, set_or_remove};
use crate::json::handler;

/// The fields of `lifecycle` that hold a hook.
pub(crate) const KINDS: [&str; 2] = ["postStart", PRE_STOP];
const PRE_STOP: &str = "preStop";

/// The default path of Kubernetes.
const PATH: &str = "/";
/// The admin endpoint that the hooks of earlier versions called; `/drained/CONTAINER` for a container whose liveness
/// probe the proxy could run.
const LEGACY_PATH: &str = "/drained";

/// A hook that injection adds to a container without one.
struct Hook {
    /// The field of `lifecycle`.
    kind: &'static str,
    /// Returns the hook for a plan and the name of a container, `None` if the plan needs none.
    wanted: fn(&Plan, &str) -> Option<Value>,
    /// Returns whether a hook is injected; the set has the hold ports of the injected proxy.
    is_injected: fn(&Map<String, Value>, &BTreeSet<u16>) -> bool,
    /// Removes remnants of an injected hook from the author's hook in the container with this name.
    clean: fn(&mut Map<String, Value>, &str),
}

/// Every hook that can be injected.
const ADDITIONS: &[Hook] = &[Hook {
    kind: PRE_STOP,
    wanted: |plan, container| plan.held.get(container).map(|port| hold(*port)),
    is_injected: is_hold,
    clean: without_legacy_path,
}];

/// Returns the hook that holds a container until the drain has ended, by a request to `port` of the proxy.
fn hold(port: u16) -> Value {
    json!({"httpGet": {"path": PATH, "port": port, "scheme": "HTTP"}})
}

/// Returns whether the container has a `preStop` hook.
pub(crate) fn has_pre_stop(lifecycle: Option<&Value>) -> bool {
    lifecycle.and_then(|members| members.get(PRE_STOP)).is_some_and(|hook| !hook.is_null())
}

/// Returns the `lifecycle` of a container with the hooks of a plan. Empty fields that they replace are recorded.
pub(crate) fn injected(
    lifecycle: Option<&Value>,
    container: &str,
    plan: &Plan,
    empty_forms: &mut EmptyForms,
) -> Option<Value> {
    let wanted = ADDITIONS.iter().filter_map(|addition| Some((addition, (addition.wanted)(plan, container)?)));
    wanted.fold(lifecycle.cloned(), |now, (addition, hook)| {
        Some(addition.added(now.as_ref(), container, hook, empty_forms))
    })
}

/// Returns the `lifecycle` of a container as its author wrote it. `holds` are the hold ports of the injected proxy.
pub(crate) fn restored(
    lifecycle: Option<&Value>,
    container: &str,
    holds: &BTreeSet<u16>,
    empty_forms: &EmptyForms,
) -> Option<Value> {
    let repaired = repaired(lifecycle, holds);
    ADDITIONS.iter().fold(repaired, |now, addition| addition.removed(now, container, holds, empty_forms))
}

/// Returns the `lifecycle` without injected handlers in hooks that also have a handler of the author.
pub(crate) fn repaired(lifecycle: Option<&Value>, holds: &BTreeSet<u16>) -> Option<Value> {
    let Some(Value::Object(members)) = lifecycle else { return lifecycle.cloned() };
    let mut members = members.clone();
    for Hook { kind, is_injected, .. } in ADDITIONS {
        let doubled =
            hook(&members, kind).filter(|hook| is_injected(hook, holds) && handler::has_other_handler(hook, "httpGet"));
        if let Some(hook) = doubled {
            let own = handler::without(hook, "httpGet");
            members.insert((*kind).to_owned(), Value::Object(own));
        }
    }
    Some(Value::Object(members))
}

impl Hook {
    fn added(&self, lifecycle: Option<&Value>, container: &str, hook: Value, empty_forms: &mut EmptyForms) -> Value {
        empty_forms.record(&lifecycle_of(container), lifecycle);
        empty_forms.record(&self.place(container), lifecycle.and_then(|members| members.get(self.kind)));
        let mut members = object(lifecycle);
        members.insert(self.kind.to_owned(), hook);
        Value::Object(members)
    }

    fn removed(
        &self,
        lifecycle: Option<Value>,
        container: &str,
        holds: &BTreeSet<u16>,
        empty_forms: &EmptyForms,
    ) -> Option<Value> {
        let Some(Value::Object(mut members)) = lifecycle else { return lifecycle };
        if hook(&members, self.kind).is_some_and(|hook| (self.is_injected)(hook, holds)) {
            set_or_remove(&mut members, self.kind, empty_forms.form(&self.place(container)).value(json!({})));
            return empty_forms.or_empty(&lifecycle_of(container), members);
        }
        if let Some(Value::Object(hook)) = members.get_mut(self.kind) {
            (self.clean)(hook, container);
        }
        Some(Value::Object(members))
    }

    /// Returns the name under which the empty form of the author's hook is recorded.
    fn place(&self, container: &str) -> String {
        format!("{}/{container}", self.kind)
    }
}

fn lifecycle_of(container: &str) -> String {
    format!("lifecycle/{container}")
}

fn hook<'a>(lifecycle: &'a Map<String, Value>, kind: &str) -> Option<&'a Map<String, Value>> {
    lifecycle.get(kind)?.as_object()
}

/// Returns whether the hook is injected: [`hold`] with one of the ports `holds`, or the hook of an earlier version. An
/// author's hook never has such a port, because injection chooses only ports that no hook or probe calls.
fn is_hold(hook: &Map<String, Value>, holds: &BTreeSet<u16>) -> bool {
    let http = hook.get("httpGet").filter(|http| !handler::names_host(http));
    let port = http.and_then(|http| u16::try_from(http.get("port")?.as_u64()?).ok());
    let path = http.and_then(|http| http.get("path")?.as_str());
    let is_of_today = port.is_some_and(|port| holds.contains(&port)) && path == Some(PATH);
    let below = handler::admin_path(hook).and_then(|path| path.strip_prefix(LEGACY_PATH));
    is_of_today || below.is_some_and(|container| container.is_empty() || container.starts_with('/'))
}

/// Removes the path that the hook of an earlier version left in an author's `httpGet` without a path. The path contains
/// the container's name, so that no author uses it.
fn without_legacy_path(hook: &mut Map<String, Value>, name: &str) {
    let Some(Value::Object(http)) = hook.get_mut("httpGet") else { return };
    if http.get("path").and_then(Value::as_str) == Some(&format!("{LEGACY_PATH}/{name}")) {
        http.shift_remove("path");
    }
}

#[cfg(test)]
mod tests {
    use settings::ADMIN_PORT;

    use super::*;

    fn after(lifecycle: &Value, empty_forms: &EmptyForms) -> Option<Value> {
        restored(Some(lifecycle), "app", &BTreeSet::from([15_212]), empty_forms)
    }

    #[test]
    fn removing_our_hook_restores_the_lifecycle() {
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
                let mut held = ADDITIONS[0].added(before.as_ref(), "app", hold(15_212), &mut empty_forms);
                if let Some(path) = previous {
                    held["preStop"]["httpGet"] = json!({"path": path, "port": ADMIN_PORT, "scheme": "HTTP"});
                }
                let after = after(&held, &empty_forms);
                assert_eq!(serde_json::to_string(&after).unwrap(), serde_json::to_string(&before).unwrap());
            }
        }
    }

    #[test]
    fn a_hook_of_the_author_is_kept() {
        let own = json!({"preStop": {"exec": {"command": ["sleep", "5"]}}});
        assert!(has_pre_stop(Some(&own)));
        assert_eq!(after(&own, &EmptyForms::default()), Some(own));
        for path in ["/drain", "/drained2", "drained/app", "/"] {
            let own = json!({"preStop": {"httpGet": {"path": path, "port": ADMIN_PORT}}});
            assert_eq!(after(&own, &EmptyForms::default()), Some(own));
        }
        // The API server adds the path if the author writes none.
        let own = json!({"preStop": {"httpGet": {"path": "/", "port": 15_219, "scheme": "HTTP"}}});
        assert_eq!(after(&own, &EmptyForms::default()), Some(own));
        for (path, port) in [("/", 15_212), ("/drained", ADMIN_PORT)] {
            let own = json!({"preStop": {"httpGet": {"path": path, "port": port, "host": "elsewhere"}}});
            assert_eq!(after(&own, &EmptyForms::default()), Some(own));
        }
    }

    #[test]
    fn an_http_get_that_the_author_adds_keeps_no_field_of_our_hook() {
        let ours = [
            (json!({"preStop": hold(15_212)}), json!({"port": "http", "path": "/", "scheme": "HTTP"})),
            // By an earlier version.
            (
                json!({"preStop": {"httpGet": {"path": "/drained/app", "port": ADMIN_PORT, "scheme": "HTTP"}}}),
                json!({"port": "http", "scheme": "HTTP"}),
            ),
        ];
        for (mut merged, left) in ours {
            merged["preStop"]["httpGet"]["port"] = json!("http");
            assert_eq!(after(&merged, &EmptyForms::default()), Some(json!({"preStop": {"httpGet": left}})));
        }
    }

    #[test]
    fn a_hook_of_the_author_beside_ours_replaces_it() {
        let mut both = json!({"preStop": hold(15_212)});
        both["preStop"]["sleep"] = json!({"seconds": 3});
        let own = json!({"preStop": {"sleep": {"seconds": 3}}});
        assert_eq!(after(&both, &EmptyForms::default()), Some(own));
    }
}

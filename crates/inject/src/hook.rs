//! The `preStop` hook by which an app container waits for the drain.

use serde_json::{Map, Value, json};
use settings::ADMIN_PORT;

use crate::blank::{Blanks, put};
use crate::handler;

/// The admin endpoint that answers when the drain is done, or where there is none to wait for. Below it is one for each container
/// whose liveness probe the proxy knows.
const PATH: &str = "/drained";
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

/// The `lifecycle` with the hook that waits in the place of none; `asked` is the container where the proxy knows how to ask whether
/// it is alive.
pub(crate) fn waiting(lifecycle: Option<&Value>, asked: Option<&str>) -> Value {
    let mut members = lifecycle.and_then(Value::as_object).cloned().unwrap_or_default();
    let path = asked.map_or_else(|| PATH.to_owned(), |name| format!("{PATH}/{name}"));
    members.insert(HOOK.to_owned(), json!({"httpGet": {"path": path, "port": ADMIN_PORT, "scheme": "HTTP"}}));
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

/// Nobody else's hook goes to such a path of that port, and without the proxy it would fail.
fn is_ours(hook: &Map<String, Value>) -> bool {
    let below = handler::admin_path(hook).and_then(|path| path.strip_prefix(PATH));
    below.is_some_and(|container| container.is_empty() || container.starts_with('/'))
}

fn lifecycle_of(name: &str) -> String {
    format!("lifecycle/{name}")
}

fn hook_of(name: &str) -> String {
    format!("preStop/{name}")
}

#[cfg(test)]
mod tests {
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
            for (asked, path) in [(None, "/drained"), (Some("app"), "/drained/app")] {
                let mut blanks = Blanks::default();
                note(before.as_ref(), "app", &mut blanks);
                let held = waiting(before.as_ref(), asked);
                assert_eq!(held["preStop"]["httpGet"]["path"], path);
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
    }

    #[test]
    fn a_hook_beside_ours_wins() {
        let mut both = waiting(None, Some("app"));
        both["preStop"]["sleep"] = json!({"seconds": 3});
        let own = json!({"preStop": {"sleep": {"seconds": 3}}});
        assert_eq!(undone(Some(&both), "app", &Blanks::default()), Some(own));
    }
}

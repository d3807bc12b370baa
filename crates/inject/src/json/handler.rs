//! The handler of a probe or hook. A probe or hook has at most one.

use serde_json::{Map, Value};

/// All kinds of handlers.
pub(crate) const KINDS: &[&str] = &["exec", "grpc", "httpGet", "sleep", "tcpSocket"];

/// Returns whether there is another handler beside `kind`.
///
/// A client-side `kubectl apply` can cause that: it adds the author's handler to the present one.
pub(crate) fn has_other_handler(object: &Map<String, Value>, kind: &str) -> bool {
    KINDS.iter().any(|other| *other != kind && object.get(*other).is_some_and(|value| !value.is_null()))
}

/// Returns the object without one of its members.
pub(crate) fn without(object: &Map<String, Value>, key: &str) -> Map<String, Value> {
    let mut rest = object.clone();
    rest.shift_remove(key);
    rest
}

/// Returns whether a handler names the host that it calls. No injected handler does.
pub(crate) fn names_host(handler: &Value) -> bool {
    handler.get("host").and_then(Value::as_str).is_some_and(|host| !host.is_empty())
}

/// Returns the path of the `httpGet` of `object`, if it calls the proxy's admin port in this pod.
pub(crate) fn admin_path(object: &Map<String, Value>) -> Option<&str> {
    let http = object.get("httpGet").filter(|http| !names_host(http))?;
    let on_admin_port = http.get("port")?.as_u64() == Some(settings::ADMIN_PORT.into());
    http.get("path").filter(|_| on_admin_port)?.as_str()
}

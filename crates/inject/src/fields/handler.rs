//! The handler of a probe or hook. A probe or hook has at most one.

use serde_json::{Map, Value};

use crate::pod::Container;

/// All kinds of handlers.
pub(crate) const KINDS: &[&str] = &["exec", "grpc", "httpGet", "sleep", "tcpSocket"];

/// Returns whether there is another handler beside `kind`.
///
/// A client-side `kubectl apply` causes that: it adds its author's handler to the present one.
pub(crate) fn has_other_handler(object: &Map<String, Value>, kind: &str) -> bool {
    KINDS.iter().any(|other| *other != kind && object.get(*other).is_some_and(|value| !value.is_null()))
}

/// Returns the object without one of its members.
pub(crate) fn without(object: &Map<String, Value>, key: &str) -> Map<String, Value> {
    let mut rest = object.clone();
    rest.shift_remove(key);
    rest
}

/// Returns the number of the pod's port that a handler of `container` calls; `None` if it calls another host.
pub(crate) fn port_here(handler: &Value, container: &Container) -> Option<u16> {
    number(handler.get("port")?, container).filter(|_| !names_host(handler))
}

/// Returns whether a handler names the host that it calls. None of ours does.
pub(crate) fn names_host(handler: &Value) -> bool {
    handler.get("host").and_then(Value::as_str).is_some_and(|host| !host.is_empty())
}

/// Like the kubelet, looks for a name among the container's own ports.
fn number(port: &Value, container: &Container) -> Option<u16> {
    match port {
        Value::Number(number) => number.as_u64()?.try_into().ok(),
        Value::String(name) => {
            let named = container.ports.iter().find(|port| port.name.as_deref() == Some(name));
            named.map(|port| port.number)
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns the path of the `httpGet` of `object`, if it calls the proxy's admin port in this pod.
pub(crate) fn admin_path(object: &Map<String, Value>) -> Option<&str> {
    let http = object.get("httpGet").filter(|http| !names_host(http))?;
    let on_admin_port = http.get("port")?.as_u64() == Some(settings::ADMIN_PORT.into());
    http.get("path").filter(|_| on_admin_port)?.as_str()
}

//! The handler of a probe or hook: of these members there may be one.

use serde_json::{Map, Value};

use crate::pod::Container;

/// Every kind of handler.
pub(crate) const KINDS: &[&str] = &["exec", "grpc", "httpGet", "sleep", "tcpSocket"];

/// Whether there is another handler than `kind`.
///
/// That comes of a client-side `kubectl apply`, which puts its author's handler back beside the one that is there.
pub(crate) fn has_rival(object: &Map<String, Value>, kind: &str) -> bool {
    KINDS.iter().any(|other| *other != kind && object.get(*other).is_some_and(|value| !value.is_null()))
}

/// The object without one of its members.
pub(crate) fn without(object: &Map<String, Value>, key: &str) -> Map<String, Value> {
    let mut rest = object.clone();
    rest.shift_remove(key);
    rest
}

/// The number of the pod's port that a handler of `container` goes to; `None` where it goes to another host.
pub(crate) fn port_here(handler: &Value, container: &Container) -> Option<u16> {
    number(handler.get("port")?, container).filter(|_| !names_host(handler))
}

/// Whether a handler names the host that it goes to. None of ours does.
pub(crate) fn names_host(handler: &Value) -> bool {
    handler.get("host").and_then(Value::as_str).is_some_and(|host| !host.is_empty())
}

/// A name is one of the container's own ports, as the kubelet looks for it.
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

/// The path of the `httpGet` of `object`, where that goes to the proxy's admin port in this pod.
pub(crate) fn admin_path(object: &Map<String, Value>) -> Option<&str> {
    let http = object.get("httpGet").filter(|http| !names_host(http))?;
    let on_admin_port = http.get("port")?.as_u64() == Some(settings::ADMIN_PORT.into());
    http.get("path").filter(|_| on_admin_port)?.as_str()
}

//! Recognises and restores `tcpSocket` probes that earlier versions replaced.
//!
//! With interception redirect, those versions replaced such a probe by an HTTP request to the proxy, which connected to
//! the app. After a `kubectl apply` without a review, the probe had two handlers, and the API server refused it. Today
//! the probe [keeps its kind](crate::fields::probe_rewrite).

use serde_json::{Map, Value, json};

use crate::json::handler;
use crate::pod::Container;

/// The admin endpoint that connects to an app port, for probes of earlier versions.
const PATH: &str = "/probe/tcp/";
const TCP_SOCKET: &str = "tcpSocket";
const HTTP_GET: &str = "httpGet";

/// The fields of a container that hold a probe.
pub(crate) const KINDS: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// Returns the probe as its author wrote it; `recorded` is the `tcpSocket` that was replaced.
pub(crate) fn restored(probe: &Value, recorded: Option<&Value>) -> Value {
    let Some((members, port)) = probe.as_object().and_then(|members| Some((members, injected_port(members)?))) else {
        return if recorded.is_some() { without_injected_path(probe) } else { probe.clone() };
    };
    if handler::has_other_handler(members, HTTP_GET) {
        return Value::Object(handler::without(members, HTTP_GET));
    }
    let dialled_port = recorded.filter(|recorded| recorded.is_object()).cloned();
    Value::Object(renamed(members, HTTP_GET, TCP_SOCKET, dialled_port.unwrap_or_else(|| json!({"port": port}))))
}

/// Returns the probe with one handler, if a `kubectl apply` has added the author's to the injected one. An author's
/// handler that equals the `recorded` one is removed; a new one stays.
pub(crate) fn repaired(probe: &Value, recorded: Option<&Value>) -> Value {
    let doubled = probe
        .as_object()
        .filter(|members| injected_port(members).is_some() && handler::has_other_handler(members, HTTP_GET));
    let Some(members) = doubled else { return probe.clone() };
    let was_replaced = recorded.is_some() && members.get(TCP_SOCKET) == recorded;
    Value::Object(handler::without(members, if was_replaced { TCP_SOCKET } else { HTTP_GET }))
}

/// Returns the port that a TCP probe calls, if it is intercepted.
pub(crate) fn dialled_port(probe: &Value, container: &Container, is_intercepted: impl Fn(u16) -> bool) -> Option<u16> {
    let port = container.port_called_by(probe.get(TCP_SOCKET)?)?;
    let alone = !handler::has_other_handler(probe.as_object()?, TCP_SOCKET);
    (alone && is_intercepted(port)).then_some(port)
}

/// Removes an injected path from an author's `httpGet` without a path.
fn without_injected_path(probe: &Value) -> Value {
    let mut probe = probe.clone();
    if let Some(Value::Object(ask)) = probe.get_mut(HTTP_GET) {
        let path = ask.get("path").and_then(Value::as_str).and_then(|path| path.strip_prefix(PATH));
        if path.is_some_and(|port| port.parse::<u16>().is_ok()) {
            ask.shift_remove("path");
        }
    }
    probe
}

/// Returns the app's port in the probe of an earlier version. No author writes such a probe, because it would fail
/// without the proxy.
fn injected_port(members: &Map<String, Value>) -> Option<u16> {
    handler::admin_path(members)?.strip_prefix(PATH)?.parse().ok()
}

/// Returns the object with the member `from` replaced by `to` with this `value`, at the same position. If there is a
/// null under `to`, it moves to the position of `from`.
fn renamed(members: &Map<String, Value>, from: &str, to: &str, value: Value) -> Map<String, Value> {
    let mut renamed: Map<String, Value> = members.clone();
    if members.contains_key(to) {
        renamed.insert(from.to_owned(), Value::Null);
        renamed.insert(to.to_owned(), value);
        return renamed;
    }
    renamed.clear();
    for (key, other) in members {
        if key == from {
            renamed.insert(to.to_owned(), value.clone());
        } else {
            renamed.insert(key.clone(), other.clone());
        }
    }
    renamed
}

#[cfg(test)]
mod tests {
    use settings::ADMIN_PORT;

    use super::*;
    use crate::pod::Port;

    /// Returns the probe as an earlier version rewrote it.
    fn asking(probe: &Value, port: u16) -> Value {
        let ask = json!({"path": format!("{PATH}{port}"), "port": ADMIN_PORT, "scheme": "HTTP"});
        Value::Object(renamed(probe.as_object().unwrap(), TCP_SOCKET, HTTP_GET, ask))
    }

    fn container() -> Container {
        let http = Port { name: Some("http".to_owned()), number: 8080, tcp: true, on_host: false };
        Container { name: "app".to_owned(), ports: vec![http], ..Container::default() }
    }

    #[test]
    fn tcp_probes_of_intercepted_ports_are_found() {
        let is_intercepted = |port| port == 8080;
        for (socket, port) in [
            (json!({"port": 8080}), Some(8080)),
            (json!({"port": "http"}), Some(8080)),
            // Refused by the API server.
            (json!({"port": "8080"}), None),
            (json!({"port": 8080, "host": ""}), Some(8080)),
            (json!({"port": 8080, "host": "db"}), None),
            (json!({"port": 9090}), None),
            (json!({"port": "other"}), None),
            (json!({"port": null}), None),
            (json!({}), None),
        ] {
            let probe = json!({"tcpSocket": socket});
            assert_eq!(dialled_port(&probe, &container(), is_intercepted), port, "{probe}");
        }
        for probe in [
            json!({"httpGet": {"port": 8080}}),
            // Two handlers are the author's mistake.
            json!({"tcpSocket": {"port": 8080}, "httpGet": {"port": 8080}}),
        ] {
            assert!(dialled_port(&probe, &container(), is_intercepted).is_none(), "{probe}");
        }
    }

    #[test]
    fn a_rewritten_probe_is_restored_byte_for_byte() {
        for text in [
            r#"{"initialDelaySeconds":3,"tcpSocket":{"port":"http"},"periodSeconds":7}"#,
            r#"{"httpGet":null,"tcpSocket":{"port":8080},"periodSeconds":7}"#,
        ] {
            let probe: Value = serde_json::from_str(text).unwrap();
            let asking = asking(&probe, 8080);
            assert_eq!(asking["httpGet"], json!({"path": "/probe/tcp/8080", "port": 15211, "scheme": "HTTP"}));
            assert_eq!(asking["periodSeconds"], 7);
            assert!(!handler::has_other_handler(asking.as_object().unwrap(), "httpGet"));
            assert_eq!(restored(&asking, probe.get("tcpSocket")).to_string(), text);
        }
    }

    #[test]
    fn without_a_record_a_probe_is_restored_by_number() {
        let probe = asking(&json!({"tcpSocket": {"port": "http"}}), 8080);
        for recorded in [None, Some(&json!("nonsense"))] {
            assert_eq!(restored(&probe, recorded), json!({"tcpSocket": {"port": 8080}}));
        }
    }

    #[test]
    fn a_handler_of_the_author_beside_ours_replaces_it() {
        let mut probe = asking(&json!({"tcpSocket": {"port": 8080}, "periodSeconds": 7}), 8080);
        probe["tcpSocket"] = json!({"port": 9090});
        let own = json!({"tcpSocket": {"port": 9090}, "periodSeconds": 7});
        assert_eq!(restored(&probe, Some(&json!({"port": 8080}))), own);
    }

    #[test]
    fn a_restored_probe_has_one_handler() {
        let recorded = json!({"port": "http"});
        let ours = asking(&json!({"tcpSocket": recorded}), 8080);
        let beside = |kind: &str, handler: &Value| {
            let mut both = ours.clone();
            both[kind] = handler.clone();
            both
        };
        let new = json!({"port": 9090});
        let command = json!({"command": ["true"]});
        assert_eq!(repaired(&ours, Some(&recorded)), ours);
        assert_eq!(repaired(&beside("tcpSocket", &recorded), Some(&recorded)), ours);
        assert_eq!(repaired(&beside("tcpSocket", &new), Some(&recorded)), json!({"tcpSocket": new}));
        assert_eq!(repaired(&beside("exec", &command), None), json!({"exec": command}));
    }

    #[test]
    fn an_http_get_that_the_author_adds_keeps_no_path_of_ours() {
        let merged = json!({"httpGet": {"path": "/probe/tcp/8080", "port": "http", "scheme": "HTTP"}});
        let healed = json!({"httpGet": {"port": "http", "scheme": "HTTP"}});
        assert_eq!(restored(&merged, Some(&json!({"port": 8080}))), healed);
        assert_eq!(restored(&merged, None), merged);
    }

    #[test]
    fn other_probes_are_not_changed() {
        for probe in [json!(null), json!({"httpGet": {"path": "/probe/tcp/8080", "port": 8080}}), json!({"exec": {}})] {
            assert_eq!(restored(&probe, None), probe);
        }
    }
}

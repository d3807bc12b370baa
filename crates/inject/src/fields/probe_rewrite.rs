//! Probe rewrite: changes the ports of probes and hooks, so that they pass through the proxy or bypass it.
//!
//! A `tcpSocket` probe of a redirected port would connect to the proxy, and succeed even if the app is dead. So its
//! port is changed to one of the proxy's, which the redirect forwards to the app itself. Nothing else in the probe
//! changes: a `kubectl apply` of the author's manifest then only restores the author's port, and the API server accepts
//! the object even if it does not call the webhook.
//!
//! With interception named-port, the kubelet still reaches the app itself at its own port. An app that expects a PROXY
//! protocol header on every connection refuses connections without one, and its pod would never become ready. So
//! handlers that send a request get the proxy's port, which writes the header as for a client; with a redirect they
//! reach it anyway. A `tcpSocket` handler sends nothing and keeps the app's port; `exec` uses no port.

use std::collections::BTreeMap;

use serde_json::Value;
use settings::PROBE_PORTS;

use crate::json::handler;
use crate::pod::Container;
use crate::proxy_ports::port_names::{Listener, PortNames, Renaming, app_port_name};
use crate::proxy_ports::probe_ports::ProbePorts;

/// The handlers that send a request.
const REQUESTING: &[&str] = &["grpc", "httpGet"];
/// The handler that only connects.
const CONNECTING: &[&str] = &["tcpSocket"];

/// Other ports for some kinds of handlers.
pub(crate) struct ProbeRewrite {
    kinds: &'static [&'static str],
    /// The new target by the number of the app's port.
    targets: BTreeMap<u16, Target>,
}

/// The port that a handler gets instead of the app's.
struct Target {
    port: u16,
    /// The app's name for its port, if it has moved to this one.
    name: Option<String>,
}

impl ProbeRewrite {
    /// Handlers that send a request go through the proxy.
    pub(crate) fn through_proxy(names: &PortNames) -> Self {
        let target = |listener: Listener<'_>| {
            (listener.app, Target { port: listener.port, name: Some(listener.name.to_owned()) })
        };
        Self { kinds: REQUESTING, targets: names.listeners().map(target).collect() }
    }

    /// Handlers that only connect bypass the proxy.
    pub(crate) fn bypassing_proxy(probes: &ProbePorts) -> Self {
        let target = |(port, app): (u16, u16)| (app, Target { port, name: None });
        Self { kinds: CONNECTING, targets: probes.iter().map(target).collect() }
    }

    /// Returns the port that a probe or hook of `app` calls, and the probe or hook with the new port; `None` if it
    /// calls none of these ports.
    pub(crate) fn apply(&self, holder: &Value, app: &Container) -> Option<(Value, Value)> {
        let kind = self.kind(holder)?;
        let target = self.targets.get(&app.port_called_by(&holder[kind])?)?;
        let mut rewritten = holder.clone();
        let port = std::mem::replace(&mut rewritten[kind]["port"], target.port.into());
        Some((port, rewritten))
    }

    /// Returns the probe or hook as it was; `recorded` is the port that it called. If that was a name that has moved,
    /// the result has the name that `back` will rename, as somebody may have changed it since. A name of the same
    /// number for UDP stays.
    pub(crate) fn restored(&self, holder: &Value, recorded: Option<&Value>, back: &Renaming) -> Value {
        let Some(kind) = self.kind(holder) else { return holder.clone() };
        if recorded.is_none() && handler::names_host(&holder[kind]) {
            return holder.clone();
        }
        let port = holder[kind].get("port").and_then(Value::as_u64);
        let target = self.targets.iter().find(|(_, target)| port == Some(target.port.into()));
        let restored = match (target, recorded) {
            (Some((app, target)), Some(Value::String(name)))
                if target.name.as_ref() == Some(name) && back.renames(&app_port_name(*app)) =>
            {
                app_port_name(*app).into()
            }
            (Some(_), Some(Value::String(name))) => name.clone().into(),
            (Some((app, _)), Some(_) | None) => (*app).into(),
            // The redirect container is gone, which had the app's port in its settings.
            (None, Some(recorded)) if self.was_rewritten(port) => recorded.clone(),
            (None, Some(_) | None) => return holder.clone(),
        };
        let mut holder = holder.clone();
        holder[kind]["port"] = restored;
        holder
    }

    /// Returns whether a handler with a recorded port and this present one was rewritten.
    fn was_rewritten(&self, port: Option<u64>) -> bool {
        let is_probe_port =
            port.and_then(|port| u16::try_from(port).ok()).is_some_and(|port| PROBE_PORTS.contains(&port));
        self.kinds == CONNECTING && is_probe_port
    }

    /// Returns the kind of the only handler of a probe or hook, if it is one of these kinds.
    fn kind(&self, holder: &Value) -> Option<&'static str> {
        let members = holder.as_object()?;
        let is_alone = |kind: &&&str| {
            members.get(**kind).is_some_and(Value::is_object) && !handler::has_other_handler(members, kind)
        };
        self.kinds.iter().find(is_alone).copied()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::Port;

    fn rewrites() -> ProbeRewrite {
        ProbeRewrite::through_proxy(&BTreeMap::from([(8080, "http".to_owned()), (9090, "grpc".to_owned())]).into())
    }

    /// Returns the renaming that restores a container whose port for HTTP has this protocol.
    fn back(protocol: &str) -> Renaming {
        let names: PortNames = BTreeMap::from([(8080, "http".to_owned())]).into();
        names.restoring(Some(&json!([{"name": "app-8080", "containerPort": 8080, "protocol": protocol}])))
    }

    fn app() -> Container {
        let port = |name: &str, number| Port { name: Some(name.to_owned()), number, tcp: true, on_host: false };
        Container { name: "app".into(), ports: vec![port("http", 8080), port("other", 7070)], ..Container::default() }
    }

    #[test]
    fn requests_to_an_intercepted_port_go_through_the_proxy() {
        for (holder, expected) in [
            (json!({"httpGet": {"path": "/", "port": "http"}}), Some(15_220)),
            (json!({"httpGet": {"port": 8080, "scheme": "HTTPS"}, "periodSeconds": 3}), Some(15_220)),
            (json!({"grpc": {"port": 9090, "service": "x"}}), Some(15_221)),
            (json!({"httpGet": {"port": 8080, "host": ""}, "tcpSocket": null}), Some(15_220)),
            (json!({"httpGet": {"port": 8080, "host": "elsewhere"}}), None),
            (json!({"httpGet": {"port": "other"}}), None),
            (json!({"httpGet": {"port": 15_211}}), None),
            (json!({"httpGet": {"port": 15_220, "host": "elsewhere"}}), None),
            (json!({"httpGet": {"port": 8080}, "exec": {"command": ["true"]}}), None),
            (json!({"httpGet": {}}), None),
            (json!({"httpGet": "x"}), None),
            (json!({"tcpSocket": {"port": 8080}}), None),
            (json!({"exec": {"command": ["true"]}}), None),
            (json!(null), None),
        ] {
            let rewritten = rewrites().apply(&holder, &app());
            assert_eq!(rewritten.is_some(), expected.is_some(), "{holder}");
            let Some((port, rewritten)) = rewritten else {
                assert_eq!(rewrites().restored(&holder, None, &back("TCP")), holder);
                continue;
            };
            let kind = rewrites().kind(&rewritten).unwrap();
            assert_eq!((rewritten[kind]["port"].as_u64(), &port), (expected, &holder[kind]["port"]));
            let mut restored = rewrites().restored(&rewritten, Some(&port), &back("TCP"));
            if port == "http" {
                assert_eq!(restored[kind]["port"], "app-8080");
                restored[kind]["port"] = port;
            }
            assert_eq!(restored.to_string(), holder.to_string());
        }
    }

    #[test]
    fn a_tcp_socket_bypasses_the_proxy_and_is_restored() {
        let past = ProbeRewrite::bypassing_proxy(&[(15_220, 8080), (15_222, 9090)].into_iter().collect());
        for (text, expected) in [
            (r#"{"initialDelaySeconds":3,"tcpSocket":{"port":"http"},"periodSeconds":7}"#, Some(15_220)),
            (r#"{"httpGet":null,"tcpSocket":{"host":"","port":8080},"periodSeconds":7}"#, Some(15_220)),
            (r#"{"tcpSocket":{"port":9090}}"#, Some(15_222)),
            (r#"{"tcpSocket":{"port":8080,"host":"db"}}"#, None),
            (r#"{"tcpSocket":{"port":"other"}}"#, None),
            // Refused by the API server.
            (r#"{"tcpSocket":{"port":"8080"}}"#, None),
            (r#"{"tcpSocket":{}}"#, None),
            (r#"{"tcpSocket":null}"#, None),
            (r#"{"httpGet":{"port":"http"}}"#, None),
            // Two handlers are the author's mistake.
            (r#"{"tcpSocket":{"port":8080},"httpGet":{"port":8080}}"#, None),
        ] {
            let probe: Value = serde_json::from_str(text).unwrap();
            let rewritten = past.apply(&probe, &app());
            assert_eq!(
                rewritten.as_ref().map(|(_, rewritten)| rewritten["tcpSocket"]["port"].as_u64().unwrap()),
                expected,
                "{text}"
            );
            let restored = rewritten.map_or_else(
                || past.restored(&probe, None, &back("TCP")),
                |(port, rewritten)| past.restored(&rewritten, Some(&port), &back("TCP")),
            );
            assert_eq!(restored.to_string(), text);
        }
    }

    #[test]
    fn a_port_name_that_was_not_renamed_is_kept() {
        for (name, protocol) in [("quic", "TCP"), ("http", "UDP")] {
            let udp = Port { name: Some(name.to_owned()), number: 8080, tcp: false, on_host: false };
            let app = Container { ports: vec![udp], ..app() };
            let holder = json!({"httpGet": {"port": name}});
            let (port, rewritten) = rewrites().apply(&holder, &app).unwrap();
            assert_eq!(
                rewrites().restored(&rewritten, Some(&port), &back(protocol)),
                holder,
                "{name} beside {protocol}"
            );
        }
    }

    #[test]
    fn without_a_record_a_handler_is_restored_by_number() {
        let (_, rewritten) = rewrites().apply(&json!({"httpGet": {"port": "http"}}), &app()).unwrap();
        assert_eq!(rewrites().restored(&rewritten, None, &back("TCP")), json!({"httpGet": {"port": 8080}}));
    }
}

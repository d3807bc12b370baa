//! Probes and hooks that reach the app by way of the proxy.
//!
//! Where the name of a port moves, the kubelet still finds the app itself at its own port. An app that expects a header of the
//! PROXY protocol on every connection refuses what comes without one, and its pod would never be ready. So what says
//! something to the app goes to the proxy's port, and gets its header there as a client does; a redirection leads it there
//! anyway. A `tcpSocket` says nothing and stays at the app's port, and an `exec` runs beside the app.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::handler;
use crate::names::{Listener, PortNames, Renaming, moved};
use crate::pod::Container;

/// The handlers that say something.
const KINDS: [&str; 2] = ["grpc", "httpGet"];

/// The proxy's ports by the numbers of the app's.
pub(crate) struct Detours(BTreeMap<u16, Door>);

/// Where the proxy listens for an app's port.
struct Door {
    port: u16,
    /// The app's name for its port, which leads here now.
    name: String,
}

impl Detours {
    pub(crate) fn of(names: &PortNames) -> Self {
        let door =
            |listener: Listener<'_>| (listener.app, Door { port: listener.port, name: listener.name.to_owned() });
        Self(names.listeners().map(door).collect())
    }

    /// The port that a probe or hook of `app` goes to, and the probe or hook with the proxy's in its place; `None` where it goes
    /// to no port that is taken.
    pub(crate) fn taken(&self, holder: &Value, app: &Container) -> Option<(Value, Value)> {
        let kind = speaking(holder)?;
        let door = self.0.get(&handler::port_here(&holder[kind], app)?)?;
        let mut taken = holder.clone();
        let port = std::mem::replace(&mut taken[kind]["port"], door.port.into());
        Some((port, taken))
    }

    /// The probe or hook without a detour; `recorded` is the port that it went to. Where that was the name that has moved, it is
    /// the one that `back` will give back, as somebody may have changed it since. A name of the same number for UDP stays.
    pub(crate) fn undone(&self, holder: &Value, recorded: Option<&Value>, back: &Renaming) -> Value {
        let listener = |kind: &str| holder[kind].get("port").and_then(Value::as_u64);
        let door = |kind| self.0.iter().find(|(_, door)| listener(kind) == Some(door.port.into()));
        let Some((kind, (app, door))) = speaking(holder).and_then(|kind| Some((kind, door(kind)?))) else {
            return holder.clone();
        };
        let mut straight = holder.clone();
        straight[kind]["port"] = match recorded {
            Some(Value::String(name)) if *name == door.name && back.renames(&moved(*app)) => moved(*app).into(),
            Some(Value::String(name)) => name.clone().into(),
            Some(_) | None => (*app).into(),
        };
        straight
    }
}

/// The one handler of a probe or hook, where it says something.
fn speaking(holder: &Value) -> Option<&'static str> {
    let members = holder.as_object()?;
    let speaks = |kind: &&str| members.get(*kind).is_some_and(Value::is_object) && !handler::has_rival(members, kind);
    KINDS.into_iter().find(speaks)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::Port;

    fn detours() -> Detours {
        Detours::of(&BTreeMap::from([(8080, "http".to_owned()), (9090, "grpc".to_owned())]).into())
    }

    /// What gives back the names of a container whose port for HTTP is of this protocol.
    fn back(protocol: &str) -> Renaming {
        let names: PortNames = BTreeMap::from([(8080, "http".to_owned())]).into();
        names.back(Some(&json!([{"name": "app-8080", "containerPort": 8080, "protocol": protocol}])))
    }

    fn app() -> Container {
        let port = |name: &str, number| Port { name: Some(name.to_owned()), number, tcp: true, on_host: false };
        Container { name: "app".into(), ports: vec![port("http", 8080), port("other", 7070)], guaranteed: false }
    }

    #[test]
    fn what_says_something_to_a_taken_port_is_led() {
        for (holder, led) in [
            (json!({"httpGet": {"path": "/", "port": "http"}}), Some(15_220)),
            (json!({"httpGet": {"port": 8080, "scheme": "HTTPS"}, "periodSeconds": 3}), Some(15_220)),
            (json!({"grpc": {"port": 9090, "service": "x"}}), Some(15_221)),
            (json!({"httpGet": {"port": 8080, "host": ""}, "tcpSocket": null}), Some(15_220)),
            (json!({"httpGet": {"port": 8080, "host": "elsewhere"}}), None),
            (json!({"httpGet": {"port": "other"}}), None),
            (json!({"httpGet": {"port": 15_211}}), None),
            (json!({"httpGet": {"port": 8080}, "exec": {"command": ["true"]}}), None),
            (json!({"httpGet": {}}), None),
            (json!({"httpGet": "x"}), None),
            (json!({"tcpSocket": {"port": 8080}}), None),
            (json!({"exec": {"command": ["true"]}}), None),
            (json!(null), None),
        ] {
            let taken = detours().taken(&holder, &app());
            assert_eq!(taken.is_some(), led.is_some(), "{holder}");
            let Some((port, taken)) = taken else {
                assert_eq!(detours().undone(&holder, None, &back("TCP")), holder);
                continue;
            };
            let kind = speaking(&taken).unwrap();
            assert_eq!((taken[kind]["port"].as_u64(), &port), (led, &holder[kind]["port"]));
            let mut straight = detours().undone(&taken, Some(&port), &back("TCP"));
            if port == "http" {
                assert_eq!(straight[kind]["port"], "app-8080");
                straight[kind]["port"] = port;
            }
            assert_eq!(straight.to_string(), holder.to_string());
        }
    }

    #[test]
    fn a_name_that_has_not_moved_stays() {
        for (name, protocol) in [("quic", "TCP"), ("http", "UDP")] {
            let udp = Port { name: Some(name.to_owned()), number: 8080, tcp: false, on_host: false };
            let app = Container { ports: vec![udp], ..app() };
            let holder = json!({"httpGet": {"port": name}});
            let (port, taken) = detours().taken(&holder, &app).unwrap();
            assert_eq!(detours().undone(&taken, Some(&port), &back(protocol)), holder, "{name} beside {protocol}");
        }
    }

    #[test]
    fn a_lost_record_costs_the_ports_name() {
        let (_, taken) = detours().taken(&json!({"httpGet": {"port": "http"}}), &app()).unwrap();
        assert_eq!(detours().undone(&taken, None, &back("TCP")), json!({"httpGet": {"port": 8080}}));
    }
}

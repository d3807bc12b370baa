//! Probes and hooks that go to another port of their pod: by way of the proxy to the app, or past it.
//!
//! A `tcpSocket` probe of a port that is redirected would find the proxy's listener whether or not the app lives. It goes to a port of
//! ours, which the redirect leads to the app itself. Its kind stays, and all else in it: a `kubectl apply` of the author's manifest puts
//! the author's port back and nothing else, so that the API server takes the object whether or not the webhook is asked.
//!
//! Where the name of a port moves, the kubelet still finds the app itself at its own port. An app that expects a header of the
//! PROXY protocol on every connection refuses what comes without one, and its pod would never be ready. So what says
//! something to the app goes to the proxy's port, and gets its header there as a client does; a redirection leads it there
//! anyway. A `tcpSocket` says nothing and stays at the app's port, and an `exec` runs beside the app.

use std::collections::BTreeMap;

use serde_json::Value;
use settings::PROBE_PORTS;

use crate::handler;
use crate::names::{Listener, PortNames, Renaming, moved};
use crate::pod::Container;
use crate::probe_ports::ProbePorts;

/// The handlers that say something.
const SPEAKING: &[&str] = &["grpc", "httpGet"];
/// The handler that only connects.
const CONNECTING: &[&str] = &["tcpSocket"];

/// Other ports for handlers of some kinds.
pub(crate) struct Detours {
    kinds: &'static [&'static str],
    /// By the numbers of the app's ports.
    doors: BTreeMap<u16, Door>,
}

/// What a handler goes to in the place of an app's port.
struct Door {
    port: u16,
    /// The app's name for its port, where that leads here now.
    name: Option<String>,
}

impl Detours {
    /// Those of what says something, by way of the proxy.
    pub(crate) fn of(names: &PortNames) -> Self {
        let door =
            |listener: Listener<'_>| (listener.app, Door { port: listener.port, name: Some(listener.name.to_owned()) });
        Self { kinds: SPEAKING, doors: names.listeners().map(door).collect() }
    }

    /// Those of what only connects, past the proxy.
    pub(crate) fn past_proxy(probes: &ProbePorts) -> Self {
        let door = |(port, app): (u16, u16)| (app, Door { port, name: None });
        Self { kinds: CONNECTING, doors: probes.iter().map(door).collect() }
    }

    /// The port that a probe or hook of `app` goes to, and the probe or hook with the proxy's in its place; `None` where it goes
    /// to no port that is taken.
    pub(crate) fn taken(&self, holder: &Value, app: &Container) -> Option<(Value, Value)> {
        let kind = self.kind(holder)?;
        let door = self.doors.get(&handler::port_here(&holder[kind], app)?)?;
        let mut taken = holder.clone();
        let port = std::mem::replace(&mut taken[kind]["port"], door.port.into());
        Some((port, taken))
    }

    /// The probe or hook without a detour; `recorded` is the port that it went to. Where that was the name that has moved, it is
    /// the one that `back` will give back, as somebody may have changed it since. A name of the same number for UDP stays.
    pub(crate) fn undone(&self, holder: &Value, recorded: Option<&Value>, back: &Renaming) -> Value {
        let Some(kind) = self.kind(holder) else { return holder.clone() };
        if recorded.is_none() && handler::names_host(&holder[kind]) {
            return holder.clone();
        }
        let port = holder[kind].get("port").and_then(Value::as_u64);
        let door = self.doors.iter().find(|(_, door)| port == Some(door.port.into()));
        let straight = match (door, recorded) {
            (Some((app, door)), Some(Value::String(name)))
                if door.name.as_ref() == Some(name) && back.renames(&moved(*app)) =>
            {
                moved(*app).into()
            }
            (Some(_), Some(Value::String(name))) => name.clone().into(),
            (Some((app, _)), Some(_) | None) => (*app).into(),
            // The container is gone that could tell where the port leads.
            (None, Some(recorded)) if self.was_here(port) => recorded.clone(),
            (None, Some(_) | None) => return holder.clone(),
        };
        let mut holder = holder.clone();
        holder[kind]["port"] = straight;
        holder
    }

    /// Whether a recorded handler that goes to this port was led there.
    fn was_here(&self, port: Option<u64>) -> bool {
        let is_ours = port.and_then(|port| u16::try_from(port).ok()).is_some_and(|port| PROBE_PORTS.contains(&port));
        self.kinds == CONNECTING && is_ours
    }

    /// The one handler of a probe or hook, where it is of these kinds.
    fn kind(&self, holder: &Value) -> Option<&'static str> {
        let members = holder.as_object()?;
        let is_alone =
            |kind: &&&str| members.get(**kind).is_some_and(Value::is_object) && !handler::has_rival(members, kind);
        self.kinds.iter().find(is_alone).copied()
    }
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
        Container { name: "app".into(), ports: vec![port("http", 8080), port("other", 7070)], ..Container::default() }
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
            (json!({"httpGet": {"port": 15_220, "host": "elsewhere"}}), None),
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
            let kind = detours().kind(&taken).unwrap();
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
    fn what_only_connects_goes_past_the_proxy_and_comes_back() {
        let past = Detours::past_proxy(&[(15_220, 8080), (15_222, 9090)].into_iter().collect());
        for (text, led) in [
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
            // Two handlers are the author's mistake, and theirs to see.
            (r#"{"tcpSocket":{"port":8080},"httpGet":{"port":8080}}"#, None),
        ] {
            let probe: Value = serde_json::from_str(text).unwrap();
            let taken = past.taken(&probe, &app());
            assert_eq!(taken.as_ref().map(|(_, taken)| taken["tcpSocket"]["port"].as_u64().unwrap()), led, "{text}");
            let straight = taken.map_or_else(
                || past.undone(&probe, None, &back("TCP")),
                |(port, taken)| past.undone(&taken, Some(&port), &back("TCP")),
            );
            assert_eq!(straight.to_string(), text);
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

//! The names of container ports, which interception named-port moves to the proxy.
//!
//! A Service targets the port `http` of any container in the pod. So the name is moved to a port of the proxy, and the
//! app's port gets the name `app-8080`. Probes and hooks of the app's container that use the name get the new one, and
//! still reach the app. No author writes such a name, so it distinguishes moved names from names that were written
//! later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use settings::{NAMED_PORTS, ProxySettings, RawOptions, Routes};

use crate::json::named;

/// The moved names, by the number of the app's port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PortNames(BTreeMap<u16, String>);

/// A port of the proxy with the name of an app's port.
pub(crate) struct Listener<'a> {
    pub(crate) name: &'a str,
    pub(crate) port: u16,
    /// The number of the app's port.
    pub(crate) app: u16,
}

impl From<BTreeMap<u16, String>> for PortNames {
    fn from(names: BTreeMap<u16, String>) -> Self {
        Self(names)
    }
}

impl PortNames {
    /// Reads the names from the injected `proxy`, for templates without a record.
    pub(crate) fn of_proxy(proxy: &Value) -> Self {
        let list = |key: &str| proxy.get(key).and_then(Value::as_array).into_iter().flatten();
        let variable = |name: &str| named::variable(proxy, name).map(str::to_owned);
        let Ok(ProxySettings { routes: Routes::Fixed(routes), .. }) =
            ProxySettings::from_raw(&RawOptions::from_env(variable))
        else {
            return Self::default();
        };
        let entry = |port: &Value| Some((number_of(port)?, port.get("name")?.as_str()?.to_owned()));
        let names: BTreeMap<u16, String> = list("ports").filter_map(entry).collect();
        let routes =
            routes.iter().filter_map(|route| Some((route.app.port(), names.get(&route.listen.port())?.clone())));
        Self(routes.collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the proxy's ports with these names, in the order of the app's.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = Listener<'_>> {
        self.0.iter().zip(NAMED_PORTS).map(|((app, name), port)| Listener { name, port, app: *app })
    }

    /// Returns the author's name of a TCP port whose present name is `name`.
    pub(crate) fn original<'a>(&'a self, number: u16, name: &'a str) -> &'a str {
        if name == app_port_name(number) { self.0.get(&number).map_or(name, String::as_str) } else { name }
    }

    /// Returns the renaming that restores the names in a container with these `ports`.
    pub(crate) fn restoring(&self, ports: Option<&Value>) -> Renaming {
        self.renaming(ports, |number, name, author| {
            let from = app_port_name(number);
            let to = if name == from { author } else { name };
            Rename { from, to: to.to_owned() }
        })
    }

    /// Returns the renaming that moves the names away from a container with these `ports`.
    pub(crate) fn moving(&self, ports: Option<&Value>) -> Renaming {
        self.renaming(ports, |number, _, author| Rename { from: author.to_owned(), to: app_port_name(number) })
    }

    fn renaming(&self, ports: Option<&Value>, rename: impl Fn(u16, &str, &str) -> Rename) -> Renaming {
        let ports = ports.and_then(Value::as_array).into_iter().flatten().filter(|port| is_tcp(port));
        let known = ports.filter_map(|port| {
            let number = number_of(port)?;
            let name = port.get("name").and_then(Value::as_str).unwrap_or_default();
            Some((number, rename(number, name, self.0.get(&number)?)))
        });
        Renaming(known.filter(|(_, rename)| rename.from != rename.to).collect())
    }
}

/// Returns the name of an app's port whose own name was moved: at most 9 of the 15 characters that Kubernetes allows.
pub(crate) fn app_port_name(number: u16) -> String {
    format!("app-{number}")
}

/// New names for the ports of one container, by number.
pub(crate) struct Renaming(BTreeMap<u16, Rename>);

struct Rename {
    from: String,
    to: String,
}

impl Renaming {
    /// Returns the container's `ports` with their new names.
    pub(crate) fn ports(&self, ports: Option<&Value>) -> Option<Value> {
        let mut ports = ports?.clone();
        for port in ports.as_array_mut().into_iter().flatten().filter(|port| is_tcp(port)) {
            let rename = number_of(port).and_then(|number| self.0.get(&number));
            let rename = rename.filter(|rename| port.get("name").and_then(Value::as_str) == Some(&rename.from));
            if let Some(Rename { to, .. }) = rename {
                port["name"] = Value::String(to.clone());
            }
        }
        Some(ports)
    }

    /// Returns whether a port with this name gets another.
    pub(crate) fn renames(&self, name: &str) -> bool {
        self.0.values().any(|rename| rename.from == name)
    }

    /// Returns a probe or hook with the new names.
    pub(crate) fn handler(&self, holder: &Value) -> Value {
        let mut holder = holder.clone();
        for kind in ["httpGet", "tcpSocket"] {
            let Some(port) = holder.get_mut(kind).and_then(|handler| handler.get_mut("port")) else { continue };
            if let Some(Rename { to, .. }) = self.0.values().find(|rename| port.as_str() == Some(&rename.from)) {
                *port = Value::String(to.clone());
            }
        }
        holder
    }
}

fn number_of(port: &Value) -> Option<u16> {
    port.get("containerPort")?.as_u64()?.try_into().ok()
}

fn is_tcp(port: &Value) -> bool {
    matches!(port.get("protocol").and_then(Value::as_str), None | Some("TCP"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names() -> PortNames {
        BTreeMap::from([(8080, "http".to_owned())]).into()
    }

    #[test]
    fn renamed_ports_are_restored_byte_for_byte() {
        let ports = json!([
            {"containerPort": 8080, "name": "http", "protocol": "TCP"},
            {"containerPort": 8080, "name": "quic", "protocol": "UDP"},
            {"name": "metrics", "containerPort": 9090},
        ]);
        let probe = json!({"periodSeconds": 3, "httpGet": {"port": "http", "path": "/"}});
        let hook = json!({"tcpSocket": {"port": "http"}});
        let away = names().moving(Some(&ports));
        let app_port_name = [away.ports(Some(&ports)).unwrap(), away.handler(&probe), away.handler(&hook)];
        assert_eq!(app_port_name[0][0], json!({"containerPort": 8080, "name": "app-8080", "protocol": "TCP"}));
        assert_eq!(app_port_name[0].as_array().unwrap()[1..], ports.as_array().unwrap()[1..]);
        assert_eq!(app_port_name[1]["httpGet"]["port"], "app-8080");
        assert_eq!(app_port_name[2]["tcpSocket"]["port"], "app-8080");
        let back = names().restoring(Some(&app_port_name[0]));
        assert_eq!(back.ports(Some(&app_port_name[0])).unwrap().to_string(), ports.to_string());
        assert_eq!(back.handler(&app_port_name[1]).to_string(), probe.to_string());
        assert_eq!(back.handler(&app_port_name[2]).to_string(), hook.to_string());
    }

    #[test]
    fn later_edits_of_port_names_are_kept() {
        for name in ["http", "web", "app-9090"] {
            let ports = json!([{"name": name, "containerPort": 8080}]);
            let back = names().restoring(Some(&ports));
            assert_eq!(back.ports(Some(&ports)), Some(ports.clone()));
            // A probe that we renamed follows the present name.
            let probe = json!({"tcpSocket": {"port": "app-8080"}});
            assert_eq!(back.handler(&probe), json!({"tcpSocket": {"port": name}}));
        }
        let ports = json!([{"name": "app-7000", "containerPort": 7000}, {"containerPort": 8080}]);
        assert_eq!(names().restoring(Some(&ports)).ports(Some(&ports)), Some(ports));
    }

    #[test]
    fn port_names_are_read_from_the_proxys_container() {
        let proxy = json!({
            "env": [
                {"name": "EVENKEEL_LISTEN", "value": "[::]:15220,[::]:15221"},
                {"name": "EVENKEEL_APP", "value": ":8080,:9090"},
            ],
            "ports": [
                {"name": "evenkeel-admin", "containerPort": 15211},
                {"name": "grpc", "containerPort": 15221},
                {"name": "http", "containerPort": 15220},
            ],
        });
        let expected = BTreeMap::from([(8080, "http".to_owned()), (9090, "grpc".to_owned())]);
        assert_eq!(PortNames::of_proxy(&proxy), expected.into());
        for nothing in [json!({}), json!(null), json!({"env": [{"name": "EVENKEEL_APP", "value": "x"}]})] {
            assert_eq!(PortNames::of_proxy(&nothing), PortNames::default());
        }
    }
}

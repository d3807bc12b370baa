//! The liveness probes that the proxy can run itself, to distinguish the restart of a container from the termination of
//! its pod.

use std::collections::BTreeSet;

use serde_json::Value;
use settings::{Liveness, LivenessProbe, ProxyProtocol, Question, WorkloadSettings};

use crate::fields::{ContainerFields, Fields};
use crate::json::handler;
use crate::planning::ports::Ports;
use crate::pod::{Container, Pod};

/// The handlers that the proxy can run as the kubelet does.
const HANDLERS: [&str; 2] = ["httpGet", "tcpSocket"];
/// The most bytes of probes in the variable: the kernel refuses to start a program with one beyond 128 KiB.
const MAX_BYTES: usize = 32 * 1024;

/// Returns the probes of the containers that are `held`, as their author wrote them.
pub(crate) fn probes(
    held: &BTreeSet<String>,
    pod: &Pod,
    fields: &Fields,
    ports: &Ports,
    settings: &WorkloadSettings,
) -> Liveness {
    let mut room = MAX_BYTES;
    let probe = |(app, fields): (&Container, &ContainerFields)| {
        let probe = as_forwarded(parsed(fields.liveness_probe()?, app)?, ports, settings);
        let probes = Liveness::from_iter([(app.name.clone(), probe.clone())]);
        room = room.checked_sub(probes.to_string().len())?;
        Some((app.name.clone(), probe))
    };
    pod.apps.iter().zip(&fields.apps).filter(|(app, _)| held.contains(&app.name)).filter_map(probe).collect()
}

/// Returns the probe with its port as a number, if the proxy can run it.
fn parsed(probe: &Value, app: &Container) -> Option<LivenessProbe> {
    let members = probe.as_object()?;
    let is_alone =
        |kind: &&str| members.get(*kind).is_some_and(Value::is_object) && !handler::has_other_handler(members, kind);
    let kind = HANDLERS.into_iter().find(is_alone)?;
    let port = app.port_called_by(&probe[kind])?;
    let mut numbered = probe.clone();
    numbered[kind]["port"] = port.into();
    serde_json::from_value(numbered).ok()
}

/// Returns the probe as the app receives it. On an intercepted port, that is by TLS or a PROXY protocol header as the
/// proxy sends them.
fn as_forwarded(mut probe: LivenessProbe, ports: &Ports, settings: &WorkloadSettings) -> LivenessProbe {
    let port = probe.port();
    let intercepted = ports.intercepted.contains(&port);
    let with_header = intercepted && settings.shared.proxy_protocol != ProxyProtocol::Off;
    let ends_tls = settings.tls.as_ref().is_some_and(|tls| !tls.towards_app.is_on());
    probe.introduced = match &mut probe.question {
        Question::Http(get) => {
            get.tls &= !(intercepted && ends_tls && !ports.opaque.contains(&port));
            with_header
        }
        // A probe that only connects sends no bytes, and so no header either.
        Question::Tcp(_) => false,
    };
    probe
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use settings::{Interception, Layer};

    use super::*;
    use crate::additions::entry::Origin;
    use crate::json::node::Node;
    use crate::proxy_ports::port_names::PortNames;

    /// Returns the setting for a pod with this probe and these annotations.
    fn setting(annotations: &[(&str, &str)], probe: &Value) -> String {
        setting_of(
            annotations,
            &json!([{
                "name": "web",
                "ports": [{"name": "http", "containerPort": 8080}, {"name": "raw", "containerPort": 9000}],
                "livenessProbe": probe,
            }]),
        )
    }

    fn setting_of(annotations: &[(&str, &str)], containers: &Value) -> String {
        let template = json!({"spec": {"containers": containers}});
        let node = Node::root(&template);
        let pod = Pod::read(&node, Origin::Guessed, &PortNames::default()).unwrap();
        let mut texts = BTreeMap::from([("evenkeel.dev/max-requests".to_owned(), "1".to_owned())]);
        texts.extend(annotations.iter().map(|(name, value)| (format!("evenkeel.dev/{name}"), (*value).to_owned())));
        let settings = WorkloadSettings::resolve(&[Layer::Workload(&texts)]).unwrap().unwrap();
        let ports = Ports::choose(&settings, Interception::Redirect, &pod).unwrap();
        let held = pod.apps.iter().map(|app| app.name.clone()).collect();
        probes(&held, &pod, &Fields::read(&node, Origin::Guessed).unwrap(), &ports, &settings).to_string()
    }

    #[test]
    fn only_liveness_probes_that_the_proxy_can_send_are_injected() {
        for (probe, parsed) in [
            (json!({"httpGet": {"port": "http", "path": "/a"}}), r#"{"httpGet":{"path":"/a","port":8080}}"#),
            (json!({"httpGet": {"port": 7000, "host": ""}, "exec": null}), r#"{"httpGet":{"port":7000}}"#),
            (
                json!({"tcpSocket": {"port": "raw"}, "timeoutSeconds": 3}),
                r#"{"tcpSocket":{"port":9000},"timeoutSeconds":3}"#,
            ),
            // Kubernetes has no such member.
            (json!({"tcpSocket": {"port": 8080}, "proxyProtocol": true}), r#"{"tcpSocket":{"port":8080}}"#),
            (json!({"httpGet": {"port": 8080, "host": "elsewhere"}}), ""),
            (json!({"httpGet": {"port": "unknown"}}), ""),
            (json!({"httpGet": {"port": 8080, "path": "/ä"}}), ""),
            (json!({"httpGet": {"port": 8080}, "tcpSocket": {"port": 8080}}), ""),
            (json!({"grpc": {"port": 8080}}), ""),
            (json!({"exec": {"command": ["true"]}}), ""),
            (json!({}), ""),
            (json!(null), ""),
        ] {
            let expected = if parsed.is_empty() { "{}".to_owned() } else { format!(r#"{{"web":{parsed}}}"#) };
            assert_eq!(setting(&[], &probe), expected, "{probe}");
        }
    }

    #[test]
    fn liveness_probes_use_the_tls_and_header_that_the_app_expects() {
        let tls = [("tls-secret", "web-tls")];
        let anew = [("tls-secret", "web-tls"), ("tls-to-app", "on")];
        let opaque = [("tls-secret", "web-tls"), ("opaque-ports", "raw")];
        let header = [("proxy-protocol", "v2"), ("ports", "http")];
        let by_tls = |port: u16| json!({"httpGet": {"port": port, "scheme": "HTTPS"}});
        for (annotations, probe, parsed) in [
            (&[][..], by_tls(8080), r#"{"httpGet":{"port":8080,"scheme":"HTTPS"}}"#),
            (&tls[..], by_tls(8080), r#"{"httpGet":{"port":8080}}"#),
            (&tls[..], by_tls(7000), r#"{"httpGet":{"port":7000,"scheme":"HTTPS"}}"#),
            (&anew[..], by_tls(8080), r#"{"httpGet":{"port":8080,"scheme":"HTTPS"}}"#),
            (&opaque[..], by_tls(9000), r#"{"httpGet":{"port":9000,"scheme":"HTTPS"}}"#),
            (&header[..], json!({"httpGet": {"port": 8080}}), r#"{"httpGet":{"port":8080},"proxyProtocol":true}"#),
            (&header[..], json!({"httpGet": {"port": 9000}}), r#"{"httpGet":{"port":9000}}"#),
            (&header[..], json!({"tcpSocket": {"port": 8080}}), r#"{"tcpSocket":{"port":8080}}"#),
        ] {
            assert_eq!(setting(annotations, &probe), format!(r#"{{"web":{parsed}}}"#), "{annotations:?} {probe}");
        }
    }

    #[test]
    fn the_injected_liveness_probes_are_bounded_in_length() {
        let long = json!({"httpGet": {"port": 8080, "path": format!("/{}", "$".repeat(1000))}});
        let app = |number| json!({"name": format!("app-{number}"), "livenessProbe": long});
        let mut apps: Vec<Value> = (0..100).map(app).collect();
        apps.insert(
            2,
            json!({"name": "huge", "livenessProbe": {"httpGet": {"port": 8080, "path": "a".repeat(100_000)}}}),
        );
        let setting = setting_of(&[("ports", "8080")], &json!(apps));
        assert!((MAX_BYTES / 2..=MAX_BYTES).contains(&setting.len()), "{}", setting.len());
        assert!(!setting.contains("huge"));
    }
}

//! The liveness probes that the proxy can ask in the kubelet's place, to tell the restart of an app from the end of its pod.

use std::collections::BTreeSet;

use serde_json::Value;
use settings::{Liveness, LivenessProbe, ProxyProtocol, Question, WorkloadSettings};

use crate::handler;
use crate::pod::{Container, Pod};
use crate::ports::Ports;
use crate::sites::{AppSites, Sites};

/// The handlers that the proxy can do the kubelet's part of.
const HANDLERS: [&str; 2] = ["httpGet", "tcpSocket"];
/// So many bytes of probes are told at most: an environment variable beyond 128 KiB would keep the proxy from being started.
const ROOM: usize = 32 * 1024;

/// The probes of the containers that are `held`, as their author wrote them.
pub(crate) fn of(
    held: &BTreeSet<String>,
    pod: &Pod,
    sites: &Sites,
    ports: &Ports,
    settings: &WorkloadSettings,
) -> Liveness {
    let mut room = ROOM;
    let probe = |(app, site): (&Container, &AppSites)| {
        let probe = as_the_app_hears_it(asked(site.liveness_probe()?, app)?, ports, settings);
        let probes = Liveness::from_iter([(app.name.clone(), probe.clone())]);
        room = room.checked_sub(probes.to_string().len())?;
        Some((app.name.clone(), probe))
    };
    pod.apps.iter().zip(&sites.apps).filter(|(app, _)| held.contains(&app.name)).filter_map(probe).collect()
}

/// The probe with its port's number, where it is one that can be asked.
fn asked(probe: &Value, app: &Container) -> Option<LivenessProbe> {
    let members = probe.as_object()?;
    let is_alone = |kind: &&str| members.get(*kind).is_some_and(Value::is_object) && !handler::has_rival(members, kind);
    let kind = HANDLERS.into_iter().find(is_alone)?;
    let port = handler::port_here(&probe[kind], app)?;
    let mut numbered = probe.clone();
    numbered[kind]["port"] = port.into();
    serde_json::from_value(numbered).ok()
}

/// The question as it comes to the app: what the kubelet says to a port that is taken, it says to the proxy.
fn as_the_app_hears_it(mut probe: LivenessProbe, ports: &Ports, settings: &WorkloadSettings) -> LivenessProbe {
    let port = probe.port();
    let taken = ports.taken.contains(&port);
    let with_header = taken && settings.proxy_protocol != ProxyProtocol::Off;
    let ends_tls = settings.tls.as_ref().is_some_and(|tls| !tls.towards_app.is_on());
    probe.introduced = match &mut probe.question {
        Question::Http(get) => {
            get.tls &= !(taken && ends_tls && !ports.opaque.contains(&port));
            with_header
        }
        // It says nothing, and a header neither.
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
    use crate::entry::Origin;
    use crate::names::PortNames;
    use crate::node::Node;

    /// What is told of a pod with this probe under these annotations.
    fn told(annotations: &[(&str, &str)], probe: &Value) -> String {
        told_of(
            annotations,
            &json!([{
                "name": "web",
                "ports": [{"name": "http", "containerPort": 8080}, {"name": "raw", "containerPort": 9000}],
                "livenessProbe": probe,
            }]),
        )
    }

    fn told_of(annotations: &[(&str, &str)], containers: &Value) -> String {
        let template = json!({"spec": {"containers": containers}});
        let node = Node::root(&template);
        let pod = Pod::read(&node, Origin::Guessed, &PortNames::default()).unwrap();
        let mut texts = BTreeMap::from([("evenkeel.dev/max-requests".to_owned(), "1".to_owned())]);
        texts.extend(annotations.iter().map(|(name, value)| (format!("evenkeel.dev/{name}"), (*value).to_owned())));
        let settings = WorkloadSettings::resolve(&[Layer::Workload(&texts)]).unwrap().unwrap();
        let ports = Ports::choose(&settings, Interception::Redirect, &pod).unwrap();
        let held = pod.apps.iter().map(|app| app.name.clone()).collect();
        of(&held, &pod, &Sites::read(&node, Origin::Guessed).unwrap(), &ports, &settings).to_string()
    }

    #[test]
    fn what_can_be_asked_and_what_cannot() {
        for (probe, asked) in [
            (json!({"httpGet": {"port": "http", "path": "/a"}}), r#"{"httpGet":{"path":"/a","port":8080}}"#),
            (json!({"httpGet": {"port": 7000, "host": ""}, "exec": null}), r#"{"httpGet":{"port":7000}}"#),
            (
                json!({"tcpSocket": {"port": "raw"}, "timeoutSeconds": 3}),
                r#"{"tcpSocket":{"port":9000},"timeoutSeconds":3}"#,
            ),
            // Of Kubernetes there is no such member.
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
            let expected = if asked.is_empty() { "{}".to_owned() } else { format!(r#"{{"web":{asked}}}"#) };
            assert_eq!(told(&[], &probe), expected, "{probe}");
        }
    }

    #[test]
    fn the_app_is_asked_as_the_proxy_would_ask_it() {
        let tls = [("tls-secret", "web-tls")];
        let anew = [("tls-secret", "web-tls"), ("tls-to-app", "on")];
        let opaque = [("tls-secret", "web-tls"), ("opaque-ports", "raw")];
        let header = [("proxy-protocol", "v2"), ("ports", "http")];
        let by_tls = |port: u16| json!({"httpGet": {"port": port, "scheme": "HTTPS"}});
        for (annotations, probe, asked) in [
            (&[][..], by_tls(8080), r#"{"httpGet":{"port":8080,"scheme":"HTTPS"}}"#),
            (&tls[..], by_tls(8080), r#"{"httpGet":{"port":8080}}"#),
            (&tls[..], by_tls(7000), r#"{"httpGet":{"port":7000,"scheme":"HTTPS"}}"#),
            (&anew[..], by_tls(8080), r#"{"httpGet":{"port":8080,"scheme":"HTTPS"}}"#),
            (&opaque[..], by_tls(9000), r#"{"httpGet":{"port":9000,"scheme":"HTTPS"}}"#),
            (&header[..], json!({"httpGet": {"port": 8080}}), r#"{"httpGet":{"port":8080},"proxyProtocol":true}"#),
            (&header[..], json!({"httpGet": {"port": 9000}}), r#"{"httpGet":{"port":9000}}"#),
            (&header[..], json!({"tcpSocket": {"port": 8080}}), r#"{"tcpSocket":{"port":8080}}"#),
        ] {
            assert_eq!(told(annotations, &probe), format!(r#"{{"web":{asked}}}"#), "{annotations:?} {probe}");
        }
    }

    #[test]
    fn no_environment_is_too_long() {
        let long = json!({"httpGet": {"port": 8080, "path": format!("/{}", "$".repeat(1000))}});
        let app = |number| json!({"name": format!("app-{number}"), "livenessProbe": long});
        let mut apps: Vec<Value> = (0..100).map(app).collect();
        apps.insert(
            2,
            json!({"name": "huge", "livenessProbe": {"httpGet": {"port": 8080, "path": "a".repeat(100_000)}}}),
        );
        let told = told_of(&[("ports", "8080")], &json!(apps));
        assert!((ROOM / 2..=ROOM).contains(&told.len()), "{}", told.len());
        assert!(!told.contains("huge"));
    }
}

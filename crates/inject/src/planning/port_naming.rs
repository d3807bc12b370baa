//! The names of ports, for interception named-port.

use std::collections::{BTreeMap, BTreeSet};

use crate::additions::container::ADMIN_PORT_NAME;
use crate::outcome::skip::SkipReason;
use crate::pod::{Container, Pod, Port};
use crate::proxy_ports::port_names::app_port_name;

/// Splits declared ports into those with a name and those without. The first set is never empty.
pub(super) fn named_ones(declared: BTreeSet<u16>, pod: &Pod) -> Result<(BTreeSet<u16>, BTreeSet<u16>), SkipReason> {
    let with_name: BTreeSet<u16> = tcp_ports(pod).filter(|port| port.name.is_some()).map(|port| port.number).collect();
    let (named, unnamed): (BTreeSet<u16>, BTreeSet<u16>) =
        declared.into_iter().partition(|number| with_name.contains(number));
    if named.is_empty() { Err(SkipReason::UnnamedPort) } else { Ok((named, unnamed)) }
}

/// Returns the name of each intercepted port. A name must be the only one of its port, no other port of the pod may
/// have it, and its port must not follow a UDP or SCTP port of the same number.
pub(super) fn names(intercepted: &BTreeSet<u16>, pod: &Pod) -> Result<BTreeMap<u16, String>, SkipReason> {
    intercepted.iter().map(|number| Ok((*number, name(*number, pod)?))).collect()
}

fn name(number: u16, pod: &Pod) -> Result<String, SkipReason> {
    let mut entries = tcp_ports(pod).filter(|port| port.number == number);
    let name = entries.next().and_then(|port| port.name.as_ref()).ok_or(SkipReason::UnnamedPort)?;
    // A Service might target the other one, and a container cannot have two ports with the same name.
    let is_elsewhere = |port: &Port| port.name.as_ref() == Some(name) && port.number != number;
    let stands_in_the_way = |port: &Port| port.name.as_deref() == Some(&app_port_name(number)) && port.number != number;
    let of_others = pod.apps.iter().chain(&pod.init_containers).flat_map(|container| &container.ports);
    let of_init_containers = pod.init_containers.iter().flat_map(Container::tcp_ports);
    let is_unique = entries.next().is_none()
        && !of_others.clone().any(is_elsewhere)
        && !of_others.into_iter().any(stands_in_the_way)
        && !of_init_containers.into_iter().any(|port| port.name.as_ref() == Some(name));
    let is_merged_by_itself = !pod.apps.iter().any(|app| follows_another_protocol(number, app));
    if is_unique && is_merged_by_itself && name != ADMIN_PORT_NAME {
        Ok(name.clone())
    } else {
        Err(SkipReason::PortNames)
    }
}

/// Returns whether a container declares the TCP port `number` after one of the same number and another protocol.
///
/// Strategic merge patches (`kubectl apply`, Helm 3) identify an entry of `ports` by its number alone, and change the
/// first. So the next apply would overwrite the name of the other port (kubernetes/kubernetes#39188).
fn follows_another_protocol(number: u16, app: &Container) -> bool {
    let mut entries = app.ports.iter().filter(|port| port.number == number);
    entries.next().is_some_and(|first| !first.tcp) && entries.any(|port| port.tcp)
}

fn tcp_ports(pod: &Pod) -> impl Iterator<Item = &Port> {
    pod.apps.iter().flat_map(Container::tcp_ports)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::additions::entry::Origin;
    use crate::json::node::Node;
    use crate::proxy_ports::port_names::PortNames;

    fn pod(apps: &[Value], init: &Value) -> Pod {
        let app = |(index, ports)| json!({"name": format!("app-{index}"), "ports": ports});
        let apps: Value = apps.iter().enumerate().map(app).collect();
        let template = json!({"spec": {"containers": apps, "initContainers": [{"name": "other", "ports": init}]}});
        Pod::read(&Node::root(&template), Origin::Guessed, &PortNames::default()).unwrap()
    }

    #[test]
    fn a_port_name_must_refer_to_one_port() {
        let http = || json!({"name": "http", "containerPort": 8080});
        for (apps, init, expected) in [
            (vec![json!([http()])], json!([]), Ok("http")),
            (vec![json!([{"containerPort": 8080}])], json!([]), Err(SkipReason::UnnamedPort)),
            (vec![json!([{"name": "", "containerPort": 8080}])], json!([]), Err(SkipReason::UnnamedPort)),
            (vec![json!([])], json!([]), Err(SkipReason::UnnamedPort)),
            (vec![json!([http(), {"name": "web", "containerPort": 8080}])], json!([]), Err(SkipReason::PortNames)),
            (
                vec![json!([http()]), json!([{"name": "http", "containerPort": 9090}])],
                json!([]),
                Err(SkipReason::PortNames),
            ),
            (vec![json!([http()])], json!([{"name": "http", "containerPort": 8080}]), Err(SkipReason::PortNames)),
            (vec![json!([http(), {"name": "app-8080", "containerPort": 9090}])], json!([]), Err(SkipReason::PortNames)),
            (vec![json!([{"name": "evenkeel-admin", "containerPort": 8080}])], json!([]), Err(SkipReason::PortNames)),
            // A name of the form that we give is accepted.
            (vec![json!([{"name": "app-8080", "containerPort": 8080}])], json!([]), Ok("app-8080")),
            // Of the same number, but not the same port.
            (vec![json!([http(), {"name": "quic", "containerPort": 8080, "protocol": "UDP"}])], json!([]), Ok("http")),
            (
                vec![json!([{"name": "quic", "containerPort": 8080, "protocol": "UDP"}, http()])],
                json!([]),
                Err(SkipReason::PortNames),
            ),
            (
                vec![json!([http()]), json!([{"name": "quic", "containerPort": 8080, "protocol": "SCTP"}])],
                json!([]),
                Ok("http"),
            ),
        ] {
            let found =
                names(&BTreeSet::from([8080]), &pod(&apps, &init)).map(|mut names| names.remove(&8080).unwrap());
            assert_eq!(found, expected.map(str::to_owned), "{apps:?} {init}");
        }
    }

    #[test]
    fn unnamed_ports_are_left_out() {
        let pod = pod(&[json!([{"name": "http", "containerPort": 8080}, {"containerPort": 9090}])], &json!([]));
        let sets = (BTreeSet::from([8080]), BTreeSet::from([9090]));
        assert_eq!(named_ones(BTreeSet::from([8080, 9090]), &pod), Ok(sets));
        assert_eq!(named_ones(BTreeSet::from([9090]), &pod), Err(SkipReason::UnnamedPort));
    }
}

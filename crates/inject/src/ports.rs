//! Which app ports pass through the proxy.

use std::collections::BTreeSet;

use settings::{ADMIN_PORT, Annotation, Fault, Faults, PROXY_PORT, PortRef, WorkloadSettings};

use crate::plan::Refusal;
use crate::pod::{Container, Pod};
use crate::skip::SkipReason;

/// The ports to take, and those of them that are not looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    /// Never empty, never the proxy's own.
    pub(crate) taken: BTreeSet<u16>,
    pub(crate) opaque: BTreeSet<u16>,
}

impl Ports {
    /// Finds the ports that `settings` mean in `pod`.
    pub(crate) fn choose(settings: &WorkloadSettings, pod: &Pod) -> Result<Self, Refusal> {
        let mut faults = Vec::new();
        let taken = match &settings.ports {
            Some(asked) => numbers(Annotation::Ports, asked, pod, &mut faults),
            None => declared(pod)?,
        };
        let all_taken_are_known = faults.is_empty();
        let opaque = numbers(Annotation::OpaquePorts, &settings.opaque_ports, pod, &mut faults);
        if all_taken_are_known {
            faults.extend(opaque.difference(&taken).map(|port| {
                let expected = format!("one of the ports that are taken ({})", listed(&taken));
                Fault::invalid(Annotation::OpaquePorts.key(), port.to_string(), expected)
            }));
        }
        Faults::none_or(faults)?;
        let ports = Self { taken, opaque };
        ports.check(pod)?;
        Ok(ports)
    }

    fn check(&self, pod: &Pod) -> Result<(), SkipReason> {
        let ours = |number: &u16| [PROXY_PORT, ADMIN_PORT].contains(number);
        let declared = pod.apps.iter().chain(&pod.init_containers).flat_map(Container::tcp_ports);
        if self.taken.iter().any(ours) || declared.map(|port| port.number).any(|number| ours(&number)) {
            return Err(SkipReason::PortClash);
        }
        if self.taken.iter().any(|number| owners(pod, *number).count() > 1) {
            return Err(SkipReason::PortOwners);
        }
        let mut declared = pod.apps.iter().flat_map(Container::tcp_ports);
        if declared.any(|port| port.on_host && self.taken.contains(&port.number)) {
            return Err(SkipReason::HostPort);
        }
        Ok(())
    }

    /// Whether a container may serve a taken port: it declares one, or nobody declares one of them.
    pub(crate) fn may_be_served_by(&self, app: &Container, pod: &Pod) -> bool {
        let declares = |number: &u16| app.tcp_ports().any(|port| port.number == *number);
        self.taken.iter().any(|number| declares(number) || owners(pod, *number).next().is_none())
    }
}

/// The containers that declare a TCP port.
fn owners(pod: &Pod, number: u16) -> impl Iterator<Item = &Container> {
    pod.apps.iter().filter(move |app| app.tcp_ports().any(|port| port.number == number))
}

/// Every TCP port that an app container declares.
fn declared(pod: &Pod) -> Result<BTreeSet<u16>, SkipReason> {
    let ports: BTreeSet<u16> = pod.apps.iter().flat_map(Container::tcp_ports).map(|port| port.number).collect();
    if !ports.is_empty() {
        Ok(ports)
    } else if pod.apps.iter().all(|app| app.ports.is_empty()) {
        Err(SkipReason::NoPort)
    } else {
        Err(SkipReason::NoTcpPort)
    }
}

/// The numbers that an annotation means; a name that no container declares is a fault.
fn numbers(annotation: Annotation, asked: &[PortRef], pod: &Pod, faults: &mut Vec<Fault>) -> BTreeSet<u16> {
    let mut numbers = BTreeSet::new();
    for port in asked {
        match port {
            PortRef::Number(number) => _ = numbers.insert(*number),
            PortRef::Name(name) => {
                let meant: BTreeSet<u16> = named(pod, name).collect();
                if meant.is_empty() {
                    faults.push(Fault::invalid(annotation.key(), name, known_names(pod)));
                }
                numbers.extend(meant);
            }
        }
    }
    numbers
}

fn named<'a>(pod: &'a Pod, name: &'a str) -> impl Iterator<Item = u16> + 'a {
    let ports = pod.apps.iter().flat_map(Container::tcp_ports);
    ports.filter(move |port| port.name.as_deref() == Some(name)).map(|port| port.number)
}

fn known_names(pod: &Pod) -> String {
    let names: BTreeSet<&str> =
        pod.apps.iter().flat_map(Container::tcp_ports).filter_map(|port| port.name.as_deref()).collect();
    if names.is_empty() {
        "a number, as no container names a TCP port".to_owned()
    } else {
        format!("a number, or the name of a TCP container port ({})", listed(names))
    }
}

fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};
    use settings::Layer;

    use super::*;
    use crate::container::Origin;
    use crate::node::Node;

    fn pod(spec: &Value) -> Pod {
        let template = json!({"spec": spec});
        Pod::read(&Node::root(&template), Origin::Guessed).unwrap()
    }

    fn choose(annotations: &[(&str, &str)], spec: &Value) -> Result<Ports, Refusal> {
        let mut texts = BTreeMap::from([("evenkeel.dev/max-requests".to_owned(), "1".to_owned())]);
        texts.extend(annotations.iter().map(|(name, value)| (format!("evenkeel.dev/{name}"), (*value).to_owned())));
        let settings = WorkloadSettings::resolve(&[Layer::Object(&texts)]).unwrap().unwrap();
        Ports::choose(&settings, &pod(spec))
    }

    fn skipped(annotations: &[(&str, &str)], spec: &Value) -> Option<SkipReason> {
        match choose(annotations, spec) {
            Err(Refusal::Skip(reason)) => Some(reason),
            Err(Refusal::Invalid(faults)) => panic!("{faults}"),
            Ok(_) => None,
        }
    }

    fn spec() -> Value {
        json!({
            "containers": [
                {"name": "web", "ports": [
                    {"name": "http", "containerPort": 8080},
                    {"name": "quic", "containerPort": 8443, "protocol": "UDP"},
                    {"containerPort": 9000, "hostPort": 9000},
                ]},
                {"name": "more", "ports": [{"name": "http", "containerPort": 8081}, {"containerPort": 9000}]},
            ],
        })
    }

    #[test]
    fn names_numbers_and_everything() {
        for (asked, taken) in [("8080", vec![8080]), ("http", vec![8080, 8081]), ("7777,8081", vec![7777, 8081])] {
            assert_eq!(choose(&[("ports", asked)], &spec()).unwrap().taken, BTreeSet::from_iter(taken), "{asked}");
        }
        let mut alone = spec();
        alone["containers"].as_array_mut().unwrap().pop();
        alone["containers"][0]["ports"][2]["hostPort"] = json!(0);
        assert_eq!(choose(&[], &alone).unwrap().taken, BTreeSet::from([8080, 9000]));
    }

    #[test]
    fn reasons_concern_the_ports_that_are_taken() {
        assert_eq!(skipped(&[("ports", "http")], &spec()), None);
        assert_eq!(skipped(&[], &spec()), Some(SkipReason::PortOwners));
        let mut one = spec();
        one["containers"].as_array_mut().unwrap().pop();
        assert_eq!(skipped(&[], &one), Some(SkipReason::HostPort));
        assert_eq!(skipped(&[("ports", "15211")], &one), Some(SkipReason::PortClash));
        one["initContainers"] = json!([{"name": "a", "ports": [{"containerPort": 15210}]}]);
        assert_eq!(skipped(&[("ports", "http")], &one), Some(SkipReason::PortClash));
        one["initContainers"] = json!([{"name": "a", "ports": [{"containerPort": 15210, "protocol": "UDP"}]}]);
        assert_eq!(skipped(&[("ports", "http")], &one), None);
    }

    #[test]
    fn faults_of_both_annotations_come_together() {
        let faults = |annotations: &[(&str, &str)]| match choose(annotations, &spec()) {
            Err(Refusal::Invalid(faults)) => faults.iter().map(ToString::to_string).collect(),
            Err(Refusal::Skip(_)) | Ok(_) => Vec::new(),
        };
        assert_eq!(
            faults(&[("ports", "quic,htpp"), ("opaque-ports", "raw,8080")]),
            [
                r#"evenkeel.dev/ports: "quic" is not usable: expected a number, or the name of a TCP container port (http)"#,
                r#"evenkeel.dev/ports: "htpp" is not usable: expected a number, or the name of a TCP container port (http)"#,
                r#"evenkeel.dev/opaque-ports: "raw" is not usable: expected a number, or the name of a TCP container port (http)"#,
            ]
        );
        assert_eq!(
            faults(&[("ports", "http"), ("opaque-ports", "9000")]),
            [
                r#"evenkeel.dev/opaque-ports: "9000" is not usable: expected one of the ports that are taken (8080, 8081)"#
            ]
        );
    }

    #[test]
    fn who_may_serve_a_port_that_nobody_declares() {
        let pod = pod(&spec());
        let ports = |taken| Ports { taken: BTreeSet::from([taken]), opaque: BTreeSet::new() };
        let served = |taken| pod.apps.iter().map(|app| ports(taken).may_be_served_by(app, &pod)).collect::<Vec<_>>();
        assert_eq!(
            (served(8080), served(8081), served(7777)),
            (vec![true, false], vec![false, true], vec![true, true])
        );
    }
}

//! Chooses the app ports that pass through the proxy.

use std::collections::{BTreeMap, BTreeSet};

use settings::{
    ADMIN_PORT, Annotation, Fault, Faults, Interception, NAMED_PORTS, PROXY_PORT, PortRef, WorkloadSettings,
};

use super::port_naming;
use crate::outcome::refusal::Refusal;
use crate::outcome::skip::SkipReason;
use crate::pod::{Container, Pod};

/// The most names in an error message. A pod can have thousands of ports.
const MAX_NAMES: usize = 10;

/// The ports to intercept, and which of them are opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    /// Never empty; without the proxy's own ports.
    pub(crate) intercepted: BTreeSet<u16>,
    pub(crate) opaque: BTreeSet<u16>,
    /// The names of the intercepted ports, for interception named-port.
    pub(crate) names: BTreeMap<u16, String>,
    /// Declared ports without a name, which interception named-port cannot intercept.
    pub(crate) unnamed: BTreeSet<u16>,
}

impl Ports {
    /// Finds the ports that `settings` select in `pod`.
    pub(crate) fn choose(settings: &WorkloadSettings, interception: Interception, pod: &Pod) -> Result<Self, Refusal> {
        let mut faults = Vec::new();
        let (intercepted, unnamed) = match (&settings.ports, interception) {
            (Some(asked), _) => (numbers(Annotation::Ports, asked, pod, &mut faults), BTreeSet::new()),
            (None, Interception::Redirect) => (declared(pod)?, BTreeSet::new()),
            (None, Interception::NamedPort) => port_naming::named_ones(declared(pod)?, pod)?,
        };
        let all_taken_are_known = faults.is_empty();
        let opaque = numbers(Annotation::OpaquePorts, &settings.opaque_ports, pod, &mut faults);
        if all_taken_are_known {
            faults.extend(opaque.difference(&intercepted).map(|port| {
                let expected = format!("one of the intercepted ports ({})", listed(&intercepted));
                Fault::invalid(Annotation::OpaquePorts.key(), port.to_string(), expected)
            }));
        }
        Faults::none_or(faults)?;
        let mut ports = Self { intercepted, opaque, names: BTreeMap::new(), unnamed };
        ports.check(interception, pod)?;
        if interception == Interception::NamedPort {
            ports.names = port_naming::names(&ports.intercepted, pod)?;
        }
        Ok(ports)
    }

    fn check(&self, interception: Interception, pod: &Pod) -> Result<(), SkipReason> {
        let listeners = match interception {
            Interception::Redirect => 0,
            Interception::NamedPort => self.intercepted.len(),
        };
        let ours: BTreeSet<u16> = [PROXY_PORT, ADMIN_PORT].into_iter().chain(NAMED_PORTS.take(listeners)).collect();
        let ours = |number: &u16| ours.contains(number);
        if listeners > NAMED_PORTS.len() {
            return Err(SkipReason::PortClash);
        }
        let declared = pod.apps.iter().chain(&pod.init_containers).flat_map(Container::tcp_ports);
        if self.intercepted.iter().any(ours) || declared.map(|port| port.number).any(|number| ours(&number)) {
            return Err(SkipReason::PortClash);
        }
        let owners = owners(pod);
        if self.intercepted.iter().any(|number| owners.get(number).is_some_and(|owners| owners.len() > 1)) {
            return Err(SkipReason::PortOwners);
        }
        let mut declared = pod.apps.iter().flat_map(Container::tcp_ports);
        if declared.any(|port| port.on_host && self.intercepted.contains(&port.number)) {
            return Err(SkipReason::HostPort);
        }
        Ok(())
    }

    /// Returns whether a container may serve an intercepted port: it declares one, or no container declares one of
    /// them.
    pub(crate) fn may_be_served_by(&self, app: &Container, pod: &Pod) -> bool {
        let declares_one = app.tcp_ports().any(|port| self.intercepted.contains(&port.number));
        declares_one || {
            let declared: BTreeSet<u16> =
                pod.apps.iter().flat_map(Container::tcp_ports).map(|port| port.number).collect();
            !self.intercepted.is_subset(&declared)
        }
    }
}

/// Returns the indices of the containers that declare each TCP port.
fn owners(pod: &Pod) -> BTreeMap<u16, BTreeSet<usize>> {
    let mut owners: BTreeMap<u16, BTreeSet<usize>> = BTreeMap::new();
    for (index, app) in pod.apps.iter().enumerate() {
        for port in app.tcp_ports() {
            owners.entry(port.number).or_default().insert(index);
        }
    }
    owners
}

/// Returns every TCP port that an app container declares.
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

/// Returns the port numbers that an annotation selects; a name that no container declares is a fault.
fn numbers(annotation: Annotation, asked: &[PortRef], pod: &Pod, faults: &mut Vec<Fault>) -> BTreeSet<u16> {
    let mut by_name: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
    for port in pod.apps.iter().flat_map(Container::tcp_ports) {
        if let Some(name) = &port.name {
            by_name.entry(name).or_default().insert(port.number);
        }
    }
    let mut numbers = BTreeSet::new();
    for port in asked {
        match port {
            PortRef::Number(number) => _ = numbers.insert(*number),
            PortRef::Name(name) => match by_name.get(name.as_str()) {
                Some(meant) => numbers.extend(meant),
                None => faults.push(Fault::invalid(annotation.key(), name, known(&by_name))),
            },
        }
    }
    numbers
}

fn known(by_name: &BTreeMap<&str, BTreeSet<u16>>) -> String {
    if by_name.is_empty() {
        return "a number, as no container names a TCP port".to_owned();
    }
    let more = if by_name.len() > MAX_NAMES { ", …" } else { "" };
    let names = listed(by_name.keys().take(MAX_NAMES));
    format!("a number, or the name of a TCP container port ({names}{more})")
}

fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use settings::Layer;

    use super::*;
    use crate::additions::entry::Origin;
    use crate::json::node::Node;
    use crate::proxy_ports::port_names::PortNames;

    fn pod(spec: &Value) -> Pod {
        let template = json!({"spec": spec});
        Pod::read(&Node::root(&template), Origin::Guessed, &PortNames::default()).unwrap()
    }

    fn choose(annotations: &[(&str, &str)], spec: &Value) -> Result<Ports, Refusal> {
        let mut texts = BTreeMap::from([("evenkeel.dev/max-requests".to_owned(), "1".to_owned())]);
        texts.extend(annotations.iter().map(|(name, value)| (format!("evenkeel.dev/{name}"), (*value).to_owned())));
        let settings = WorkloadSettings::resolve(&[Layer::Workload(&texts)]).unwrap().unwrap();
        Ports::choose(&settings, settings.default_interception, &pod(spec))
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
    fn ports_are_selected_by_name_number_or_default() {
        for (asked, intercepted) in [("8080", vec![8080]), ("http", vec![8080, 8081]), ("7777,8081", vec![7777, 8081])]
        {
            assert_eq!(
                choose(&[("ports", asked)], &spec()).unwrap().intercepted,
                BTreeSet::from_iter(intercepted),
                "{asked}"
            );
        }
        let mut alone = spec();
        alone["containers"].as_array_mut().unwrap().pop();
        alone["containers"][0]["ports"][2]["hostPort"] = json!(0);
        assert_eq!(choose(&[], &alone).unwrap().intercepted, BTreeSet::from([8080, 9000]));
    }

    #[test]
    fn only_intercepted_ports_are_reasons_to_skip() {
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
    fn every_named_port_gets_a_port_of_the_proxy() {
        let spec = |other: u16| {
            let ports = [("a", 8080), ("b", 9090), ("c", other)];
            let ports: Value = ports.iter().map(|(name, port)| json!({"name": name, "containerPort": port})).collect();
            json!({"containers": [{"name": "web", "ports": ports}]})
        };
        let by_name = |asked| [("interception", "named-port"), ("ports", asked)];
        assert_eq!(skipped(&by_name("a,b"), &spec(15_221)), Some(SkipReason::PortClash));
        assert_eq!(skipped(&by_name("a,b"), &spec(15_222)), None);
        assert_eq!(skipped(&[("ports", "a,b")], &spec(15_221)), None, "redirect needs no port there");
        assert_eq!(skipped(&by_name("c"), &spec(15_220)), Some(SkipReason::PortClash));
        let many: Value =
            (1..=u16::MAX).map(|port| json!({"name": format!("p{port}"), "containerPort": port})).collect();
        let many = json!({"containers": [{"name": "web", "ports": many}]});
        assert_eq!(skipped(&[("interception", "named-port")], &many), Some(SkipReason::PortClash));
    }

    #[test]
    fn faults_of_ports_and_opaque_ports_are_reported_together() {
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
            [r#"evenkeel.dev/opaque-ports: "9000" is not usable: expected one of the intercepted ports (8080, 8081)"#]
        );
    }

    #[test]
    fn an_undeclared_port_belongs_to_every_container() {
        let pod = pod(&spec());
        let ports = |intercepted| Ports {
            intercepted: BTreeSet::from([intercepted]),
            opaque: BTreeSet::new(),
            names: BTreeMap::new(),
            unnamed: BTreeSet::new(),
        };
        let served =
            |intercepted| pod.apps.iter().map(|app| ports(intercepted).may_be_served_by(app, &pod)).collect::<Vec<_>>();
        assert_eq!(
            (served(8080), served(8081), served(7777)),
            (vec![true, false], vec![false, true], vec![true, true])
        );
    }
}

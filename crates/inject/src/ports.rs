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
                let expected = format!("among the ports that are taken ({})", listed(&taken));
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

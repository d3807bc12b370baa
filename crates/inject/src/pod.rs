//! The parts of a pod template that injection reads, without injected containers and volumes.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::additions::entry::{List, Origin};
use crate::json::handler;
use crate::json::node::{Node, Unreadable};
use crate::proxy_ports::port_names::PortNames;
use crate::resources::constraints::Constraints;
use crate::resources::quantity::{Quantity, Resource};
use crate::resources::requirements::Requirements;
use crate::windows;

/// The Kubernetes default of `terminationGracePeriodSeconds`.
const GRACE_PERIOD_SECONDS: u64 = 30;

/// Substrings in the names of gVisor's runtime classes: its name, and that of its runtime.
const SANDBOXES: &[&str] = &["gvisor", "runsc"];

/// The parts of a pod template that injection reads, without injected containers.
pub(crate) struct Pod {
    pub(crate) host_network: bool,
    pub(crate) windows: bool,
    runtime_class: Option<String>,
    /// Whether it has an `AppArmor` profile of the node's (`Localhost`), which its author wrote for the app.
    pub(crate) has_local_app_armor: bool,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) grace_period_seconds: u64,
    /// The resources of the pod as a whole (`spec.resources`, KEP-2837).
    resources: [Requirements; 2],
    /// The containers that run as long as the pod: the entries of `containers`, then native sidecars that are not
    /// injected.
    pub(crate) apps: Vec<Container>,
    /// The names of its volumes, without the injected ones.
    volumes: Vec<String>,
    /// Init containers that are not injected and end before the apps start.
    pub(crate) init_containers: Vec<Container>,
    /// For each entry of `initContainers` that was not injected, in order: whether it is a native sidecar, and its
    /// resources.
    start_order: Vec<(bool, [Requirements; 2])>,
}

/// The parts of a container that injection reads.
#[derive(Default)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) ports: Vec<Port>,
    /// Whether it is a native sidecar, which runs as long as the pod.
    pub(crate) is_sidecar: bool,
    pub(crate) resources: [Requirements; 2],
}

/// A declared container port.
pub(crate) struct Port {
    pub(crate) name: Option<String>,
    pub(crate) number: u16,
    pub(crate) tcp: bool,
    pub(crate) on_host: bool,
}

impl Pod {
    /// Reads a pod template. `origin` decides which entries count as injected; `names` has the port names that were
    /// moved to the proxy.
    pub(crate) fn read(template: &Node<'_>, origin: Origin, names: &PortNames) -> Result<Self, Unreadable> {
        let metadata = template.member("metadata")?;
        let spec = template.member("spec")?;
        let containers = spec.member("containers")?;
        let read = |node: &Node<'_>| Container::read(node, names);
        let mut apps = containers.items()?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        // Among `containers` this field sets the restart rule of that one container (KEP-5307).
        for app in &mut apps {
            app.is_sidecar = false;
        }
        if apps.is_empty() {
            return Err(containers.unreadable("at least one container"));
        }
        let (mut init_containers, mut start_order) = (Vec::new(), Vec::new());
        for node in spec.member(List::InitContainers.field())?.items()? {
            let container = read(&node)?;
            if is_injected(List::InitContainers, &node, origin) {
                continue;
            }
            start_order.push((container.is_sidecar, container.resources));
            if container.is_sidecar { apps.push(container) } else { init_containers.push(container) }
        }
        let mut volumes = Vec::new();
        for node in spec.member(List::Volumes.field())?.items()? {
            let name = node.member("name")?;
            if !is_injected(List::Volumes, &node, origin) {
                volumes.extend(name.text()?.map(str::to_owned));
            }
        }
        // The record identifies containers by name. The API server refuses duplicate names only after the webhooks.
        let mut names: Vec<&str> = apps.iter().chain(&init_containers).map(|it| it.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(containers.unreadable("a name of its own for each container"));
        }
        Ok(Self {
            host_network: spec.member("hostNetwork")?.is_true()?,
            windows: windows::is_required(&spec)?,
            runtime_class: spec.member("runtimeClassName")?.text()?.map(str::to_owned),
            has_local_app_armor: spec.path(&["securityContext", "appArmorProfile", "type"])?.text()?
                == Some("Localhost"),
            labels: metadata.member("labels")?.string_map()?,
            annotations: metadata.member("annotations")?.string_map()?,
            grace_period_seconds: spec
                .member("terminationGracePeriodSeconds")?
                .whole_number()?
                .unwrap_or(GRACE_PERIOD_SECONDS),
            resources: requirements(&spec.member("resources")?)?,
            apps,
            volumes,
            init_containers,
            start_order,
        })
    }

    /// Returns whether its runtime class is gVisor by its name. The handler of the class is in another object.
    pub(crate) fn is_sandboxed(&self) -> bool {
        let class = self.runtime_class.as_deref().unwrap_or_default().to_ascii_lowercase();
        SANDBOXES.iter().any(|name| class.contains(name))
    }

    /// Returns whether a list has an entry with this name that was not injected. The names of containers are unique in
    /// the whole pod.
    pub(crate) fn has_entry(&self, list: List, name: &str) -> bool {
        match list {
            List::InitContainers => self.apps.iter().chain(&self.init_containers).any(|it| it.name == name),
            List::Volumes => self.volumes.iter().any(|volume| volume == name),
        }
    }

    /// Returns the resources of the pod as a whole.
    pub(crate) const fn resources(&self, resource: Resource) -> Requirements {
        self.resources[resource as usize]
    }

    /// Returns the sum of its containers' resources, with the namespace's defaults, as an API server computes it: init
    /// containers run one after the other, and sidecars run beside everything after them.
    pub(crate) fn total(&self, resource: Resource, constraints: &Constraints) -> Requirements {
        let of = |resources: &[Requirements; 2]| resources[resource as usize].with_defaults(constraints);
        let (sidecars, init) = self.start_order.iter().fold(
            (Requirements::default(), Requirements::default()),
            |(sidecars, most), (is_sidecar, resources)| {
                let running = sidecars.plus(of(resources));
                (if *is_sidecar { running } else { sidecars }, most.max(running))
            },
        );
        let containers = self.apps.iter().filter(|app| !app.is_sidecar).map(|app| of(&app.resources));
        containers.fold(sidecars, Requirements::plus).max(init)
    }

    /// Returns whether its containers put the pod into the `QoS` class `Guaranteed`. Resources of the pod as a whole
    /// take precedence over them.
    pub(crate) fn is_guaranteed_by_containers(&self) -> bool {
        let containers = self.apps.iter().chain(&self.init_containers);
        let mut requirements = containers.flat_map(|container| container.resources);
        self.resources == [Requirements::default(); 2] && requirements.all(Requirements::is_guaranteed)
    }
}

impl Container {
    /// Returns the number of the pod's port that a handler of this container calls; `None` if it calls another host.
    pub(crate) fn port_called_by(&self, handler: &Value) -> Option<u16> {
        if handler::names_host(handler) {
            return None;
        }
        match handler.get("port")? {
            Value::Number(number) => number.as_u64()?.try_into().ok(),
            // Like the kubelet, looks for a name among the container's own ports.
            Value::String(name) => {
                self.ports.iter().find(|port| port.name.as_deref() == Some(name)).map(|port| port.number)
            }
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn read(node: &Node<'_>, names: &PortNames) -> Result<Self, Unreadable> {
        let name = node.member("name")?;
        let name = name.text()?.ok_or_else(|| name.unreadable("a name"))?.to_owned();
        let ports =
            node.member("ports")?.items()?.iter().map(|port| Port::read(port, names)).collect::<Result<_, _>>()?;
        let is_sidecar = node.member("restartPolicy")?.text()? == Some("Always");
        Ok(Self { name, ports, is_sidecar, resources: requirements(&node.member("resources")?)? })
    }

    /// Returns the TCP ports that the container declares.
    pub(crate) fn tcp_ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().filter(|port| port.tcp)
    }
}

impl Port {
    fn read(node: &Node<'_>, names: &PortNames) -> Result<Self, Unreadable> {
        let number = node.member("containerPort")?;
        let number = number.port()?.ok_or_else(|| number.unreadable("a port from 1 to 65535"))?;
        let tcp = matches!(node.member("protocol")?.text()?, None | Some("TCP"));
        let name = node.member("name")?;
        // The API server treats an empty name as none.
        let name = name.text()?.filter(|name| !name.is_empty());
        let name = name.map(|name| if tcp { names.original(number, name) } else { name });
        Ok(Self { name: name.map(str::to_owned), number, tcp, on_host: node.member("hostPort")?.port()?.is_some() })
    }
}

/// Returns whether an entry of `initContainers` is a native sidecar (KEP-753) that was not injected.
pub(crate) fn is_sidecar_of_others(node: &Node<'_>, origin: Origin) -> Result<bool, Unreadable> {
    Ok(node.member("restartPolicy")?.text()? == Some("Always") && !is_injected(List::InitContainers, node, origin))
}

fn is_injected(list: List, node: &Node<'_>, origin: Origin) -> bool {
    node.raw().is_some_and(|entry| list.is_injected(entry, origin))
}

/// Reads `resources`.
fn requirements(resources: &Node<'_>) -> Result<[Requirements; 2], Unreadable> {
    let mut requirements = [Requirements::default(); 2];
    for resource in Resource::ALL {
        let amount = |member| {
            let value = resources.path(&[member, resource.name()])?.raw();
            Ok(value.and_then(Quantity::of))
        };
        requirements[resource as usize] = Requirements { request: amount("requests")?, limit: amount("limits")? };
    }
    Ok(requirements)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(template: &Value) -> Result<Pod, String> {
        Pod::read(&Node::root(template), Origin::Guessed, &PortNames::default())
            .map_err(|unreadable| unreadable.to_string())
    }

    #[test]
    fn absent_fields_have_their_defaults() {
        let pod = read(&json!({"spec": {"containers": [{"name": "web", "ports": [{"containerPort": 80}]}]}})).unwrap();
        assert_eq!((pod.grace_period_seconds, pod.host_network, pod.windows), (30, false, false));
        assert!(pod.apps[0].ports[0].tcp && !pod.apps[0].ports[0].on_host);
    }

    #[test]
    fn injected_containers_are_left_out() {
        let proxy = json!({"name": "recycling-proxy", "args": ["run"]});
        let template = json!({"spec": {"containers": [{"name": "web"}], "initContainers": [proxy, {"name": "other"}]}});
        let pod = read(&template).unwrap();
        assert_eq!(pod.init_containers.iter().map(|container| container.name.as_str()).collect::<Vec<_>>(), ["other"]);
    }

    #[test]
    fn pods_of_the_guaranteed_class_are_recognized() {
        for (resources, guaranteed) in [
            (json!(null), false),
            (json!({"limits": {"cpu": "1"}}), false),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), true),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}), true),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}), false),
        ] {
            let template = json!({"spec": {"containers": [{"name": "web", "resources": resources}]}});
            assert_eq!(read(&template).unwrap().is_guaranteed_by_containers(), guaranteed, "{template}");
        }
    }

    #[test]
    fn pods_that_the_api_server_refuses_are_unreadable() {
        for (spec, error) in [
            (json!({}), "/spec/containers: expected at least one container"),
            (json!({"containers": [{}]}), "/spec/containers/0/name: expected a name"),
            (
                json!({"containers": [{"name": "a"}, {"name": "a"}]}),
                "/spec/containers: expected a name of its own for each container",
            ),
            (
                json!({"containers": [{"name": "a"}], "initContainers": [{"name": "a"}]}),
                "/spec/containers: expected a name of its own for each container",
            ),
            (
                json!({"containers": [{"name": "a"}], "initContainers": [{"name": "b"}, {"name": "b", "restartPolicy": "Always"}]}),
                "/spec/containers: expected a name of its own for each container",
            ),
            (
                json!({"containers": [{"name": "a", "ports": [{}]}]}),
                "/spec/containers/0/ports/0/containerPort: expected a port from 1 to 65535",
            ),
            (json!({"containers": [{"name": "a"}], "hostNetwork": "yes"}), "/spec/hostNetwork: expected true or false"),
        ] {
            assert_eq!(read(&json!({"spec": spec})).err().as_deref(), Some(error));
        }
    }

    #[test]
    fn resources_of_a_pod_count_sidecars_and_the_largest_init_container() {
        let container = |name: &str, cpu: &str| json!({"name": name, "resources": {"requests": {"cpu": cpu}}});
        let mut sidecar = container("log", "50m");
        sidecar["restartPolicy"] = json!("Always");
        let init = |big: &str| {
            json!({
                "containers": [container("web", "100m"), {"name": "none"}],
                "initContainers": [container("first", "400m"), sidecar, container("big", big)],
            })
        };
        let sum = |spec: &Value| read_spec(spec).total(Resource::Cpu, &Constraints::default());
        let cpu = |text: &str| Requirements { request: Quantity::of(&json!(text)), limit: None };
        assert_eq!(sum(&init("200m")), cpu("400m"));
        assert_eq!(sum(&init("600m")), cpu("650m"));
        let by_default = Constraints { default_request: Quantity::of(&json!("1")), ..Constraints::default() };
        assert_eq!(read_spec(&init("200m")).total(Resource::Cpu, &by_default).request, Quantity::of(&json!("1150m")));
    }

    fn read_spec(spec: &Value) -> Pod {
        read(&json!({"spec": spec})).unwrap()
    }
}

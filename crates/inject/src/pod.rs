//! What injection has to know of a pod before it decides.

use std::collections::BTreeMap;

use crate::amount::{Amount, Resource};
use crate::demands::Demand;
use crate::entry::{List, Origin};
use crate::fit::Said;
use crate::names::PortNames;
use crate::node::{Node, Unreadable};
use crate::windows;

/// The Kubernetes default of `terminationGracePeriodSeconds`.
const GRACE_PERIOD_SECONDS: u64 = 30;

/// What runtime classes of gVisor are called: by its name, by that of its runtime, and by GKE.
const SANDBOXES: &[&str] = &["gvisor", "runsc"];

/// What injection reads of a pod template; our own containers are left out.
pub(crate) struct Pod {
    pub(crate) host_network: bool,
    pub(crate) windows: bool,
    runtime_class: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) grace_period_seconds: u64,
    /// What it says of the resources of all its containers together.
    resources: [Said; 2],
    /// What runs for as long as the pod: the entries of `containers`, and after them the native sidecars of other origins.
    pub(crate) apps: Vec<Container>,
    /// The names of its volumes.
    volumes: Vec<String>,
    /// Init containers of other origins that end before the apps begin.
    pub(crate) init_containers: Vec<Container>,
    /// Whether each entry of `initContainers` is a native sidecar, and its resources, in their order.
    starting: Vec<(bool, [Said; 2])>,
}

/// A container's name and what it declares.
#[derive(Default)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) ports: Vec<Port>,
    /// Whether it is a native sidecar, which runs for as long as the pod does.
    pub(crate) is_sidecar: bool,
    pub(crate) resources: [Said; 2],
}

/// A declared container port.
pub(crate) struct Port {
    pub(crate) name: Option<String>,
    pub(crate) number: u16,
    pub(crate) tcp: bool,
    pub(crate) on_host: bool,
}

impl Pod {
    /// Reads a pod template; `origin` tells which init containers of our names are ours, and `names` are those that
    /// ports had before they moved.
    pub(crate) fn read(template: &Node<'_>, origin: Origin, names: &PortNames) -> Result<Self, Unreadable> {
        let metadata = template.member("metadata")?;
        let spec = template.member("spec")?;
        let containers = spec.member("containers")?;
        let read = |node: &Node<'_>| Container::read(node, names);
        let mut apps = containers.items()?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        // Among `containers` the same field says what becomes of one that has ended (KEP-5307).
        for app in &mut apps {
            app.is_sidecar = false;
        }
        if apps.is_empty() {
            return Err(containers.unreadable("at least one container"));
        }
        let (mut init_containers, mut starting) = (Vec::new(), Vec::new());
        for node in spec.member(List::InitContainers.field())?.items()? {
            let container = read(&node)?;
            if is_ours(List::InitContainers, &node, origin) {
                continue;
            }
            starting.push((container.is_sidecar, container.resources));
            if container.is_sidecar { apps.push(container) } else { init_containers.push(container) }
        }
        let mut volumes = Vec::new();
        for node in spec.member(List::Volumes.field())?.items()? {
            let name = node.member("name")?;
            if !is_ours(List::Volumes, &node, origin) {
                volumes.extend(name.text()?.map(str::to_owned));
            }
        }
        // The API server refuses a name that comes twice, but after us; what an injection records is by name.
        let mut names: Vec<&str> = apps.iter().chain(&init_containers).map(|it| it.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(containers.unreadable("a name of its own for each container"));
        }
        Ok(Self {
            host_network: spec.member("hostNetwork")?.is_true()?,
            windows: windows::is_asked_for(&spec)?,
            runtime_class: spec.member("runtimeClassName")?.text()?.map(str::to_owned),
            labels: texts(&metadata.member("labels")?)?,
            annotations: texts(&metadata.member("annotations")?)?,
            grace_period_seconds: spec
                .member("terminationGracePeriodSeconds")?
                .whole_number()?
                .unwrap_or(GRACE_PERIOD_SECONDS),
            resources: said(&spec.member("resources")?)?,
            apps,
            volumes,
            init_containers,
            starting,
        })
    }

    /// Whether its runtime class is gVisor by its name; the handler behind it is in another object.
    pub(crate) fn is_sandboxed(&self) -> bool {
        let class = self.runtime_class.as_deref().unwrap_or_default().to_ascii_lowercase();
        SANDBOXES.iter().any(|name| class.contains(name))
    }

    /// Whether a list has an entry of another origin with this name. In a pod a container of any list has a name of its own.
    pub(crate) fn has_entry(&self, list: List, name: &str) -> bool {
        match list {
            List::InitContainers => self.apps.iter().chain(&self.init_containers).any(|it| it.name == name),
            List::Volumes => self.volumes.iter().any(|volume| volume == name),
        }
    }

    /// What it says of a resource of all its containers together.
    pub(crate) const fn resources(&self, resource: Resource) -> Said {
        self.resources[resource as usize]
    }

    /// What its containers say of a resource, together, as an API server sums it up: init containers run one after the other, and
    /// sidecars beside everything after them. The namespace has defaults for those that say nothing.
    pub(crate) fn sums(&self, resource: Resource, demand: &Demand) -> Said {
        let of = |resources: &[Said; 2]| resources[resource as usize].completed(demand);
        let (sidecars, init) = self.starting.iter().fold(
            (Said::default(), Said::default()),
            |(sidecars, most), (is_sidecar, resources)| {
                let running = sidecars.plus(of(resources));
                (if *is_sidecar { running } else { sidecars }, most.or_larger(running))
            },
        );
        let containers = self.apps.iter().filter(|app| !app.is_sidecar).map(|app| of(&app.resources));
        containers.fold(sidecars, Said::plus).or_larger(init)
    }

    /// Whether the pod is of the class `Guaranteed` of quality of service by what its containers say. Resources of the pod as a
    /// whole decide by themselves.
    pub(crate) fn is_guaranteed_by_containers(&self) -> bool {
        let containers = self.apps.iter().chain(&self.init_containers);
        let mut said = containers.flat_map(|container| container.resources);
        self.resources == [Said::default(); 2] && said.all(Said::is_guaranteed)
    }
}

impl Container {
    fn read(node: &Node<'_>, names: &PortNames) -> Result<Self, Unreadable> {
        let name = node.member("name")?;
        let name = name.text()?.ok_or_else(|| name.unreadable("a name"))?.to_owned();
        let ports =
            node.member("ports")?.items()?.iter().map(|port| Port::read(port, names)).collect::<Result<_, _>>()?;
        let is_sidecar = node.member("restartPolicy")?.text()? == Some("Always");
        Ok(Self { name, ports, is_sidecar, resources: said(&node.member("resources")?)? })
    }

    /// The TCP ports that the container declares.
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
        // An empty name is none to the API server.
        let name = name.text()?.filter(|name| !name.is_empty());
        let name = name.map(|name| if tcp { names.original(number, name) } else { name });
        Ok(Self { name: name.map(str::to_owned), number, tcp, on_host: node.member("hostPort")?.port()?.is_some() })
    }
}

/// Whether an entry of `initContainers` runs for as long as the pod (KEP-753), and is not ours.
pub(crate) fn is_sidecar_of_others(node: &Node<'_>, origin: Origin) -> Result<bool, Unreadable> {
    Ok(node.member("restartPolicy")?.text()? == Some("Always") && !is_ours(List::InitContainers, node, origin))
}

fn is_ours(list: List, node: &Node<'_>, origin: Origin) -> bool {
    node.raw().is_some_and(|entry| list.is_ours(entry, origin))
}

/// The annotations or labels of an object.
pub(crate) fn texts(node: &Node<'_>) -> Result<BTreeMap<String, String>, Unreadable> {
    let mut texts = BTreeMap::new();
    for key in node.object()?.into_iter().flat_map(serde_json::Map::keys) {
        let value = node.member(key)?;
        // A null value is an empty string to the API server.
        texts.insert(key.clone(), value.text()?.unwrap_or_default().to_owned());
    }
    Ok(texts)
}

/// What `resources` say of each resource.
fn said(resources: &Node<'_>) -> Result<[Said; 2], Unreadable> {
    let mut said = [Said::default(); 2];
    for resource in Resource::ALL {
        let amount = |member| {
            let value = resources.path(&[member, resource.name()])?.raw();
            Ok(value.and_then(Amount::of))
        };
        said[resource as usize] = Said { request: amount("requests")?, limit: amount("limits")? };
    }
    Ok(said)
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
    fn what_is_not_said_has_its_default() {
        let pod = read(&json!({"spec": {"containers": [{"name": "web", "ports": [{"containerPort": 80}]}]}})).unwrap();
        assert_eq!((pod.grace_period_seconds, pod.host_network, pod.windows), (30, false, false));
        assert!(pod.apps[0].ports[0].tcp && !pod.apps[0].ports[0].on_host);
    }

    #[test]
    fn our_containers_are_left_out() {
        let proxy = json!({"name": "recycling-proxy", "args": ["run"]});
        let template = json!({"spec": {"containers": [{"name": "web"}], "initContainers": [proxy, {"name": "other"}]}});
        let pod = read(&template).unwrap();
        assert_eq!(pod.init_containers.iter().map(|container| container.name.as_str()).collect::<Vec<_>>(), ["other"]);
    }

    #[test]
    fn resources_that_are_guaranteed() {
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
    fn what_no_api_server_takes_is_not_readable() {
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
}

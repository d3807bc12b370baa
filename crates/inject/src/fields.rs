//! The fields of a pod template that injection changes.
//!
//! An earlier injection is removed ([`Fields::restored`]) before a new one is made, so that the result depends on what
//! the author wrote, and not on the state of the object: fresh, edited, or partly reverted by a `kubectl apply`.

mod container;
pub(crate) mod inject;
pub(crate) mod patch;
pub(crate) mod probe;
mod probe_rewrite;
pub(crate) mod size;

use serde_json::Value;

use crate::additions::container::PROXY_CONTAINER;
use crate::additions::entry::{List, Origin};
use crate::additions::metadata::{self, ANNOTATIONS};
use crate::additions::previous::PreviousInjection;
use crate::json::named::name;
use crate::json::node::{Node, Unreadable};
use crate::pod::{Pod, is_sidecar_of_others};

pub(crate) use container::{ContainerFields, Place};

/// The fields that injection changes, with their JSON; `None` if a field is absent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fields {
    /// The pod template's `metadata`.
    pub(crate) metadata: Option<Value>,
    /// The lists that injection adds entries to, in the order of [`List::ALL`].
    pub(crate) lists: [Option<Value>; List::ALL.len()],
    /// The fields of each container that runs as long as the pod, in the order of [`Pod::apps`].
    pub(crate) apps: Vec<ContainerFields>,
}

pub(crate) const METADATA: &str = "metadata";

impl Fields {
    /// Reads the fields. Values other than null have the type that their kind has.
    pub(crate) fn read(template: &Node<'_>, origin: Origin) -> Result<Self, Unreadable> {
        let metadata = template.member(METADATA)?;
        metadata.member(ANNOTATIONS)?.object()?;
        let spec = template.member("spec")?;
        let init_containers = spec.member(List::InitContainers.field())?;
        let mut apps = Vec::new();
        for container in spec.member("containers")?.items()? {
            apps.push(ContainerFields::read(&container, Place::Container)?);
        }
        for container in init_containers.items()? {
            if is_sidecar_of_others(&container, origin)? {
                let name = container.member("name")?.text()?.unwrap_or_default();
                apps.push(ContainerFields::read(&container, Place::Sidecar(name.to_owned()))?);
            }
        }
        let mut lists = [const { None }; List::ALL.len()];
        for list in List::ALL {
            let node = spec.member(list.field())?;
            node.items()?;
            lists[list as usize] = node.raw().cloned();
        }
        Ok(Self { metadata: metadata.raw().cloned(), lists, apps })
    }

    /// Returns the fields as the author of the workload wrote them.
    pub(crate) fn restored(&self, pod: &Pod, previous: &PreviousInjection) -> Self {
        let restored = |list: List| list.restored(self.list(list), previous.empty_forms(), previous.origin);
        let apps = self.apps.iter().zip(&pod.apps).map(|(fields, app)| fields.restored(&app.name, previous)).collect();
        Self { metadata: author_metadata(self.metadata.as_ref(), previous), lists: List::ALL.map(restored), apps }
            .with_sidecars_updated()
    }

    /// Returns the fields without conflicts for which the API server would refuse the object.
    ///
    /// It is used if the annotations have faults, when the injection must stay as it is. Of two handlers in one probe,
    /// it removes the author's if injection had replaced it, and otherwise the injected one, because the author's is
    /// new.
    pub(crate) fn repaired(&self, pod: &Pod, previous: &PreviousInjection) -> Self {
        if !self.has_proxy(previous.origin) {
            // Without the proxy, probes of its ports would keep the pod from becoming ready.
            return self.restored(pod, previous);
        }
        let apps = self.apps.iter().zip(&pod.apps).map(|(fields, app)| fields.repaired(app, previous)).collect();
        Self { apps, ..self.clone() }.with_sidecars_updated()
    }

    /// Copies the fields of native sidecars to their entries of `initContainers`.
    pub(crate) fn with_sidecars_updated(mut self) -> Self {
        let init_containers = self.lists[List::InitContainers as usize].as_mut();
        for entry in init_containers.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(fields) = self.apps.iter().find(|fields| fields.is_sidecar(name(entry))) {
                fields.write(entry);
            }
        }
        self
    }

    fn has_proxy(&self, origin: Origin) -> bool {
        let list = List::InitContainers;
        let mut entries = self.list(list).and_then(Value::as_array).into_iter().flatten();
        entries.any(|entry| name(entry) == Some(PROXY_CONTAINER) && list.is_injected(entry, origin))
    }

    pub(crate) fn list(&self, list: List) -> Option<&Value> {
        self.lists[list as usize].as_ref()
    }
}

/// Returns the `metadata` as its author wrote it.
fn author_metadata(metadata: Option<&Value>, previous: &PreviousInjection) -> Option<Value> {
    let Some(Value::Object(members)) = metadata else { return metadata.cloned() };
    let mut left = members.clone();
    metadata::remove(&mut left, previous);
    if left.is_empty() && !members.is_empty() {
        return previous.empty_forms().or_empty(METADATA, left);
    }
    Some(Value::Object(left))
}

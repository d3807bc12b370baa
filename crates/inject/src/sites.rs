//! The places of a pod template that injection writes to.
//!
//! An injection is taken back ([`Sites::undone`]) before it is made ([`injected`](crate::injection::injected)), so that the result depends on what
//! the author wrote and not on the way by which the object came: fresh, edited, or half put back by a `kubectl apply`.

mod app;

use serde_json::{Map, Value};
use settings::STATUS_KEY;

use crate::blank::put;
use crate::container::PROXY_CONTAINER;
use crate::earlier::Earlier;
use crate::entry::{List, Origin, name};
use crate::label;
use crate::node::{Node, Unreadable};
use crate::pod::{Pod, is_sidecar_of_others};

pub(crate) use app::{AppSites, Place};

/// The places that injection writes to, with the JSON that is there; `None` where there is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sites {
    /// The pod template's `metadata`.
    pub(crate) metadata: Option<Value>,
    /// The lists that injection adds entries to, in the order of [`List::ALL`].
    pub(crate) lists: [Option<Value>; List::ALL.len()],
    /// What is written to of each container that runs for as long as the pod, in the order of [`Pod::apps`].
    pub(crate) apps: Vec<AppSites>,
}

pub(crate) const METADATA: &str = "metadata";
pub(crate) const ANNOTATIONS: &str = "annotations";

impl Sites {
    /// Reads them; what is not null has the type that it should have.
    pub(crate) fn read(template: &Node<'_>, origin: Origin) -> Result<Self, Unreadable> {
        let metadata = template.member(METADATA)?;
        metadata.member(ANNOTATIONS)?.object()?;
        let spec = template.member("spec")?;
        let init_containers = spec.member(List::InitContainers.field())?;
        let mut apps = Vec::new();
        for container in spec.member("containers")?.items()? {
            apps.push(AppSites::read(&container, Place::Container)?);
        }
        for container in init_containers.items()? {
            if is_sidecar_of_others(&container, origin)? {
                let name = container.member("name")?.text()?.unwrap_or_default();
                apps.push(AppSites::read(&container, Place::Sidecar(name.to_owned()))?);
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

    /// The sites as the workload's author wrote them.
    pub(crate) fn undone(&self, pod: &Pod, earlier: &Earlier) -> Self {
        let restored = |list: List| list.restored(self.list(list), earlier.blanks(), earlier.origin);
        let apps = self.apps.iter().zip(&pod.apps).map(|(site, app)| site.undone(&app.name, earlier)).collect();
        Self { metadata: without_marks(self.metadata.as_ref(), earlier), lists: List::ALL.map(restored), apps }
            .with_sidecars_written()
    }

    /// The sites as they are, without what would make the API server refuse them.
    ///
    /// For a workload whose settings cannot be used: what runs goes on to run. Of two handlers in one probe, the author's goes
    /// where it is the one that was replaced before, and ours where it is a new one.
    pub(crate) fn mended(&self, pod: &Pod, earlier: &Earlier) -> Self {
        if !self.has_proxy(earlier.origin) {
            // Probes that ask a proxy that is not there would keep the pod from becoming ready.
            return self.undone(pod, earlier);
        }
        let apps = self.apps.iter().zip(&pod.apps).map(|(site, app)| site.mended(app, earlier)).collect();
        Self { apps, ..self.clone() }.with_sidecars_written()
    }

    /// With `initContainers` saying of native sidecars what their sites say.
    pub(crate) fn with_sidecars_written(mut self) -> Self {
        let init_containers = self.lists[List::InitContainers as usize].as_mut();
        for entry in init_containers.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(site) = self.apps.iter().find(|site| site.is_sidecar(name(entry))) {
                site.write(entry);
            }
        }
        self
    }

    fn has_proxy(&self, origin: Origin) -> bool {
        let list = List::InitContainers;
        let mut entries = self.list(list).and_then(Value::as_array).into_iter().flatten();
        entries.any(|entry| name(entry) == Some(PROXY_CONTAINER) && list.is_ours(entry, origin))
    }

    pub(crate) fn list(&self, list: List) -> Option<&Value> {
        self.lists[list as usize].as_ref()
    }
}

/// The `metadata` without our label and the status annotation.
fn without_marks(metadata: Option<&Value>, earlier: &Earlier) -> Option<Value> {
    let Some(Value::Object(members)) = metadata else { return metadata.cloned() };
    let mut left = members.clone();
    let mut annotations = object(left.get(ANNOTATIONS));
    if annotations.shift_remove(STATUS_KEY).is_some() {
        put(&mut left, ANNOTATIONS, earlier.blanks().or_blank(ANNOTATIONS, annotations));
    }
    label::remove(&mut left, earlier);
    if left.is_empty() && !members.is_empty() {
        return earlier.blanks().or_blank(METADATA, left);
    }
    Some(Value::Object(left))
}

/// A copy of the object, empty where there is none.
pub(crate) fn object(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

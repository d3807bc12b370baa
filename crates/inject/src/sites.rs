//! The places of a pod template that injection writes to.
//!
//! An injection is taken back ([`Sites::undone`]) before it is made ([`injected`](crate::injection::injected)), so that the result depends on what
//! the author wrote and not on the way by which the object came: fresh, edited, or half put back by a `kubectl apply`.

mod app;

use serde_json::{Map, Value};
use settings::STATUS_KEY;

use crate::balance;
use crate::blank::{Blanks, put};
use crate::earlier::Earlier;
use crate::node::{Node, Unreadable};
use crate::ours::{Origin, PROXY_CONTAINER, is_our_container};
use crate::pod::{Pod, is_sidecar_of_others};
use crate::volume::{self, VOLUMES};

pub(crate) use app::{AppSites, Place};

/// The places that injection writes to, with the JSON that is there; `None` where there is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sites {
    /// The pod template's `metadata`.
    pub(crate) metadata: Option<Value>,
    /// `initContainers`.
    pub(crate) init_containers: Option<Value>,
    /// `volumes`.
    pub(crate) volumes: Option<Value>,
    /// What is written to of each container that runs for as long as the pod, in the order of [`Pod::apps`].
    pub(crate) apps: Vec<AppSites>,
}

pub(crate) const METADATA: &str = "metadata";
pub(crate) const ANNOTATIONS: &str = "annotations";
pub(crate) const INIT_CONTAINERS: &str = "initContainers";

impl Sites {
    /// Reads them; what is not null has the type that it should have.
    pub(crate) fn read(template: &Node<'_>, origin: Origin) -> Result<Self, Unreadable> {
        let metadata = template.member(METADATA)?;
        metadata.member(ANNOTATIONS)?.object()?;
        let spec = template.member("spec")?;
        let init_containers = spec.member(INIT_CONTAINERS)?;
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
        let volumes = spec.member(VOLUMES)?;
        volumes.items()?;
        Ok(Self {
            metadata: metadata.raw().cloned(),
            init_containers: init_containers.raw().cloned(),
            volumes: volumes.raw().cloned(),
            apps,
        })
    }

    /// The sites as the workload's author wrote them.
    pub(crate) fn undone(&self, pod: &Pod, earlier: &Earlier) -> Self {
        let (blanks, origin) = (earlier.blanks(), earlier.origin);
        let apps = self.apps.iter().zip(&pod.apps).map(|(site, app)| site.undone(&app.name, earlier)).collect();
        Self {
            metadata: without_marks(self.metadata.as_ref(), earlier),
            init_containers: without_ours(self.init_containers.as_ref(), blanks, origin),
            volumes: volume::without_ours(self.volumes.as_ref(), blanks, origin),
            apps,
        }
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
        Self {
            metadata: self.metadata.clone(),
            init_containers: self.init_containers.clone(),
            volumes: self.volumes.clone(),
            apps,
        }
        .with_sidecars_written()
    }

    /// With `initContainers` saying of native sidecars what their sites say.
    pub(crate) fn with_sidecars_written(mut self) -> Self {
        for entry in self.init_containers.iter_mut().filter_map(Value::as_array_mut).flatten() {
            let name = entry.get("name").and_then(Value::as_str);
            if let Some(site) = self.apps.iter().find(|site| site.is_sidecar(name)) {
                site.write(entry);
            }
        }
        self
    }

    fn has_proxy(&self, origin: Origin) -> bool {
        let is_proxy = |entry: &&Value| entry.get("name").and_then(Value::as_str) == Some(PROXY_CONTAINER);
        let entries = self.init_containers.as_ref().and_then(Value::as_array).into_iter().flatten();
        entries.filter(is_proxy).any(|entry| is_our_container(Some(entry), origin))
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
    balance::remove_label(&mut left, earlier);
    if left.is_empty() && !members.is_empty() {
        return earlier.blanks().or_blank(METADATA, left);
    }
    Some(Value::Object(left))
}

/// `initContainers` without ours.
fn without_ours(list: Option<&Value>, blanks: &Blanks, origin: Origin) -> Option<Value> {
    let entries = list.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let others: Vec<Value> = entries.iter().filter(|entry| !is_our_container(Some(entry), origin)).cloned().collect();
    if others.len() == entries.len() {
        return list.cloned();
    }
    if others.is_empty() { blanks.was(INIT_CONTAINERS).value(Value::Array(others)) } else { Some(Value::Array(others)) }
}

/// A copy of the object, empty where there is none.
pub(crate) fn object(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

//! A workload with what injection makes of it.

use std::collections::BTreeMap;

use inject::{Installation, NamespaceFacts, Outcome, PROXY_CONTAINER, Report, WorkloadKind};
use k8s_openapi::api::core::v1::{Container, ContainerPort, PodTemplateSpec};
use serde_json::Value;
use settings::{Annotation, Interception, OptionSpec as _, PREFIX, ProxyOption, STATUS_KEY};

use super::objects::{ObjectName, texts};
use crate::manifests::apply;

type Texts = BTreeMap<String, String>;

/// A workload, its template as its author wrote it, and as it is or would be injected.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: ObjectName,
    pub(crate) kind: WorkloadKind,
    /// What injection decides about it as it is stored.
    pub(crate) outcome: Outcome,
    /// Whether the proxy is in the template as it is stored.
    pub(crate) has_proxy: bool,
    /// The pod template without what is injected.
    pub(crate) author: PodTemplateSpec,
    /// The pod template with the proxy.
    pub(crate) injected: PodTemplateSpec,
    /// evenkeel's annotations on the workload and its template. If both have one, the template's.
    pub(crate) annotations: Texts,
    /// The object as its author wrote it.
    pub(crate) object: Value,
}

impl Workload {
    /// Decides about an object; `None` if its pod template cannot be read, or it is controlled by another workload.
    pub(crate) fn read(
        (name, kind, stored): (ObjectName, WorkloadKind, Value),
        namespace: Option<&NamespaceFacts>,
        installation: &Installation,
    ) -> Option<Self> {
        let outcome = inject::inject(&stored, kind, namespace, installation);
        if outcome == Outcome::Owned {
            return None;
        }
        let patched = |object: &Value, outcome: &Outcome| {
            let mut object = object.clone();
            outcome.patch().map_or(Some(()), |patch| apply(&mut object, patch).ok())?;
            Some(object)
        };
        let author = patched(&stored, &inject::remove(&stored, kind))?;
        let injected = patched(&stored, &outcome)?;
        let mut annotations = texts(&author, "/metadata/annotations");
        annotations.extend(texts(&author, "/spec/template/metadata/annotations"));
        annotations.retain(|key, _| key.starts_with(PREFIX) && key != STATUS_KEY);
        Some(Self {
            has_proxy: container(&template(&stored, kind)?, PROXY_CONTAINER).is_some(),
            author: template(&author, kind)?,
            injected: template(&injected, kind)?,
            object: author,
            name,
            kind,
            outcome,
            annotations,
        })
    }

    /// Returns what is, or would be, injected.
    pub(crate) fn report(&self) -> Option<&Report> {
        match &self.outcome {
            Outcome::Inject { report, .. } | Outcome::Unchanged { report } => Some(report),
            Outcome::NotAsked
            | Outcome::Owned
            | Outcome::Skip { .. }
            | Outcome::Remove { .. }
            | Outcome::Invalid { .. }
            | Outcome::Unreadable(_) => None,
        }
    }

    /// Returns whether its author asks for the proxy, or tries to.
    pub(crate) fn asks(&self) -> bool {
        !matches!(self.outcome, Outcome::NotAsked | Outcome::Remove { .. })
    }

    /// Returns whether its connections come by the names of ports.
    pub(crate) fn is_by_name(&self) -> bool {
        self.report().is_some_and(|report| report.interception == Interception::NamedPort)
    }

    /// Returns the labels of its pods.
    pub(crate) fn labels(&self) -> Texts {
        self.author.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).unwrap_or_default()
    }

    /// Returns the containers of the app, native sidecars included.
    pub(crate) fn apps(&self) -> impl Iterator<Item = &Container> {
        let spec = self.author.spec.iter();
        spec.flat_map(|spec| {
            let sidecars = spec.init_containers.iter().flatten();
            spec.containers.iter().chain(sidecars.filter(|it| it.restart_policy.as_deref() == Some("Always")))
        })
    }

    /// Returns the TCP ports that the app declares.
    pub(crate) fn ports(&self) -> impl Iterator<Item = &ContainerPort> {
        let ports = self.apps().flat_map(|app| app.ports.iter().flatten());
        ports.filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"))
    }

    /// Returns the proxy's container.
    pub(crate) fn proxy(&self) -> Option<&Container> {
        container(&self.injected, PROXY_CONTAINER)
    }

    /// Returns a setting that the proxy runs with.
    pub(crate) fn setting(&self, option: ProxyOption) -> Option<&str> {
        let variables = self.proxy()?.env.iter().flatten();
        variables.into_iter().find(|variable| variable.name == option.env())?.value.as_deref()
    }

    /// Returns the Secret with the certificate that the proxy serves, if it asks for one.
    pub(crate) fn proxy_secret(&self) -> Option<&str> {
        self.setting(ProxyOption::TlsCert)?;
        self.annotations.get(Annotation::TlsSecret.key()).map(String::as_str)
    }

    /// Returns the flag by which kubectl finds it.
    pub(crate) fn in_namespace(&self) -> String {
        format!("--namespace {}", self.name.namespace)
    }
}

fn template(object: &Value, kind: WorkloadKind) -> Option<PodTemplateSpec> {
    let template = match kind {
        WorkloadKind::Pod => Some(object),
        WorkloadKind::Deployment
        | WorkloadKind::StatefulSet
        | WorkloadKind::DaemonSet
        | WorkloadKind::ReplicaSet
        | WorkloadKind::Rollout => object.pointer("/spec/template"),
    };
    serde_json::from_value(template.cloned().unwrap_or_default()).ok().or_else(|| Some(PodTemplateSpec::default()))
}

fn container<'a>(template: &'a PodTemplateSpec, name: &str) -> Option<&'a Container> {
    let mut containers = template.spec.as_ref()?.init_containers.iter().flatten();
    containers.find(|container| container.name == name)
}

//! Reads a cluster. If a right is missing, that is noted and the rest is read.

mod events;
mod installation;
mod pods;
mod replicas;
mod scope;

use inject::WorkloadKind;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::objects::Objects;
use crate::cluster::said;

pub(crate) use events::warning_events;
pub(crate) use installation::{installations, probe, running};
pub(crate) use pods::pods;
pub(crate) use scope::scope;

/// What is read beside workloads.
const KINDS: [(&str, &str, &str); 7] = [
    ("", "v1", "Service"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler"),
    ("keda.sh", "v1alpha1", "ScaledObject"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("networking.k8s.io", "v1", "Ingress"),
    ("", "v1", "LimitRange"),
    ("", "v1", "ResourceQuota"),
];
/// Kinds of programs that a cluster need not have.
const OPTIONAL: [&str; 2] = ["Rollout", "ScaledObject"];
/// Workloads that authors create; others are created from the template of one of these.
const WORKLOADS: [WorkloadKind; 4] =
    [WorkloadKind::Deployment, WorkloadKind::StatefulSet, WorkloadKind::DaemonSet, WorkloadKind::Rollout];

/// A cluster, and what of it could not be read.
pub(crate) struct Reader {
    pub(crate) client: Client,
    /// `None` for all namespaces.
    pub(crate) namespace: Option<String>,
    /// What could not be read: a right is missing, or the API server does not have it.
    pub(crate) not_checked: Vec<String>,
}

impl Reader {
    /// Reads every object that the rules are about.
    ///
    /// # Errors
    /// The cluster cannot be reached.
    pub(crate) async fn objects(&mut self) -> anyhow::Result<Objects> {
        let mut objects = Objects::default();
        let workloads = WORKLOADS.map(|kind| {
            let api_version = kind.api_version();
            let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
            (group, version, kind.name())
        });
        for (group, version, kind) in workloads.into_iter().chain(KINDS) {
            for object in self.list(&GroupVersionKind::gvk(group, version, kind), OPTIONAL.contains(&kind)).await? {
                objects.add(object);
            }
        }
        for object in self.namespaces().await? {
            objects.add(object);
        }
        Ok(objects)
    }

    /// A kind that need not be there is not missed.
    async fn list(&mut self, kind: &GroupVersionKind, optional: bool) -> anyhow::Result<Vec<Value>> {
        let resource = ApiResource::from_gvk(kind);
        let api: Api<DynamicObject> = match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let list = api.list(&ListParams::default()).await;
        let items = match list {
            Err(kube::Error::Api(status)) if optional && status.code == 404 => Vec::new(),
            list => self
                .noted(list, &format!("{} ({})", resource.plural, kind.kind))?
                .map(|list| list.items)
                .unwrap_or_default(),
        };
        let typed = items.into_iter().map(|item| {
            let mut object = serde_json::to_value(item)?;
            // The items of a list do not say what they are.
            object["apiVersion"] = kind.api_version().into();
            object["kind"] = kind.kind.clone().into();
            Ok(object)
        });
        typed.collect()
    }

    async fn namespaces(&mut self) -> anyhow::Result<Vec<Value>> {
        let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        let read = match &self.namespace {
            Some(namespace) => api.get(namespace).await.map(|namespace| vec![namespace]),
            None => api.list(&ListParams::default()).await.map(|list| list.items),
        };
        let read = self.noted(read, "namespaces")?.unwrap_or_default();
        let typed = read.into_iter().map(|namespace| Ok(serde_json::to_value(namespace)?));
        typed.collect()
    }

    /// Reads objects of a type in a namespace.
    async fn of_namespace<K>(&mut self, namespace: &str, labels: &str, what: &str) -> anyhow::Result<Vec<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let read = api.list(&ListParams::default().labels(labels)).await;
        Ok(self.noted(read, what)?.map(|list| list.items).unwrap_or_default())
    }

    /// Returns what was read; what the API server refuses is noted.
    fn noted<T>(&mut self, read: Result<T, kube::Error>, what: &str) -> anyhow::Result<Option<T>> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(kube::Error::Api(status)) => {
                let refused = format!("{what}: {}", status.message);
                // Of two releases the same right is needed twice.
                if !self.not_checked.contains(&refused) {
                    self.not_checked.push(refused);
                }
                Ok(None)
            }
            Err(error) => Err(said(error)),
        }
    }
}

//! The watcher of one kind of workload.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt;
use inject::{NamespaceFacts, WorkloadKind};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DynamicObject};
use kube::core::{GroupVersionKind, Selector, SelectorExt};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watching};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use settings::PREFIX;
use tracing::{debug, warn};

use super::memory::{Memory, number};
use super::notice::Notice;
use super::publish::{event, publish};
use crate::clock::Clock;
use crate::metrics::Metrics;

/// So many objects are in memory at once while all are listed: with 500, the usual number, they would be most of what the
/// webhook needs.
const PAGE: u32 = 25;

/// Watches the workloads of one kind and publishes Events on those that ask for the proxy.
///
/// It needs `list` and `watch` on the kind, `get` on namespaces and `create` on Events.
pub struct Watch {
    /// For everything that is asked of the cluster.
    pub client: Client,
    /// What is watched.
    pub kind: WorkloadKind,
    /// The namespaces that reviews come from.
    pub namespaces: Selector,
    /// The installation's defaults, by annotation name without the prefix.
    pub defaults: Arc<BTreeMap<String, String>>,
    /// What Events are dated by.
    pub clock: Clock,
    /// Where Events are counted.
    pub metrics: Arc<Metrics>,
}

impl Watch {
    /// Watches for ever. What cannot be read or written now is logged; a watch that breaks is begun again.
    pub async fn run(self) {
        let resource = resource(self.kind);
        let objects = Api::<DynamicObject>::all_with(self.client.clone(), &resource);
        let changes = watching(objects, watcher::Config::default().page_size(PAGE)).default_backoff();
        let mut changes = pin!(changes);
        let mut memory = Memory::default();
        while let Some(change) = changes.next().await {
            match change {
                Ok(Event::Init) => memory.list_begins(),
                Ok(Event::InitApply(object)) => self.look(&object, &mut memory, true).await,
                Ok(Event::InitDone) => memory.list_ends(),
                Ok(Event::Apply(object)) => self.look(&object, &mut memory, false).await,
                Ok(Event::Delete(object)) => memory.forget(&object.uid().unwrap_or_default()),
                Err(error) => warn!(kind = self.kind.name(), %error, "workloads are not being watched"),
            }
        }
    }

    async fn look(&self, object: &DynamicObject, memory: &mut Memory, is_old: bool) {
        let uid = object.uid().unwrap_or_default();
        if !asks(object) {
            memory.forget(&uid);
            return;
        }
        // Its status changes all the time, and neither counts.
        let version = number(&(object.metadata.generation, object.annotations()));
        if memory.has_seen(&uid, version) {
            return;
        }
        let Some(notice) = self.notice(object).await else { return memory.forget(&uid) };
        if memory.is_news(&uid, version, &notice, is_old) {
            self.tell(object, notice).await;
        }
    }

    async fn notice(&self, object: &DynamicObject) -> Option<Notice> {
        let namespace = self.namespace(&object.namespace().unwrap_or_default()).await?;
        let workload: Value = serde_json::to_value(object).ok()?;
        let outcome = inject::inject(&workload, self.kind, Some(&namespace), &self.defaults);
        Notice::of(&workload, self.kind, &outcome)
    }

    /// What is known of a namespace that reviews come from.
    async fn namespace(&self, name: &str) -> Option<NamespaceFacts> {
        let namespace = Api::<Namespace>::all(self.client.clone()).get_metadata(name).await;
        let metadata = namespace.map_err(|error| warn!(name, %error, "the namespace cannot be read")).ok()?.metadata;
        let labels = metadata.labels.unwrap_or_default();
        let facts = || NamespaceFacts::of(&labels, metadata.annotations.unwrap_or_default());
        self.namespaces.matches(&labels).then(facts)
    }

    async fn tell(&self, object: &DynamicObject, notice: Notice) {
        let (occasion, namespace, name) = (notice.occasion, object.namespace(), object.name_any());
        let event = event(object, self.kind, notice, self.clock.now());
        match publish(&self.client, &event).await {
            Ok(true) => self.metrics.told(occasion),
            Ok(false) => debug!(?namespace, name, occasion = occasion.label(), "the Event was there already"),
            Err(error) => warn!(?namespace, name, %error, "an Event cannot be published"),
        }
    }
}

/// Whether it carries an annotation of ours, or its pod template does.
fn asks(object: &DynamicObject) -> bool {
    let of_template = object.data.pointer("/spec/template/metadata/annotations").and_then(Value::as_object);
    object.annotations().keys().any(|key| key.starts_with(PREFIX))
        || of_template.is_some_and(|annotations| annotations.keys().any(|key| key.starts_with(PREFIX)))
}

fn resource(kind: WorkloadKind) -> ApiResource {
    let (group, version) = kind.api_version().split_once('/').unwrap_or(("", kind.api_version()));
    let plural = format!("{}s", kind.name().to_lowercase());
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind.name()), &plural)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn annotations_on_the_workload_or_its_template_ask() {
        for (annotations, of_template, asking) in [
            (json!({}), json!({}), false),
            (json!({"other/x": "1"}), json!({"other/x": "1"}), false),
            (json!({"evenkeel.dev/max-requests": "1"}), json!({}), true),
            (json!({}), json!({"evenkeel.dev/max-requests": "1"}), true),
        ] {
            let object = json!({
                "metadata": {"name": "web", "annotations": annotations},
                "spec": {"template": {"metadata": {"annotations": of_template}}},
            });
            assert_eq!(asks(&serde_json::from_value(object.clone()).unwrap()), asking, "{object}");
        }
    }

    #[test]
    fn kinds_are_found_where_api_servers_have_them() {
        for (kind, path) in [
            (WorkloadKind::Deployment, "apps/v1/deployments"),
            (WorkloadKind::Pod, "v1/pods"),
            (WorkloadKind::Rollout, "argoproj.io/v1alpha1/rollouts"),
        ] {
            let resource = resource(kind);
            assert_eq!(format!("{}/{}", resource.api_version, resource.plural), path);
        }
    }
}

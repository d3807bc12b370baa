//! The watcher of one kind of workload.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use daemon::Clock;
use futures_util::StreamExt;
use inject::{Outcome, Service, WorkloadKind};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::{GroupVersionKind, Selector};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watching};
use kube::{Api, Client, ResourceExt};
use projection::{ClusterError, OBJECT, Rule};
use relisting::relisting;
use serde_json::Value;
use settings::PREFIX;
use tracing::{debug, info, warn};

use super::fetch::{Fetched, fetch};
use super::notice::{Notice, Stored, refusal};
use super::publish::{event, publish};
use super::seen::{Seen, SeenWorkloads, hash};
use crate::installation::CurrentInstallation;
use crate::metrics::Metrics;
use crate::namespaces::{NAMESPACE, Namespaces, RESOURCE_CONSTRAINTS};
use crate::parse_budget::ParseBudget;
use crate::services::Services;

/// So many objects are in memory at once while all are listed; of each only the parts in [`WORKLOAD`].
const PAGE: u32 = 25;
/// The most memory, in bytes, that a parsed workload may take; larger ones get no Events. A Deployment of 500 kB that
/// consists of variables takes as much.
const LARGEST_OBJECT: usize = 12 << 20;
/// Only whether there is one of our annotations matters here.
static ANNOTATIONS: Rule = Rule::Prefixed(64, &[PREFIX], &Rule::Scalar(256));
/// The labels by which Services select pods. A pod template with more labels is not checked again when Services change.
static LABELS: Rule = Rule::Prefixed(64, &[""], &Rule::Scalar(63));
/// Whether pods are refused, and why.
static CONDITION: Rule = Rule::Members(
    &[("type", &Rule::Scalar(64)), ("status", &Rule::Scalar(16)), ("message", &Rule::Scalar(512))],
    &Rule::Drop,
);
/// The parts that are read of workloads: names, our annotations, the labels of pods, and whether pods are refused.
/// Tenants can fill the rest with any amount of data.
static WORKLOAD: Rule = Rule::Answer(&[
    ("metadata", &METADATA),
    ("spec", &Rule::Members(&[("template", &TEMPLATE)], &Rule::Drop)),
    ("status", &Rule::Members(&[("conditions", &Rule::Elements(16, &CONDITION))], &Rule::Drop)),
]);
static METADATA: Rule =
    Rule::Metadata(&[("uid", &Rule::Keep), ("generation", &Rule::Keep), ("annotations", &ANNOTATIONS)]);
static TEMPLATE: Rule = Rule::Members(
    &[("metadata", &Rule::Members(&[("annotations", &ANNOTATIONS), ("labels", &LABELS)], &Rule::Drop))],
    &Rule::Drop,
);

/// Watches the workloads of one kind and publishes Events on those that ask for the proxy.
///
/// It needs `list`, `watch` and `get` on the kind, `get` on namespaces, `list` and `watch` on Services and `create` on
/// Events. It shares nothing with reviews but the known Services, so that its failures affect Events alone.
pub struct Watch {
    kind: WorkloadKind,
    installation: CurrentInstallation,
    clock: Clock,
    metrics: Arc<Metrics>,
    cluster: Arc<Cluster>,
}

/// What the watches of all kinds share.
struct Cluster {
    /// Reads the parts in [`WORKLOAD`].
    workloads: Client,
    /// Reads whole objects.
    objects: Client,
    namespaces: Namespaces,
    services: Services,
    budget: ParseBudget,
}

/// What was found about a workload.
enum Finding {
    /// Its notices, and whether it has the proxy.
    Read { notices: Vec<Notice>, has_proxy: bool },
    /// It cannot be parsed until it changes.
    Unreadable,
    /// It could not be read now.
    Unknown,
}

impl Watch {
    /// Returns a watch for each of `kinds`, in namespaces that `reviewed` selects.
    pub(crate) async fn of_kinds(
        kinds: &[WorkloadKind],
        reviewed: &Selector,
        services: &Services,
        installation: &CurrentInstallation,
        clock: &Clock,
        metrics: &Arc<Metrics>,
    ) -> Result<Vec<Self>, ClusterError> {
        if kinds.is_empty() {
            return Ok(Vec::new());
        }
        let cluster = Arc::new(Cluster {
            workloads: projection::client(&WORKLOAD).await?,
            objects: projection::client(&OBJECT).await?,
            namespaces: Namespaces::of_cluster(
                projection::client(&NAMESPACE).await?,
                projection::client(&RESOURCE_CONSTRAINTS).await?,
                reviewed.clone(),
            ),
            services: services.clone(),
            budget: ParseBudget::new(LARGEST_OBJECT),
        });
        let watch = |kind: &WorkloadKind| Self {
            kind: *kind,
            installation: installation.clone(),
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
            cluster: Arc::clone(&cluster),
        };
        Ok(kinds.iter().map(watch).collect())
    }

    /// Watches for ever. Errors are logged, and a watch that ends is started again.
    pub async fn run(self) {
        let resource = resource(self.kind);
        let objects = Api::<DynamicObject>::all_with(self.cluster.workloads.clone(), &resource);
        let config = watcher::Config::default().page_size(PAGE);
        let changes = relisting(|| watching(objects.clone(), config.clone()));
        let mut changes = pin!(changes.default_backoff());
        let mut seen = SeenWorkloads::default();
        // Services come first, so that workloads need not be read twice.
        self.cluster.services.listed().await;
        let services = self.cluster.services.subscribe();
        loop {
            let change = tokio::select! {
                change = changes.next() => change,
                namespaces = services.settled() => {
                    for namespace in namespaces {
                        self.reread_namespace(&namespace, &mut seen).await;
                    }
                    continue;
                }
            };
            match change {
                Some(Ok(Event::Init)) => seen.list_begins(),
                Some(Ok(Event::InitApply(object))) => self.handle(&object, &mut seen, true).await,
                Some(Ok(Event::InitDone)) => seen.list_ends(),
                Some(Ok(Event::Apply(object))) => self.handle(&object, &mut seen, false).await,
                Some(Ok(Event::Delete(object))) => seen.forget(&object.uid().unwrap_or_default()),
                Some(Err(error)) => warn!(kind = self.kind.name(), %error, "cannot watch workloads"),
                None => return,
            }
        }
    }

    /// Reads all workloads of a namespace in which Services have changed.
    async fn reread_namespace(&self, namespace: &str, seen: &mut SeenWorkloads) {
        if !seen.is_in(namespace) {
            return;
        }
        let resource = resource(self.kind);
        let objects = Api::<DynamicObject>::namespaced_with(self.cluster.workloads.clone(), namespace, &resource);
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = match objects.list(&page).await {
                Ok(list) => list,
                Err(error) => return warn!(namespace, %error, "workloads cannot be listed after a change of Services"),
            };
            for object in &list.items {
                self.handle(object, seen, true).await;
            }
            match list.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => return,
            }
        }
    }

    async fn handle(&self, object: &DynamicObject, seen: &mut SeenWorkloads, is_old: bool) {
        let uid = object.uid().unwrap_or_default();
        let proxy_before = seen.had_proxy(&uid);
        if !asks(object) && !proxy_before {
            seen.forget(&uid);
            return;
        }
        let namespace = object.namespace().unwrap_or_default();
        let services = self.cluster.services.of(&namespace);
        let labels = labels(object);
        let selecting: Vec<&Arc<Service>> = services.iter().filter(|service| service.selects(&labels)).collect();
        // The status changes often; only one of its conditions matters.
        let version = hash(&(object.metadata.generation, object.annotations(), refusal(&object.data), selecting));
        if seen.contains(&uid, version) || !seen.has_room_for(&uid) {
            return;
        }
        let (notices, has_proxy) = match self.find(object, &services, proxy_before).await {
            Finding::Read { notices, has_proxy } => (notices, has_proxy),
            Finding::Unreadable => (Vec::new(), proxy_before),
            Finding::Unknown => return seen.forget(&uid),
        };
        let now = Seen { uid: &uid, namespace: &namespace, version, has_proxy, is_old };
        for notice in seen.unpublished(&now, notices) {
            self.publish(object, notice).await;
        }
        if !asks(object) {
            seen.forget(&uid);
        }
    }

    async fn find(&self, object: &DynamicObject, services: &[Arc<Service>], proxy_before: bool) -> Finding {
        let Cluster { objects, namespaces, budget, .. } = &*self.cluster;
        // The namespace is read before the object, so that no parsed object waits for it.
        let Some(namespace) = namespaces.get(&object.namespace().unwrap_or_default()).await else {
            return Finding::Unknown;
        };
        let text = match fetch(objects, &resource(self.kind), object).await {
            Fetched::Text(text) => text,
            Fetched::TooLarge => return Finding::Unreadable,
            Fetched::Gone | Fetched::Failed => return Finding::Unknown,
        };
        let found = budget.with_parsed(&text, |workload: &Value| {
            let outcome = &inject::inject(workload, self.kind, Some(&namespace.facts), &self.installation.now());
            let has_proxy = match outcome {
                Outcome::Unchanged { .. } | Outcome::Remove { .. } => true,
                Outcome::Inject { .. } | Outcome::Skip { .. } | Outcome::Invalid { .. } | Outcome::NotAsked => {
                    matches!(inject::remove(workload, self.kind), Outcome::Remove { .. })
                }
                Outcome::Owned | Outcome::Unreadable(_) => false,
            };
            let stored = Stored { workload, outcome, has_proxy, proxy_before };
            let notices = if namespace.is_reviewed {
                Notice::of(&stored, services)
            } else {
                Notice::of_opted_out(&stored).into_iter().collect()
            };
            Finding::Read { notices, has_proxy }
        });
        found.await.unwrap_or_else(|error| {
            warn!(namespace = ?object.namespace(), name = object.name_any(), %error, "no Event is published on a workload");
            Finding::Unreadable
        })
    }

    async fn publish(&self, object: &DynamicObject, notice: Notice) {
        let (reason, namespace, name) = (notice.reason, object.namespace(), object.name_any());
        let (label, note) = (reason.label(), notice.note.clone());
        let event = event(object, self.kind, notice, self.clock.now());
        match publish(&self.cluster.objects, &event).await {
            Ok(true) => {
                self.metrics.event_published(reason);
                info!(?namespace, name, reason = label, note, "an Event was published");
            }
            Ok(false) => debug!(?namespace, name, reason = label, "the Event exists already"),
            Err(error) => warn!(?namespace, name, %error, "an Event cannot be published"),
        }
    }
}

/// Returns whether the object or its pod template has an annotation of ours.
fn asks(object: &DynamicObject) -> bool {
    let of_template = object.data.pointer("/spec/template/metadata/annotations").and_then(Value::as_object);
    object.annotations().keys().any(|key| key.starts_with(PREFIX))
        || of_template.is_some_and(|annotations| annotations.keys().any(|key| key.starts_with(PREFIX)))
}

/// Returns the labels of the pod template.
fn labels(object: &DynamicObject) -> BTreeMap<String, String> {
    let labels = object.data.pointer("/spec/template/metadata/labels").and_then(Value::as_object);
    let labels = labels.into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
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
    use projection::Projector;

    #[test]
    fn annotations_on_the_workload_or_its_template_opt_in() {
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
            let read = Projector::project(&WORKLOAD, object.to_string().as_bytes());
            assert_eq!(asks(&serde_json::from_slice(&read).unwrap()), asking, "{object}");
        }
    }

    #[test]
    fn a_replica_failure_condition_is_read() {
        let conditions = json!([
            {"type": "Progressing", "status": "True", "message": "x"},
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "no"},
        ]);
        let object = json!({"metadata": {"name": "web"}, "status": {"conditions": conditions, "replicas": 1}});
        let read = Projector::project(&WORKLOAD, object.to_string().as_bytes());
        let object: DynamicObject = serde_json::from_slice(&read).unwrap();
        assert_eq!(refusal(&object.data), Some("no"));
    }

    #[test]
    fn kinds_are_watched_at_their_api_paths() {
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

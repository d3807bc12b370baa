//! The watcher of one kind of workload.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt;
use inject::{Outcome, Service, WorkloadKind};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::{GroupVersionKind, Selector};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watching};
use kube::{Api, Client, ResourceExt};
use projection::{ClusterError, OBJECT, Rule};
use serde_json::Value;
use settings::PREFIX;
use tracing::{debug, info, warn};

use super::fetch::{Fetched, fetch};
use super::memory::{Memory, Seen, number};
use super::notice::{Notice, Stored, refusal};
use super::publish::{event, publish};
use crate::clock::Clock;
use crate::desk::Desk;
use crate::installation::CurrentInstallation;
use crate::metrics::Metrics;
use crate::namespaces::{DEMANDS, NAMESPACE, Namespaces};
use crate::services::Services;

/// So many objects are in memory at once while all are listed; of each no more than [`WORKLOAD`].
const PAGE: u32 = 25;
/// What a workload may take once it is parsed, in bytes. A Deployment of 500 kB that is all variables takes this much, and of
/// larger ones nothing is told.
const LARGEST: usize = 12 << 20;
/// More than we know, each longer than we read it here: whether there is one is what counts.
static ANNOTATIONS: Rule = Rule::Prefixed(64, &[PREFIX], &Rule::Scalar(256));
/// By which Services select the pods. Of one with more labels, Services are told of when it changes, and not when they do.
static LABELS: Rule = Rule::Prefixed(64, &[""], &Rule::Scalar(63));
/// Whether pods are refused, and why.
static CONDITION: Rule = Rule::Members(
    &[("type", &Rule::Scalar(64)), ("status", &Rule::Scalar(16)), ("message", &Rule::Scalar(512))],
    &Rule::Drop,
);
/// What is read of workloads, of lists of them, and of events of their watch: the names of an object, whether it asks, the labels
/// of its pods and whether they are refused. The rest is tenants' to fill, with as much as they like.
static WORKLOAD: Rule = Rule::Members(
    &[
        ("kind", &Rule::Keep),
        ("apiVersion", &Rule::Keep),
        (
            "metadata",
            &Rule::Members(
                &[
                    ("name", &Rule::Keep),
                    ("namespace", &Rule::Keep),
                    ("uid", &Rule::Keep),
                    ("generation", &Rule::Keep),
                    ("resourceVersion", &Rule::Keep),
                    ("continue", &Rule::Keep),
                    ("annotations", &ANNOTATIONS),
                ],
                &Rule::Drop,
            ),
        ),
        (
            "spec",
            &Rule::Members(
                &[(
                    "template",
                    &Rule::Members(
                        &[(
                            "metadata",
                            &Rule::Members(&[("annotations", &ANNOTATIONS), ("labels", &LABELS)], &Rule::Drop),
                        )],
                        &Rule::Drop,
                    ),
                )],
                &Rule::Drop,
            ),
        ),
        ("status", &Rule::Members(&[("conditions", &Rule::Elements(16, &CONDITION))], &Rule::Drop)),
        ("items", &Rule::Elements(usize::MAX, &WORKLOAD)),
        ("type", &Rule::Keep),
        ("object", &WORKLOAD),
        // An event that tells of an error has a Status for its object.
        ("code", &Rule::Keep),
        ("reason", &Rule::Keep),
        ("message", &Rule::Keep),
    ],
    &Rule::Drop,
);

/// Watches the workloads of one kind and publishes Events on those that ask for the proxy.
///
/// It needs `list`, `watch` and `get` on the kind, `get` on namespaces, `list` and `watch` on Services and `create` on Events. Nothing of it is shared with
/// reviews, so that whatever becomes of it becomes of Events alone.
pub struct Watch {
    kind: WorkloadKind,
    installation: CurrentInstallation,
    clock: Clock,
    metrics: Arc<Metrics>,
    cluster: Arc<Cluster>,
}

/// What the watches of all kinds have in common.
struct Cluster {
    /// Reads of workloads what tells whether they ask.
    workloads: Client,
    /// Reads all of an object.
    objects: Client,
    namespaces: Namespaces,
    services: Services,
    desk: Desk,
}

/// What was found out about a workload.
enum Finding {
    /// What there is to tell, and whether the proxy is in it.
    Told { notices: Vec<Notice>, has_proxy: bool },
    /// Nothing can be told of it, until it changes.
    Unreadable,
    /// It cannot be told now.
    Unknown,
}

impl Watch {
    /// Watches for each of `kinds`, in namespaces with the labels of `reviewed`, where reviews come from.
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
                projection::client(&DEMANDS).await?,
                reviewed.clone(),
            ),
            services: services.clone(),
            desk: Desk::new(LARGEST),
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

    /// Watches for ever. What cannot be read or written now is logged; a watch that breaks is begun again.
    pub async fn run(self) {
        let resource = resource(self.kind);
        let objects = Api::<DynamicObject>::all_with(self.cluster.workloads.clone(), &resource);
        let changes = watching(objects, watcher::Config::default().page_size(PAGE)).default_backoff();
        let mut changes = pin!(changes);
        let mut memory = Memory::default();
        // What Services lead to is told with what a workload is, and not a second time.
        self.cluster.services.listed().await;
        let services = self.cluster.services.subscribe();
        loop {
            let change = tokio::select! {
                change = changes.next() => change,
                namespaces = services.settled() => {
                    for namespace in namespaces {
                        self.look_again(&namespace, &mut memory).await;
                    }
                    continue;
                }
            };
            match change {
                Some(Ok(Event::Init)) => memory.list_begins(),
                Some(Ok(Event::InitApply(object))) => self.look(&object, &mut memory, true).await,
                Some(Ok(Event::InitDone)) => memory.list_ends(),
                Some(Ok(Event::Apply(object))) => self.look(&object, &mut memory, false).await,
                Some(Ok(Event::Delete(object))) => memory.forget(&object.uid().unwrap_or_default()),
                Some(Err(error)) => warn!(kind = self.kind.name(), %error, "workloads are not being watched"),
                None => return,
            }
        }
    }

    /// Looks at all workloads of a namespace in which Services have changed.
    async fn look_again(&self, namespace: &str, memory: &mut Memory) {
        if !memory.is_in(namespace) {
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
                self.look(object, memory, true).await;
            }
            match list.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => return,
            }
        }
    }

    async fn look(&self, object: &DynamicObject, memory: &mut Memory, is_old: bool) {
        let uid = object.uid().unwrap_or_default();
        let proxy_before = memory.had_proxy(&uid);
        if !asks(object) && !proxy_before {
            memory.forget(&uid);
            return;
        }
        let namespace = object.namespace().unwrap_or_default();
        let services = self.cluster.services.of(&namespace);
        let labels = labels(object);
        let selecting: Vec<&Arc<Service>> = services.iter().filter(|service| service.selects(&labels)).collect();
        // Its status changes all the time, of which one condition counts.
        let version = number(&(object.metadata.generation, object.annotations(), refusal(&object.data), selecting));
        if memory.has_seen(&uid, version) || !memory.has_room_for(&uid) {
            return;
        }
        let (notices, has_proxy) = match self.find(object, &services, proxy_before).await {
            Finding::Told { notices, has_proxy } => (notices, has_proxy),
            Finding::Unreadable => (Vec::new(), proxy_before),
            Finding::Unknown => return memory.forget(&uid),
        };
        let seen = Seen { uid: &uid, namespace: &namespace, version, has_proxy, is_old };
        for notice in memory.news(&seen, notices) {
            self.tell(object, notice).await;
        }
        if !asks(object) {
            memory.forget(&uid);
        }
    }

    async fn find(&self, object: &DynamicObject, services: &[Arc<Service>], proxy_before: bool) -> Finding {
        let Cluster { objects, namespaces, desk, .. } = &*self.cluster;
        // Before the object, so that nothing large waits for it.
        let Some(namespace) = namespaces.get(&object.namespace().unwrap_or_default()).await else {
            return Finding::Unknown;
        };
        let text = match fetch(objects, &resource(self.kind), object).await {
            Fetched::Text(text) => text,
            Fetched::TooLarge => return Finding::Unreadable,
            Fetched::Gone | Fetched::Failed => return Finding::Unknown,
        };
        let found = desk.look_at(&text, |workload: &Value| {
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
            Finding::Told { notices, has_proxy }
        });
        found.await.unwrap_or_else(|error| {
            warn!(namespace = ?object.namespace(), name = object.name_any(), %error, "no Event tells of a workload");
            Finding::Unreadable
        })
    }

    async fn tell(&self, object: &DynamicObject, notice: Notice) {
        let (occasion, namespace, name) = (notice.occasion, object.namespace(), object.name_any());
        let (reason, note) = (occasion.label(), notice.note.clone());
        let event = event(object, self.kind, notice, self.clock.now());
        match publish(&self.cluster.objects, &event).await {
            Ok(true) => {
                self.metrics.told(occasion);
                info!(?namespace, name, reason, note, "an Event was published");
            }
            Ok(false) => debug!(?namespace, name, reason, "the Event was there already"),
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

/// Returns the labels of its pods.
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
            let read = Projector::project(&WORKLOAD, object.to_string().as_bytes());
            assert_eq!(asks(&serde_json::from_slice(&read).unwrap()), asking, "{object}");
        }
    }

    #[test]
    fn a_refusal_of_pods_is_read() {
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

//! The Services of the cluster: their selectors and ports. They are watched, so that no review waits for them.

mod changes;
mod index;

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use inject::Service;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watching};
use kube::{Api, Client, ResourceExt};
use projection::Rule;
use relisting::relisting;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::warn;

pub(crate) use self::changes::Changes;
use self::index::Index;

/// How many objects are in memory at once while all are listed; of each only the parts in [`SERVICE`].
const PAGE: u32 = 100;
/// More labels or ports than a Service has. A Service with as many is ignored.
const MOST_PARTS: usize = 64;
const LISTED_WITHIN: Duration = Duration::from_secs(10);

/// The parts that are read of Services.
pub(crate) static SERVICE: Rule = Rule::Answer(&[("spec", &SPEC)]);
static SPEC: Rule = Rule::Members(
    &[
        ("selector", &Rule::Prefixed(MOST_PARTS, &[""], &Rule::Scalar(63))),
        ("ports", &Rule::Elements(MOST_PARTS, &PORT)),
        ("clusterIP", &Rule::Scalar(64)),
        ("sessionAffinity", &Rule::Scalar(16)),
        ("sessionAffinityConfig", &AFFINITY),
    ],
    &Rule::Drop,
);
static PORT: Rule = Rule::Members(
    &[("port", &Rule::Scalar(8)), ("targetPort", &Rule::Scalar(64)), ("protocol", &Rule::Scalar(16))],
    &Rule::Drop,
);
static AFFINITY: Rule =
    Rule::Members(&[("clientIP", &Rule::Members(&[("timeoutSeconds", &Rule::Scalar(16))], &Rule::Drop))], &Rule::Drop);

/// The Services of the cluster. Clones share them. Nothing waits for them; Services that are not known yet are ignored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Services(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    index: Mutex<Index>,
    changes: Mutex<Vec<Arc<Changes>>>,
    is_listed: watch::Sender<bool>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { index: Mutex::default(), changes: Mutex::default(), is_listed: watch::Sender::new(false) }
    }
}

impl Services {
    /// Returns the known Services of a namespace.
    pub(crate) fn of(&self, namespace: &str) -> Vec<Arc<Service>> {
        self.index().of(namespace)
    }

    /// Watches Services for ever. It needs `list` and `watch` on Services; the client reads [`SERVICE`].
    pub(crate) async fn watch(self, client: Client) {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Service"), "services");
        let services = Api::<DynamicObject>::all_with(client, &resource);
        let config = watcher::Config::default().page_size(PAGE);
        let watch = relisting(|| watching(services.clone(), config.clone()));
        let mut events = pin!(watch.default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => self.index().list_begins(),
                Ok(Event::InitApply(object) | Event::Apply(object)) => self.apply(&object),
                Ok(Event::InitDone) => {
                    self.changed(self.index().list_ends());
                    self.0.is_listed.send_replace(true);
                }
                Ok(Event::Delete(object)) => {
                    let namespace = object.namespace().unwrap_or_default();
                    let is_gone = self.index().remove(&namespace, &object.name_any());
                    self.changed(is_gone.then_some(namespace));
                }
                Err(error) => warn!(%error, "cannot watch Services"),
            }
        }
    }

    /// Waits until all Services are known, for at most 10 s.
    pub(crate) async fn listed(&self) {
        let mut is_listed = self.0.is_listed.subscribe();
        // After a timeout, Events are published without them.
        drop(timeout(LISTED_WITHIN, is_listed.wait_for(|is_listed| *is_listed)).await);
    }

    /// Returns the set of namespaces in which Services change from now on.
    pub(crate) fn subscribe(&self) -> Arc<Changes> {
        let changes = Arc::<Changes>::default();
        self.0.changes.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&changes));
        changes
    }

    fn apply(&self, object: &DynamicObject) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let service = Service::read(&name, object.data.get("spec").unwrap_or(&Value::Null));
        // A Service that was cut could have other targets.
        let service = service.filter(|service| service.parts() < MOST_PARTS);
        let is_new = match service {
            Some(service) => self.index().insert(&namespace, service),
            None => self.index().remove(&namespace, &name),
        };
        self.changed(is_new.then_some(namespace));
    }

    fn changed(&self, namespaces: impl IntoIterator<Item = String>) {
        let subscribed = self.0.changes.lock().unwrap_or_else(PoisonError::into_inner);
        for namespace in namespaces {
            subscribed.iter().for_each(|changes| changes.add(&namespace));
        }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.0.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use projection::Projector;
    use serde_json::json;

    use super::*;

    fn object(spec: &Value) -> DynamicObject {
        let object = json!({"metadata": {"name": "web", "namespace": "shop", "labels": {"a": "b"}}, "spec": spec});
        serde_json::from_slice(&Projector::project(&SERVICE, object.to_string().as_bytes())).unwrap()
    }

    #[test]
    fn selectors_and_ports_are_read() {
        let spec = json!({
            "selector": {"app": "web"},
            "ports": [{"port": 80, "targetPort": "http", "protocol": "TCP"}, {"port": 81, "targetPort": 8081}],
            "clusterIP": "None",
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}},
        });
        let services = Services::default();
        services.apply(&object(&spec));
        assert_eq!(services.of("shop"), [Arc::new(Service::read("web", &spec).unwrap())]);
        services.apply(&object(&json!({"type": "ExternalName", "externalName": "x"})));
        assert_eq!(services.of("shop"), []);
    }

    #[test]
    fn a_service_that_was_cut_is_ignored() {
        let labels: Value = (0..100).map(|n| (format!("l{n}"), json!("x"))).collect();
        let ports: Value = (1..200).map(|port| json!({"port": port})).collect();
        for spec in [json!({"selector": labels}), json!({"selector": {"app": "web"}, "ports": ports})] {
            let services = Services::default();
            services.apply(&object(&spec));
            assert_eq!(services.of("shop"), []);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_reported_once() {
        let services = Services::default();
        let changes = services.subscribe();
        let spec = |port: u16| json!({"selector": {"app": "web"}, "ports": [{"port": port}]});
        services.apply(&object(&spec(80)));
        services.apply(&object(&spec(81)));
        assert_eq!(changes.settled().await, ["shop".to_owned()].into());
        services.apply(&object(&spec(81)));
        assert!(timeout(Duration::from_mins(1), changes.settled()).await.is_err(), "nothing is new");
    }
}

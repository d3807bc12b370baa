//! Two watches of the API server: labelled Pods, and `EndpointSlice`s. Of each object no more is read than what counts.

use std::pin::pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::watcher::{Config, Error, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use projection::ClusterError;
use tokio::sync::mpsc::Sender;
use tracing::warn;

use crate::metrics::Metrics;
use crate::objects::{POD, SLICE, pod_of, slice_of};
use crate::planning::{Change, Pod, Slice};

/// The label that injection puts on the pod template of a workload that is balanced.
pub const LABEL: &str = "evenkeel.dev/balance";

/// So many objects are read at once while all are listed: at their largest they are within what the client reads of one answer.
const PODS_IN_A_PAGE: u32 = 250;
const SLICES_IN_A_PAGE: u32 = 16;

/// Reads Pods and `EndpointSlice`s for ever, and sends what changes.
///
/// It needs `list` and `watch` on both. What cannot be read now is logged; a watch that breaks is begun again.
///
/// # Errors
/// No way to the API server.
pub async fn watch(changes: Sender<Change>, metrics: Arc<Metrics>) -> Result<(), ClusterError> {
    let pods = projection::client(&POD).await?;
    let pods = Api::<DynamicObject>::all_with(pods, &resource("", "v1", "Pod", "pods"));
    let labelled = Config::default().labels(&format!("{LABEL}=on")).page_size(PODS_IN_A_PAGE);
    let slices = projection::client(&SLICE).await?;
    let kind = resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");
    let slices = Api::<DynamicObject>::all_with(slices, &kind);
    let all = Config::default().page_size(SLICES_IN_A_PAGE);
    let (pods, slices) = (watcher(pods, labelled).default_backoff(), watcher(slices, all).default_backoff());
    let of_pods = follow::<Pod>("pods", pods, changes.clone(), Arc::clone(&metrics));
    tokio::join!(of_pods, follow::<Slice>("endpointslices", slices, changes, metrics));
    Ok(())
}

/// What is watched.
trait Watched: Sized {
    fn read(object: &DynamicObject) -> Option<Self>;
    fn there(self) -> Change;
    fn gone(object: &DynamicObject) -> Option<Change>;
    fn all(listed: Vec<Self>) -> Change;
}

impl Watched for Pod {
    fn read(object: &DynamicObject) -> Option<Self> {
        pod_of(object)
    }

    fn there(self) -> Change {
        Change::Pod(self)
    }

    fn gone(object: &DynamicObject) -> Option<Change> {
        Some(Change::PodGone(object.uid()?.into()))
    }

    fn all(listed: Vec<Self>) -> Change {
        Change::Pods(listed)
    }
}

impl Watched for Slice {
    fn read(object: &DynamicObject) -> Option<Self> {
        slice_of(object)
    }

    fn there(self) -> Change {
        Change::Slice(self)
    }

    fn gone(object: &DynamicObject) -> Option<Change> {
        Some(Change::SliceGone { namespace: object.namespace()?.into(), name: object.name_any().into() })
    }

    fn all(listed: Vec<Self>) -> Change {
        Change::Slices(listed)
    }
}

async fn follow<W: Watched>(
    plural: &'static str,
    events: impl Stream<Item = Result<Event<DynamicObject>, Error>>,
    changes: Sender<Change>,
    metrics: Arc<Metrics>,
) {
    let mut events = pin!(events);
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        let change = match event {
            Ok(Event::Init) => {
                listed.clear();
                None
            }
            Ok(Event::InitApply(object)) => {
                listed.extend(W::read(&object));
                None
            }
            Ok(Event::InitDone) => Some(W::all(std::mem::take(&mut listed))),
            Ok(Event::Apply(object)) => W::read(&object).map(W::there),
            Ok(Event::Delete(object)) => W::gone(&object),
            Err(error) => {
                metrics.watch_failed(plural);
                warn!(%error, "{plural} are not being watched");
                None
            }
        };
        if let Some(change) = change
            && changes.send(change).await.is_err()
        {
            return;
        }
    }
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

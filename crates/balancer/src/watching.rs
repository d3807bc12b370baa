//! Two watches of the API server: labelled Pods, and `EndpointSlice`s. Only the needed parts of each object are read.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use daemon::in_one_sentence;
use futures_util::{Stream, StreamExt as _};
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::utils::{Backoff, ResetTimerBackoff};
use kube::runtime::watcher;
use kube::runtime::watcher::{Config, Error, Event};
use kube::{Api, ResourceExt as _};
use projection::ClusterError;
use relisting::relisting;
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::metrics::Metrics;
use crate::objects::{POD, SLICE, pod_of, slice_of};
use crate::planning::{Change, Pod, Slice};

/// The label that injection puts on the pod template of a workload that is balanced.
pub const LABEL: &str = "evenkeel.dev/balance";

/// The page size of lists, in objects. The client can read a page of the largest objects.
const PODS_IN_A_PAGE: u32 = 250;
const SLICES_IN_A_PAGE: u32 = 16;

/// Watches Pods and `EndpointSlice`s, and sends their changes until the receiver is dropped.
///
/// The account needs `list` and `watch` on both. Failures are logged, and a failed watch is restarted.
///
/// # Errors
/// No client for the API server can be created.
pub async fn watch(changes: Sender<Change>, metrics: Arc<Metrics>) -> Result<(), ClusterError> {
    let pods = projection::client(&POD).await?;
    let pods = Api::<DynamicObject>::all_with(pods, &resource("", "v1", "Pod", "pods"));
    let labelled = Config::default().labels(&format!("{LABEL}=on")).page_size(PODS_IN_A_PAGE);
    let slices = projection::client(&SLICE).await?;
    let kind = resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");
    let slices = Api::<DynamicObject>::all_with(slices, &kind);
    let all = Config::default().page_size(SLICES_IN_A_PAGE);
    let pods = || watcher(pods.clone(), labelled.clone());
    let slices = || watcher(slices.clone(), all.clone());
    let of_pods = follow::<Pod, _>("pods", pods, changes.clone(), Arc::clone(&metrics));
    tokio::join!(of_pods, follow::<Slice, _>("endpointslices", slices, changes, metrics));
    Ok(())
}

/// The delays before a failed watch is restarted: 0.8, 1.6, 3.2, and then 5 s.
///
/// The longest delay bounds how late the balancer detects a scale event once the API server is available again. Other
/// clients wait up to 30 s to protect the API server from thousands of watches; the balancer has two replicas with two
/// watches each.
#[derive(Debug)]
struct Retries {
    next: Duration,
}

impl Retries {
    const FIRST: Duration = Duration::from_millis(800);
    const LONGEST: Duration = Duration::from_secs(5);
}

impl Iterator for Retries {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(Self::LONGEST);
        Some(pause)
    }
}

impl Backoff for Retries {
    fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}

/// kube counts the start of a watch as a success, even if it fails at once. So delays are reset only after a minute
/// without a failure.
fn retries() -> ResetTimerBackoff<Retries> {
    ResetTimerBackoff::new(Retries { next: Retries::FIRST }, Duration::from_mins(1))
}

/// A kind of object that is watched.
trait Watched: Sized {
    fn read(object: &DynamicObject) -> Option<Self>;
    fn applied(self) -> Change;
    fn deleted(object: &DynamicObject) -> Option<Change>;
    fn listed(listed: Vec<Self>) -> Change;
}

impl Watched for Pod {
    fn read(object: &DynamicObject) -> Option<Self> {
        pod_of(object)
    }

    fn applied(self) -> Change {
        Change::Pod(self)
    }

    fn deleted(object: &DynamicObject) -> Option<Change> {
        Some(Change::PodGone(object.uid()?.into()))
    }

    fn listed(listed: Vec<Self>) -> Change {
        Change::Pods(listed)
    }
}

impl Watched for Slice {
    fn read(object: &DynamicObject) -> Option<Self> {
        slice_of(object)
    }

    fn applied(self) -> Change {
        Change::Slice(self)
    }

    fn deleted(object: &DynamicObject) -> Option<Change> {
        Some(Change::SliceGone { namespace: object.namespace()?.into(), name: object.name_any().into() })
    }

    fn listed(listed: Vec<Self>) -> Change {
        Change::Slices(listed)
    }
}

async fn follow<W, S>(plural: &'static str, begin: impl Fn() -> S, changes: Sender<Change>, metrics: Arc<Metrics>)
where
    W: Watched,
    S: Stream<Item = Result<Event<DynamicObject>, Error>>,
{
    let mut events = pin!(relisting(begin));
    let (mut listed, mut retries, mut has_failed) = (Vec::new(), retries(), false);
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
            Ok(Event::InitDone) => Some(W::listed(std::mem::take(&mut listed))),
            Ok(Event::Apply(object)) => W::read(&object).map(W::applied),
            Ok(Event::Delete(object)) => W::deleted(&object),
            Err(error) => {
                metrics.watch_failed(plural);
                if !std::mem::replace(&mut has_failed, true) {
                    warn!(error = in_one_sentence(&error), "cannot watch {plural}");
                }
                sleep(retries.next().unwrap_or(Retries::LONGEST)).await;
                None
            }
        };
        if let Some(change) = change {
            if std::mem::take(&mut has_failed) {
                info!("watching {plural} again");
            }
            if changes.send(change).await.is_err() {
                return;
            }
        }
    }
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failed_watch_is_retried_within_five_seconds() {
        let mut retries = retries();
        let pauses: Vec<u128> = retries.by_ref().take(6).map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses, [800, 1600, 3200, 5000, 5000, 5000]);
        tokio::time::advance(Duration::from_mins(2)).await;
        assert_eq!(retries.next(), Some(Retries::FIRST), "what fails for the first time in minutes is tried at once");
    }
}

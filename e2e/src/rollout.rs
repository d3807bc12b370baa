//! Waits for a rollout, prints its progress, and explains why it does not complete.

use std::fmt;
use std::time::Duration;

use anyhow::bail;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::time::{Instant, sleep};

/// A rollout of four pods with a drain takes a minute on a busy machine.
const DEADLINE: Duration = Duration::from_mins(4);

/// How far a rollout has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    /// The controller has seen the newest specification.
    observed: bool,
    wanted: i32,
    updated: i32,
    available: i32,
    /// Pods of all revisions that are not being deleted.
    all: i32,
    /// Pods that are being deleted.
    deleting: usize,
}

/// Waits until the Deployment's pods are current and ready, and the others are deleted.
pub(crate) async fn finished(client: &Client, namespace: &str, name: &str) -> anyhow::Result<()> {
    let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let started = Instant::now();
    let mut last = None;
    loop {
        let deployment = deployments.get(name).await?;
        let its_pods = pods.list(&selected_by(&deployment)).await?;
        let deleting = its_pods.items.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some()).count();
        let progress = Progress::of(&deployment, deleting);
        if last != Some(progress) {
            println!("  {name}: {progress} ({:.1} s)", started.elapsed().as_secs_f64());
            last = Some(progress);
        }
        if progress.is_finished() {
            return Ok(());
        }
        if started.elapsed() > DEADLINE {
            bail!("{name}: {progress} after {DEADLINE:?}");
        }
        sleep(Duration::from_millis(250)).await;
    }
}

fn selected_by(deployment: &Deployment) -> ListParams {
    let labels = deployment.spec.iter().flat_map(|spec| spec.selector.match_labels.iter().flatten());
    let selector: Vec<_> = labels.map(|(key, value)| format!("{key}={value}")).collect();
    ListParams::default().labels(&selector.join(","))
}

impl Progress {
    fn of(deployment: &Deployment, deleting: usize) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        Self {
            observed: status.observed_generation >= deployment.metadata.generation,
            wanted: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
            updated: status.updated_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            all: status.replicas.unwrap_or(0),
            deleting,
        }
    }

    fn is_finished(self) -> bool {
        let Self { observed, wanted, updated, available, all, deleting } = self;
        observed && updated == wanted && available == wanted && all == wanted && deleting == 0
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { observed, wanted, updated, available, all, deleting } = self;
        if !observed {
            f.write_str("not seen yet by the controller, ")?;
        }
        write!(
            f,
            "{updated} of {wanted} pods are up to date, {available} available, {} old, {deleting} deleting",
            all - updated
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: Progress = Progress { observed: true, wanted: 2, updated: 2, available: 2, all: 2, deleting: 0 };

    #[test]
    fn a_rollout_is_finished_when_no_old_pod_is_left() {
        assert!(DONE.is_finished());
        for progress in [
            Progress { observed: false, ..DONE },
            Progress { updated: 1, ..DONE },
            Progress { available: 1, ..DONE },
            Progress { all: 3, ..DONE },
            Progress { deleting: 1, ..DONE },
        ] {
            assert!(!progress.is_finished(), "{progress}");
        }
    }
}

//! The pods of a workload while their number changes.

use std::time::Duration;

use anyhow::bail;
use e2e::TestNamespace;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use tokio::time::{Instant, sleep};

/// The polling interval of the API server.
const POLL: Duration = Duration::from_millis(200);

/// The bound on a change: a rollout of eight pods with a drain takes a minute or two on a busy machine.
const DEADLINE: Duration = Duration::from_mins(6);

/// The numbers of ready pods, with the time from which each was seen.
pub(crate) type Readiness = Vec<(Instant, usize)>;

/// Returns the generation of the Deployment, which a change raises.
pub(crate) async fn generation(namespace: &TestNamespace) -> anyhow::Result<i64> {
    Ok(namespace.deployment("web").await?.metadata.generation.unwrap_or(0))
}

/// Waits until the Deployment has a later generation than `before`, and all its pods of this generation are ready;
/// others may still be terminating. The last entry is the last readiness.
pub(crate) async fn until_ready(namespace: &TestNamespace, before: i64) -> anyhow::Result<Readiness> {
    let started = Instant::now();
    let mut readiness = Readiness::new();
    loop {
        let deployment = namespace.deployment("web").await?;
        note(&mut readiness, &deployment);
        if deployment.metadata.generation > Some(before) && is_complete(&deployment) {
            return Ok(readiness);
        }
        if started.elapsed() > DEADLINE {
            bail!("the pods are not ready after {DEADLINE:?}: {readiness:?}");
        }
        sleep(POLL).await;
    }
}

/// Adds the number of ready pods if it has changed.
pub(crate) fn note(readiness: &mut Readiness, deployment: &Deployment) {
    let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    let ready = usize::try_from(ready).unwrap_or(0);
    if readiness.last().is_none_or(|(_, last)| *last != ready) {
        readiness.push((Instant::now(), ready));
    }
}

fn is_complete(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let DeploymentStatus { observed_generation, replicas, updated_replicas, available_replicas, .. } =
        deployment.status.clone().unwrap_or_default();
    observed_generation >= deployment.metadata.generation
        && [replicas, updated_replicas, available_replicas].iter().all(|count| *count == wanted)
}

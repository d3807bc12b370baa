//! Promise: if the API server refuses the pods of an injected workload, an Event on the workload gives the reason. The
//! restart that the Event recommends fits the proxy into the namespace's current limits.

use std::time::Duration;

use anyhow::ensure;
use e2e::{TestNamespace, Web, in_namespace, sidecar};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, LimitRange, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

/// How long the API server and the webhook may take to notice a stored `LimitRange`.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn pods_refused_by_a_later_limit_range_get_an_event() -> anyhow::Result<()> {
    in_namespace("refused", |namespace| async move {
        let web = Web::sample()?.replicas(0).annotation("evenkeel.dev/max-requests", "100");
        namespace.apply(web.deployment()).await?;
        namespace.apply(&half_of_the_default()?).await?;
        let limit = memory_limit(&namespace.deployment("web").await?);
        ensure!(
            limit.as_deref() == Some("128Mi"),
            "expected the default limit, since the LimitRange was created later: {limit:?}"
        );
        refuses_the_default(&namespace).await?;

        let scale = json!({ "spec": { "replicas": 1 } });
        namespace.api::<Deployment>().patch_scale("web", &PatchParams::default(), &Patch::Merge(scale)).await?;
        namespace.wait_for_event("web", "PodsRefused").await?;
        let notes = namespace.notes("web", "PodsRefused").await?;
        let says_why = notes.iter().all(|note| note.contains("maximum memory usage per Container is 64Mi"));
        ensure!(
            says_why && notes.len() == 1,
            "expected one Event for all replicas of the webhook, with the reason of the API server: {notes:?}"
        );

        is_fitted(&namespace, web.deployment()).await?;
        namespace.restart("web", "the limits are other ones").await?;
        let limit = memory_limit(&namespace.deployment("web").await?);
        ensure!(limit.as_deref() == Some("64Mi"), "expected the limit that the LimitRange allows: {limit:?}");
        ensure!(namespace.pods().await?.len() == 1, "expected one pod");
        Ok(())
    })
    .await
}

fn half_of_the_default() -> anyhow::Result<LimitRange> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "small"},
        "spec": {"limits": [{"type": "Container", "max": {"memory": "64Mi"}}]},
    }))?)
}

/// Waits until a pod with the default's memory limit is refused.
async fn refuses_the_default(namespace: &TestNamespace) -> anyhow::Result<()> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "large"},
        "spec": {"containers": [{"name": "app", "image": "none", "resources": {"limits": {"memory": "128Mi"}}}]},
    }))?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let refused = async {
        loop {
            match namespace.api::<Pod>().create(&dry_run, &pod).await {
                Err(kube::Error::Api(status)) if status.is_forbidden() => return anyhow::Ok(()),
                Err(error) => return Err(error.into()),
                Ok(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    tokio::time::timeout(SEEN_WITHIN, refused).await?
}

/// Waits until a new workload would get a proxy that the namespace allows: the webhook caches a namespace for some
/// seconds.
async fn is_fitted(namespace: &TestNamespace, deployment: &Deployment) -> anyhow::Result<()> {
    let mut another = deployment.clone();
    another.metadata.name = Some("another".to_owned());
    let fitted = async {
        while memory_limit(&namespace.dry_run(&another).await?).as_deref() != Some("64Mi") {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(SEEN_WITHIN, fitted).await?
}

fn memory_limit(deployment: &Deployment) -> Option<String> {
    let limit = |proxy: &Container| Some(proxy.resources.as_ref()?.limits.as_ref()?.get("memory")?.0.clone());
    sidecar(deployment).and_then(limit)
}

//! Workloads that changed without a review.

use anyhow::ensure;
use e2e::{TestNamespace, in_labelled_namespace, program};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::broken::deployment;
use super::report::{CLEAN, FOUND, bad, check, once_found};

const OPT_OUT: &str = "evenkeel.dev/inject";
const MAX_REQUESTS: &str = "evenkeel.dev/max-requests";

#[tokio::test]
async fn a_workload_that_nobody_reviewed_is_found_until_it_is() -> anyhow::Result<()> {
    in_labelled_namespace("check-unreviewed", &[(OPT_OUT, "disabled")], |namespace| async move {
        namespace.apply(&deployment("web", |_| {})?).await?;
        // The ReplicaSet publishes an Event for a pod that the quota refuses.
        namespace.apply(&quota()?).await?;
        namespace.apply(&deployment("short", |object| object["spec"]["replicas"] = json!(2))?).await?;
        let report = check(&namespace, FOUND)?;
        ensure!(bad(&report, "web") == ["namespace-opted-out"], "{report:#}");
        opt_out(&namespace, false).await?;
        let awaited = [("short", "quota-short"), ("short", "warning-events")];
        let report = once_found(&namespace, &awaited).await?;
        ensure!(bad(&report, "web") == ["not-reviewed"], "{report:#}");
        namespace.api::<Deployment>().delete("short", &DeleteParams::default()).await?;
        // The command that the finding recommends.
        namespace.restart("web", "reviewed").await?;
        let report = check(&namespace, CLEAN)?;
        ensure!(bad(&report, "web").is_empty(), "{report:#}");

        opt_out(&namespace, true).await?;
        namespace.annotate("web", &[(MAX_REQUESTS, Some("20"))]).await?;
        let report = check(&namespace, CLEAN)?;
        ensure!(bad(&report, "web") == ["injection-outdated"], "{report:#}");
        namespace.annotate("web", &[(MAX_REQUESTS, None)]).await?;
        let report = check(&namespace, CLEAN)?;
        ensure!(bad(&report, "web") == ["proxy-left-over"], "{report:#}");
        // The command that the finding recommends.
        program::evenkeel(&["uninject", "deployment/web", "--namespace", namespace.name()])?;
        let report = check(&namespace, CLEAN)?;
        ensure!(bad(&report, "web").is_empty(), "{report:#}");
        Ok(())
    })
    .await
}

/// Returns a quota that is too small for a pod of the sample.
fn quota() -> anyhow::Result<ResourceQuota> {
    let hard = json!({"requests.cpu": "1m"});
    Ok(serde_json::from_value(json!({"metadata": {"name": "small"}, "spec": {"hard": hard}}))?)
}

async fn opt_out(namespace: &TestNamespace, is_out: bool) -> anyhow::Result<()> {
    let labels = json!({"metadata": {"labels": {OPT_OUT: is_out.then_some("disabled")}}});
    let namespaces = Api::<Namespace>::all(namespace.client());
    namespaces.patch(namespace.name(), &PatchParams::default(), &Patch::Merge(labels)).await?;
    Ok(())
}

//! Promise: a controller that applies manifests from Git sees no difference after an injection, and its next apply
//! rolls no pod. Argo CD's server-side diff and Flux's drift detection are server-side applies in a dry run.

use anyhow::{Context as _, ensure};
use e2e::{TestNamespace, Web, in_namespace, sidecar};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams, ResourceExt as _};

/// The field managers of Argo CD and of Flux.
const MANAGERS: [&str; 2] = ["argocd-controller", "kustomize-controller"];

#[tokio::test]
async fn an_injection_is_no_difference_for_gitops_controllers() -> anyhow::Result<()> {
    in_namespace("gitops", |namespace| async move {
        for manager in MANAGERS {
            for (name, web) in cases()? {
                let mut author = web.deployment().clone();
                author.metadata.name = Some(format!("{name}-{manager}"));
                no_difference(&namespace, &author, manager).await.with_context(|| format!("{name}, {manager}"))?;
            }
        }
        Ok(())
    })
    .await
}

/// Returns workloads in which the webhook changes much: probes, hooks, port names, the balancer's label.
fn cases() -> anyhow::Result<[(&'static str, Web); 3]> {
    let web = || Ok::<_, anyhow::Error>(Web::sample()?.replicas(0).annotation("evenkeel.dev/max-requests", "100"));
    Ok([
        ("redirect", web()?.tcp_probes()),
        ("named-port", web()?.annotation("evenkeel.dev/interception", "named-port")),
        ("balance", web()?.annotation("evenkeel.dev/balance", "on")),
    ])
}

async fn no_difference(namespace: &TestNamespace, author: &Deployment, manager: &str) -> anyhow::Result<()> {
    let stored = applied(namespace, author, manager, false).await?;
    ensure!(sidecar(&stored).is_some(), "not injected: {stored:?}");
    let predicted = applied(namespace, author, manager, true).await?;
    ensure!(
        compared(&predicted) == compared(&stored),
        "the controller sees a difference: {stored:?} would become {predicted:?}"
    );
    let synced = applied(namespace, author, manager, false).await?;
    ensure!(
        synced.metadata.generation == stored.metadata.generation,
        "the next sync changed the Deployment: {synced:?}"
    );
    let mut changed = author.clone();
    let container = changed.spec.iter_mut().flat_map(|spec| spec.template.spec.iter_mut());
    let container = container.flat_map(|pod| &mut pod.containers).next().context("a container")?;
    container.image = Some("example.com/other:1".to_owned());
    let predicted = applied(namespace, &changed, manager, true).await?;
    ensure!(compared(&predicted) != compared(&stored), "the comparison does not show a change of the author's");
    Ok(())
}

/// Applies as such a controller does, with `force` for conflicts.
async fn applied(
    namespace: &TestNamespace,
    deployment: &Deployment,
    manager: &str,
    dry_run: bool,
) -> anyhow::Result<Deployment> {
    let parameters = PatchParams { dry_run, ..PatchParams::apply(manager).force() };
    let name = deployment.metadata.name.as_deref().context("a name")?;
    Ok(namespace.api().patch(name, &parameters, &Patch::Apply(deployment)).await?)
}

/// An annotation that the Deployment controller writes a moment after an apply.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Returns what these controllers compare: the object without managed fields and without what the Deployment
/// controller writes.
fn compared(deployment: &Deployment) -> Deployment {
    let mut compared = deployment.clone();
    compared.annotations_mut().remove(REVISION);
    compared.metadata.managed_fields = None;
    compared.metadata.resource_version = None;
    compared.status = None;
    compared
}

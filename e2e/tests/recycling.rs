//! Promise: one annotation injects a sidecar that retires every connection at exactly its limit. Without the annotation
//! the workload is what it was before.

use anyhow::{Context as _, ensure};
use e2e::{Client, TestNamespace, Web, in_namespace, record, sidecar};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::json;

const MAX_REQUESTS: u32 = 10;
const CLIENTS: u32 = 4;
const REQUESTS: u32 = 100;

#[tokio::test]
async fn the_annotation_recycles_at_exactly_its_limit_until_it_is_removed() -> anyhow::Result<()> {
    in_namespace("recycling", |namespace| async move {
        let address = namespace.deploy(&Web::sample()?).await?;
        let before = namespace.deployment("web").await?;
        ensure!(sidecar(&before).is_none(), "a workload without the annotation has a sidecar");

        let limit = MAX_REQUESTS.to_string();
        let settings = [("evenkeel.dev/jitter", "0%"), ("evenkeel.dev/max-requests", limit.as_str())];
        namespace.annotate("web", &settings.map(|(key, value)| (key, Some(value)))).await?;
        let with = namespace.deployment("web").await?;
        let policy = sidecar(&with).context("no sidecar was injected")?.restart_policy.as_deref();
        ensure!(policy == Some("Always"), "the sidecar is not a native one: its restart policy is {policy:?}");
        ensure_sidecars_run(&namespace).await?;
        namespace.settle(address).await?;
        let mut connections = 0;
        for _ in 0..CLIENTS {
            let mut client = Client::new(address);
            every_answer_at_the_limit_closes(&mut client).await?;
            connections += client.opened();
        }
        println!("{CLIENTS} clients × {REQUESTS} requests at max-requests={MAX_REQUESTS}: {connections} connections, 0 failed");
        record("recycling", &json!({ "requests": CLIENTS * REQUESTS, "connections": connections, "failed": 0 }))?;

        namespace.annotate("web", &settings.map(|(key, _)| (key, None))).await?;
        let after = namespace.deployment("web").await?;
        ensure!(template(&after) == template(&before), "removing the annotation left fields of evenkeel in the template: {after:?}");
        ensure!(ours(&after).is_empty(), "removing the annotation left annotations of evenkeel: {:?}", ours(&after));
        namespace.settle(address).await?;
        ensure_never_closed(&mut Client::new(address)).await
    })
    .await
}

async fn every_answer_at_the_limit_closes(client: &mut Client) -> anyhow::Result<()> {
    for request in 1..=REQUESTS {
        let answer = client.get().await.map_err(|failure| anyhow::anyhow!("request {request}: {failure}"))?;
        let ordinal = (request - 1) % MAX_REQUESTS + 1;
        ensure!(answer.ordinal == ordinal, "request {request} is number {} on its connection", answer.ordinal);
        ensure!(
            answer.closes == (ordinal == MAX_REQUESTS),
            "request {request}, number {ordinal}: closes={}",
            answer.closes
        );
    }
    Ok(())
}

async fn ensure_never_closed(client: &mut Client) -> anyhow::Result<()> {
    for request in 1..=2 * MAX_REQUESTS {
        let answer = client.get().await.map_err(|failure| anyhow::anyhow!("request {request}: {failure}"))?;
        ensure!(!answer.closes, "request {request} is still recycled");
    }
    Ok(())
}

fn template(deployment: &Deployment) -> Option<&PodTemplateSpec> {
    deployment.spec.as_ref().map(|spec| &spec.template)
}

async fn ensure_sidecars_run(namespace: &TestNamespace) -> anyhow::Result<()> {
    for pod in namespace.pods().await? {
        let containers = pod.status.and_then(|status| status.init_container_statuses).unwrap_or_default();
        let sidecar = containers.iter().find(|container| container.name == "recycling-proxy");
        ensure!(sidecar.is_some_and(|sidecar| sidecar.ready), "a pod without a ready sidecar: {containers:?}");
    }
    Ok(())
}

fn ours(deployment: &Deployment) -> Vec<&String> {
    let annotations = deployment.metadata.annotations.iter().flatten();
    annotations.map(|(key, _)| key).filter(|key| key.starts_with(settings::PREFIX)).collect()
}

//! Promise: in a namespace that enforces Pod Security, pods start and their connections are recycled. The name of the
//! port refers to the proxy, and no container needs a privilege.

use anyhow::{Context as _, ensure};
use e2e::{Client, TestNamespace, Web, in_labelled_namespace, sidecar};
use k8s_openapi::api::apps::v1::Deployment;

const ENFORCED: (&str, &str) = ("pod-security.kubernetes.io/enforce", "restricted");
const MAX_REQUESTS: u32 = 5;
const REQUESTS: u32 = 200;

#[tokio::test]
async fn named_port_recycles_connections_in_a_restricted_namespace() -> anyhow::Result<()> {
    in_labelled_namespace("restricted", &[ENFORCED], |namespace| async move {
        let limit = MAX_REQUESTS.to_string();
        let web = Web::sample()?.restricted().replicas(2);
        let recycled = web.annotation("evenkeel.dev/max-requests", &limit).annotation("evenkeel.dev/jitter", "0%");
        let address = namespace.deploy(&recycled).await?;
        ensure_by_name(&namespace.deployment("web").await?)?;
        let mut client = Client::new(address);
        recycles(&mut client).await?;
        println!("{REQUESTS} requests at max-requests={MAX_REQUESTS}: {} connections, 0 failed", client.opened());
        ensure!(client.opened() == REQUESTS / MAX_REQUESTS, "{} connections", client.opened());

        let off = [("evenkeel.dev/max-requests", None), ("evenkeel.dev/jitter", None)];
        namespace.annotate("web", &off).await?;
        namespace.settle(address).await?;
        never_closes(&namespace, &mut Client::new(address)).await
    })
    .await
}

/// Checks that only the sidecar was added, and that its port has the name of the app's.
fn ensure_by_name(deployment: &Deployment) -> anyhow::Result<()> {
    let sidecar = sidecar(deployment).context("no sidecar was injected")?;
    let names: Vec<_> = sidecar.ports.iter().flatten().filter_map(|port| port.name.as_deref()).collect();
    ensure!(names.contains(&"http"), "the proxy's port has not got the name of the app's port: {names:?}");
    let pod = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()).context("no pod template")?;
    let init = pod.init_containers.iter().flatten().count();
    ensure!(init == 1, "{init} init containers, expected the proxy alone without a redirect");
    Ok(())
}

async fn recycles(client: &mut Client) -> anyhow::Result<()> {
    for request in 1..=REQUESTS {
        let answer = client.get().await.map_err(|failure| anyhow::anyhow!("request {request}: {failure}"))?;
        let is_last = answer.ordinal == MAX_REQUESTS;
        ensure!(answer.closes == is_last, "request {request}, number {}: closes={}", answer.ordinal, answer.closes);
    }
    Ok(())
}

async fn never_closes(namespace: &TestNamespace, client: &mut Client) -> anyhow::Result<()> {
    let now = namespace.deployment("web").await?;
    ensure!(sidecar(&now).is_none(), "the sidecar is still there");
    for request in 1..=2 * MAX_REQUESTS {
        let answer = client.get().await.map_err(|failure| anyhow::anyhow!("request {request}: {failure}"))?;
        ensure!(!answer.closes, "request {request} is still recycled");
    }
    Ok(())
}

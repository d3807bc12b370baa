//! Promise: probes go on testing the app. A probe that only opens a connection would find the proxy's listener whether or
//! not the app is there.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use e2e::{TestNamespace, Web, in_namespace};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::time::{Instant, sleep};

/// Ten periods of the probe.
const LONG_ENOUGH: Duration = Duration::from_secs(10);
/// Three periods of the probe with its timeout, and room for a busy machine.
const NOTICED_WITHIN: Duration = Duration::from_mins(1);
/// How long a pod may take until its proxy is ready and its app runs.
const STARTED_WITHIN: Duration = Duration::from_mins(2);

#[tokio::test]
async fn a_tcp_probe_finds_an_app_that_listens() -> anyhow::Result<()> {
    in_namespace("probes", |namespace| async move {
        namespace.deploy(&probed()?).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_tcp_probe_does_not_take_the_proxy_for_the_app() -> anyhow::Result<()> {
    in_namespace("probes", |namespace| async move {
        let elsewhere = probed()?.args(&["--listen", "[::]:9999"]);
        namespace.create(elsewhere.deployment()).await?;
        let started = status_once_started(&namespace).await?;
        sleep(LONG_ENOUGH).await;
        let now = only_pod(&namespace).await?.unwrap_or(started);
        println!("the app listens elsewhere: ready is {}", condition(&now, "Ready"));
        ensure!(condition(&now, "Ready") == "False", "nothing listens on the probed port, and the pod is ready");
        Ok(())
    })
    .await
}

/// The app of a living pod stops listening, as one does that hangs or has lost its way.
#[tokio::test]
async fn a_pod_whose_app_has_died_is_not_ready() -> anyhow::Result<()> {
    let by_http =
        || Ok::<Web, anyhow::Error>(Web::sample()?.replicas(1).annotation("evenkeel.dev/max-requests", "100"));
    tokio::try_join!(
        becomes_unready(probed()?, "redirect"),
        becomes_unready(probed()?, "named-port"),
        becomes_unready(by_http()?, "redirect"),
        becomes_unready(by_http()?, "named-port"),
    )?;
    Ok(())
}

async fn becomes_unready(web: Web, interception: &'static str) -> anyhow::Result<()> {
    let web = web.annotation("evenkeel.dev/interception", interception);
    in_namespace("probes", |namespace| async move {
        namespace.deploy(&web).await?;
        let pod = namespace.pod_names().await?.pop().context("there is no pod")?;
        namespace.deafen_app(&pod).await?;
        let told = Instant::now();
        loop {
            let status = only_pod(&namespace).await?.context("the pod is gone")?;
            let restarts: i32 =
                status.container_statuses.iter().flatten().map(|container| container.restart_count).sum();
            ensure!(restarts == 0, "the app was started again: the pod is not ready for another reason");
            if condition(&status, "Ready") == "False" {
                println!("{interception}: not ready {:.1} s after its app", told.elapsed().as_secs_f64());
                return Ok(());
            }
            ensure!(told.elapsed() < NOTICED_WITHIN, "{interception}: its app is dead, and the pod is still ready");
            sleep(Duration::from_millis(250)).await;
        }
    })
    .await
}

fn probed() -> anyhow::Result<Web> {
    Ok(Web::sample()?.replicas(1).tcp_probes().annotation("evenkeel.dev/max-requests", "100"))
}

/// The status of the pod in which proxy and app run.
async fn status_once_started(namespace: &TestNamespace) -> anyhow::Result<PodStatus> {
    let asked = Instant::now();
    loop {
        if let Some(status) = only_pod(namespace).await?
            && condition(&status, "Initialized") == "True"
            && proxy_is_ready(&status)
        {
            return Ok(status);
        }
        if asked.elapsed() > STARTED_WITHIN {
            bail!("no pod with a ready proxy and a running app after {STARTED_WITHIN:?}");
        }
        sleep(Duration::from_millis(250)).await;
    }
}

async fn only_pod(namespace: &TestNamespace) -> anyhow::Result<Option<PodStatus>> {
    let pods: Vec<Pod> = namespace.pods().await?;
    Ok(pods.into_iter().next().and_then(|pod| pod.status))
}

fn proxy_is_ready(status: &PodStatus) -> bool {
    let proxies = status.init_container_statuses.iter().flatten().filter(|status| status.name == "recycling-proxy");
    let apps = status.container_statuses.iter().flatten();
    let runs = apps.filter_map(|app| app.state.as_ref()).any(|state| state.running.is_some());
    runs && proxies.into_iter().any(|proxy| proxy.ready)
}

/// The status of a condition: `True`, `False` or `Unknown`.
fn condition<'a>(status: &'a PodStatus, name: &str) -> &'a str {
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == name).map_or("Unknown", |condition| &condition.status)
}

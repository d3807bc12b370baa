//! Promise: an app that fails its liveness probe is restarted without waiting for a drain. The kubelet runs the
//! `preStop` hook also when it restarts only the app's container; no drain begins then.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{Fleet, Load, TestNamespace, Web, in_namespace, record};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const PODS: u32 = 3;
/// Clients with connections to the failing apps: a drain would wait for them.
const LOAD: Load = Load { clients: 6, interval: Duration::from_millis(500) };
/// How much later a failing app may be restarted: the half second in which the drain of a pod usually begins, and a
/// margin for a busy machine. An app that passes its probe would be held for ten seconds, and a drain would take
/// twenty.
const LATER: Duration = Duration::from_millis(6_500);
/// The kubelet stops an app after 30 s at the latest, whatever its hook does.
const RESTARTED_WITHIN: Duration = Duration::from_mins(1);

/// How an app fails its liveness probe.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failing {
    /// It accepts no connections.
    RefusesConnections,
    /// It fails the probe, and still answers its clients.
    FailsProbe,
}

#[tokio::test]
async fn the_restart_of_an_app_that_refuses_connections_is_not_delayed() -> anyhow::Result<()> {
    Box::pin(restarts_are_as_fast_as_without(Failing::RefusesConnections, "failing_app")).await
}

#[tokio::test]
async fn the_restart_of_an_app_that_fails_its_probe_is_not_delayed() -> anyhow::Result<()> {
    Box::pin(restarts_are_as_fast_as_without(Failing::FailsProbe, "failing_app_that_answers")).await
}

async fn restarts_are_as_fast_as_without(failing: Failing, figures: &str) -> anyhow::Result<()> {
    let (without, redirect, named_port) = tokio::try_join!(
        restarts(failing, None),
        restarts(failing, Some("redirect")),
        restarts(failing, Some("named-port")),
    )?;
    println!("{figures}: seconds until the restart: without evenkeel {without:.1?}");
    println!("  redirect {redirect:.1?}, named-port {named_port:.1?}");
    record(figures, &json!({ "without": without, "redirect": redirect, "named-port": named_port }))?;
    for (interception, with) in [("redirect", redirect), ("named-port", named_port)] {
        let (slowest, allowed) = (slowest(&with), slowest(&without) + LATER.as_secs_f64());
        ensure!(slowest <= allowed, "{interception}: restarted after {slowest:.1} s, expected at most {allowed:.1} s");
    }
    Ok(())
}

/// Returns the seconds that it took until each app ran again.
async fn restarts(failing: Failing, interception: Option<&'static str>) -> anyhow::Result<Vec<f64>> {
    let plain = Web::sample()?.replicas(PODS.try_into()?).restarted_when_failing();
    let web = match interception {
        None => plain,
        Some(interception) => {
            plain.annotation("evenkeel.dev/max-requests", "1000").annotation("evenkeel.dev/interception", interception)
        }
    };
    in_namespace("failing-app", |namespace| async move {
        let address = namespace.deploy(&web).await?;
        let fleet = Fleet::start(address, LOAD);
        let mut restarts = JoinSet::new();
        for pod in namespace.pod_names().await? {
            restarts.spawn(restart(namespace.clone(), pod, failing));
        }
        let mut seconds = Vec::new();
        while let Some(took) = restarts.join_next().await {
            seconds.push(took??.as_secs_f64());
        }
        fleet.finish().await;
        Ok(seconds)
    })
    .await
}

/// Makes the app of a pod fail, and returns the time until it runs again.
async fn restart(namespace: TestNamespace, pod: String, failing: Failing) -> anyhow::Result<Duration> {
    match failing {
        Failing::RefusesConnections => namespace.stop_accepting(&pod, 8080).await?,
        Failing::FailsProbe => namespace.fail_app(&pod, 8080).await?,
    }
    let started = Instant::now();
    loop {
        let app = app(namespace.api::<Pod>().get(&pod).await?).context("the pod has no app")?;
        if app.restart_count > 0 && app.state.is_some_and(|state| state.running.is_some()) {
            return Ok(started.elapsed());
        }
        ensure!(
            started.elapsed() < RESTARTED_WITHIN,
            "{pod}: the failing app was not restarted within {RESTARTED_WITHIN:?}"
        );
        sleep(Duration::from_millis(200)).await;
    }
}

fn app(pod: Pod) -> Option<ContainerStatus> {
    pod.status?.container_statuses?.into_iter().find(|container| container.name == "web")
}

fn slowest(seconds: &[f64]) -> f64 {
    seconds.iter().copied().fold(0.0, f64::max)
}

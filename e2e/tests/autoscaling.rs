//! Promise: the autoscaler reaches the right number of pods although clients keep their connections alive.
//!
//! 40 clients send 50 requests/s in all, each of which takes 6 ms of CPU. A pod may use 150m of CPU, and the autoscaler
//! keeps it at 60m (60 % of the requested 100m), so that 5 pods are right. Without evenkeel all connections stay on the
//! first pod: it is saturated, the mean over it and the idle pods satisfies the autoscaler, and scaling stops.

use std::time::Duration;

use anyhow::ensure;
use e2e::{Figures, Fleet, Load, TestNamespace, Web, in_namespace, record};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serde::Serialize;
use serde_json::json;
use tokio::join;
use tokio::time::Instant;

const LOAD: Load = Load { clients: 40, interval: Duration::from_millis(800) };
const MAX_REQUESTS: &str = "20";
/// The number of pods that the load needs.
const RIGHT: usize = 5;
/// The time without a change, within the tolerance, after which the autoscaler is at rest: it evaluates every 5 s and
/// scales up without delay.
const REST: Duration = Duration::from_secs(45);
/// The autoscaler's target and its tolerance of a tenth, in percent of the request: up to this it does not scale up.
const TOLERATED: i32 = 66;
/// The time after the last change in which every connection is retired: each lasts 16 s.
const SETTLED: Duration = Duration::from_secs(20);
/// The time limit of scaling: on a busy machine, metrics may be missing for a while.
const SCALING: Duration = Duration::from_mins(4);
const WATCHED: Duration = Duration::from_secs(30);

/// The outcome of autoscaling.
#[derive(Debug, Serialize)]
struct Outcome {
    pods: usize,
    /// Seconds from the start of the load to each number of pods.
    history: Vec<(f64, i32)>,
    /// The use that the autoscaler last saw, in percent of the request.
    utilization: Option<i32>,
    /// Each pod's responses divided by the mean.
    shares: Vec<(String, f64)>,
    /// The clients' figures at the end.
    figures: Figures,
}

#[tokio::test]
async fn with_recycling_the_autoscaler_reaches_the_right_number_of_pods() -> anyhow::Result<()> {
    let plain = Web::sample()?.replicas(1).args(&["--burn", "6ms"]).cpu("100m", "150m");
    let recycled = plain.clone().annotation("evenkeel.dev/max-requests", MAX_REQUESTS);
    let (without, with) = join!(
        in_namespace("autoscaling", |namespace| autoscale(namespace, plain)),
        in_namespace("autoscaling-recycled", |namespace| autoscale(namespace, recycled)),
    );
    let (without, with) = (without?, with?);
    print("without evenkeel", &without);
    print("with max-requests=20", &with);
    let speedup = without.figures.p50_ms / with.figures.p50_ms;
    println!("the median latency fell by a factor of {speedup:.0}");
    record("autoscaling", &json!({ "without": without, "with": with, "p50_ratio": speedup }))?;

    let busy = without.shares.iter().filter(|(_, share)| *share > 0.0).count();
    ensure!(
        without.pods < RIGHT && busy == 1,
        "without evenkeel the autoscaler does not stall: the problem that this test shows is gone"
    );
    ensure!(with.pods >= RIGHT, "with evenkeel there are {} pods, expected at least {RIGHT}", with.pods);
    for (pod, share) in &with.shares {
        // About 60 connections are distributed at random in that time. Less than a fifth of the mean is not due to
        // chance.
        ensure!(*share >= 0.2, "with evenkeel pod {pod} has {share:.2} of the mean load, expected at least 0.2");
    }
    ensure!(with.figures.failures() == 0, "requests failed");
    // On an idle machine it is more than a hundred. Other work slows down the pods with free capacity, and not the
    // saturated one, which is bounded by its CPU limit.
    ensure!(speedup >= 10.0, "the median latency fell only by a factor of {speedup:.0}, expected 10");
    Ok(())
}

fn print(what: &str, outcome: &Outcome) {
    let Outcome { pods, history, utilization, shares, figures } = outcome;
    println!("{what}: {pods} pods after {history:.0?}, the autoscaler sees {utilization:?} %");
    println!("  load / mean by pod {shares:.2?}\n  {figures}");
}

async fn autoscale(namespace: TestNamespace, web: Web) -> anyhow::Result<Outcome> {
    let address = namespace.deploy(&web).await?;
    let fleet = Fleet::start(address, LOAD);
    namespace.autoscale(&Web::autoscaler()?).await?;
    let (pods, history) = watch_scaling(&namespace).await?;
    let figures = fleet.observe(WATCHED).await;
    let shares = pods.iter().map(|pod| (pod.clone(), figures.share(pod, pods.len()))).collect();
    let utilization = utilization(&namespace.api::<HorizontalPodAutoscaler>().get("web").await?);
    fleet.finish().await;
    Ok(Outcome { pods: pods.len(), history, utilization, shares, figures })
}

/// Waits until the autoscaler is at rest. Returns the pods, and when each number of pods was ready.
async fn watch_scaling(namespace: &TestNamespace) -> anyhow::Result<(Vec<String>, Vec<(f64, i32)>)> {
    let started = Instant::now();
    let (mut changed, mut above_tolerated) = (started, started);
    let mut history: Vec<(f64, i32)> = Vec::new();
    loop {
        // Read before the desired number, so that pods that the autoscaler adds meanwhile are not included.
        let pods = namespace.pod_names().await?;
        let deployment = namespace.deployment("web").await?;
        let wanted = deployment.spec.and_then(|spec| spec.replicas);
        let ready = deployment.status.and_then(|status| status.ready_replicas).unwrap_or(0);
        if history.last().is_none_or(|(_, last)| *last != ready) {
            changed = Instant::now();
            history.push((started.elapsed().as_secs_f64(), ready));
            println!("  {}: {ready} pods ready after {:.0} s", namespace.name(), started.elapsed().as_secs_f64());
        }
        let enough = usize::try_from(ready)? >= RIGHT && wanted == Some(ready);
        let quiet = changed.elapsed();
        let seen = utilization(&namespace.api::<HorizontalPodAutoscaler>().get("web").await?);
        // While metrics of new pods are missing, the autoscaler may see too little use.
        if seen.is_none_or(|seen| seen > TOLERATED) {
            above_tolerated = Instant::now();
        }
        let at_rest = quiet.min(above_tolerated.elapsed()) >= REST;
        if (enough && quiet >= SETTLED) || at_rest || started.elapsed() >= SCALING {
            return Ok((pods, history));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn utilization(autoscaler: &HorizontalPodAutoscaler) -> Option<i32> {
    let metrics = autoscaler.status.as_ref()?.current_metrics.as_ref()?;
    metrics.first()?.container_resource.as_ref()?.current.average_utilization
}

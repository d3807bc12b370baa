//! Promise: with `evenkeel.dev/balance: on` load becomes even after a scale-out, and then no client has to reconnect.
//!
//! 100 clients keep their connections and send 2 requests/s each; four pods become eight. A threshold would need many
//! requests on each connection before it moves any, and would never stop.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{Figures, Fleet, Load, TestNamespace, Web, in_namespace, program, record};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::join;
use tokio::time::Instant;

const LOAD: Load = Load { clients: 100, interval: Duration::from_millis(500) };
const PODS: usize = 8;
/// The time over which the pods are compared.
const WINDOW: Duration = Duration::from_secs(5);
/// The goal for the busiest pod against the mean.
const EVEN: f64 = 1.2;
/// What must be reached: kube-proxy picks pods at random, and balancing stops within its tolerance.
const EVEN_ENOUGH: f64 = 1.35;
/// The time limit, also on a busy machine.
const WITHIN: Duration = Duration::from_mins(1);
/// How long the workload without evenkeel is observed.
const LOOK: Duration = Duration::from_secs(15);
/// The time after the last readiness until the tolerance has widened beyond the goal; before, a pod within the goal may
/// still be above it. Pods settle for 3 s, the tolerance is narrow for 27.5 s at 2 requests/s, and then widens by one
/// point per second.
const WIDENED: Duration = Duration::from_secs(40);
/// The time without a scale event in which connections should stay.
const REST: Duration = Duration::from_secs(20);
/// How many clients may still reconnect meanwhile.
const STRAY: u64 = 5;

/// The distribution of the load.
#[derive(Debug, Serialize)]
struct Outcome {
    /// Seconds after the last pod was ready, each with the busiest pod's responses divided by the mean.
    peak_to_mean: Vec<(f64, f64)>,
    /// Connections that clients opened from the last readiness until the load was even and had settled, for each
    /// client.
    reconnects: f64,
    rest: Figures,
}

#[tokio::test]
async fn balancing_levels_load_and_then_keeps_connections() -> anyhow::Result<()> {
    let plain = Web::sample()?.replicas(4);
    let balanced = plain.clone().annotation("evenkeel.dev/balance", "on");
    let (without, with) = join!(
        in_namespace("balancing-off", |namespace| scale_out(namespace, plain, LOOK, false)),
        in_namespace("balancing-on", |namespace| scale_out(namespace, balanced, WITHIN, true)),
    );
    let (without, with) = (without?, with?);
    print("without evenkeel", &without);
    print("with balance=on", &with);
    let reached = |bound: f64| with.peak_to_mean.iter().find(|(_, peak)| *peak <= bound).map(|(seconds, _)| *seconds);
    println!("load of the busiest pod at most {EVEN} times the mean after {:?} s", reached(EVEN));
    record("balancing", &json!({ "without": without, "with": with }))?;

    let stays = without.peak_to_mean.iter().all(|(_, peak)| *peak > EVEN_ENOUGH);
    ensure!(stays, "without evenkeel the load became even: the problem that this test shows is gone");
    ensure!(reached(EVEN_ENOUGH).is_some(), "the load of the busiest pod stays above {EVEN_ENOUGH} times the mean");
    ensure!(
        with.rest.connections <= STRAY,
        "{} connections were opened in {REST:?} without a scale event",
        with.rest.connections
    );
    Ok(())
}

fn print(what: &str, outcome: &Outcome) {
    let Outcome { peak_to_mean, reconnects, rest } = outcome;
    println!("{what}: load of the busiest pod / mean, by seconds since the last pod was ready: {peak_to_mean:.2?}");
    println!("  {reconnects:.2} reconnects per client, then at rest: {rest}");
}

/// Doubles the pods, observes until their load is even or `within` is over, and then observes reconnects at rest.
async fn scale_out(namespace: TestNamespace, web: Web, within: Duration, balanced: bool) -> anyhow::Result<Outcome> {
    let address = namespace.deploy(&web).await?;
    let fleet = Fleet::start(address, LOAD);
    let before = fleet.observe(WINDOW).await;
    ensure!(before.failures() == 0, "requests failed before the scale-out: {before}");
    namespace.scale("web", u32::try_from(PODS)?).await?;

    let ready = Instant::now();
    let mut peak_to_mean = Vec::new();
    let mut moved = 0;
    while ready.elapsed() < within {
        let figures = fleet.observe(WINDOW).await;
        moved += figures.connections;
        let shares = figures.by_pod.keys().map(|pod| figures.share(pod, PODS));
        let peak = shares.fold(0.0, f64::max);
        peak_to_mean.push((ready.elapsed().as_secs_f64(), peak));
        if peak <= EVEN {
            break;
        }
    }
    moved += fleet.observe(WIDENED.saturating_sub(ready.elapsed())).await.connections;
    let rest = fleet.observe(REST).await;
    let status = balanced.then(|| status(&namespace)).transpose()?;
    let all = fleet.finish().await;
    ensure!(all.failures() == 0, "requests failed although no pod was removed: {all}");
    let reconnects = f64::from(u32::try_from(moved)?) / f64::from(LOAD.clients);
    if let Some(status) = status {
        shows_every_share(&status)?;
    }
    Ok(Outcome { peak_to_mean, reconnects, rest })
}

/// Returns the report of `evenkeel status` about the workload, under load.
fn status(namespace: &TestNamespace) -> anyhow::Result<Value> {
    let arguments =
        ["status", "deployment/web", "--namespace", namespace.name(), "--output", "json", "--interval", "2"];
    Ok(serde_json::from_str(&program::evenkeel(&arguments)?)?)
}

/// Checks that the report has the balancer's data: the loads of all pods, and the scale event.
fn shows_every_share(status: &Value) -> anyhow::Result<()> {
    let web = &status["workloads"][0];
    println!("evenkeel status: {web}");
    ensure!(web["source"] == "balancer" && web["balancing"]["state"] == "in_force", "{status}");
    let pods = web["pods"].as_array().context("it has pods")?;
    let shares: Vec<f64> = pods.iter().filter_map(|pod| pod["share"].as_f64()).collect();
    ensure!(
        shares.len() == PODS && pods.len() == PODS,
        "`evenkeel status` shows the load of {} pods, expected {PODS}: {status}",
        shares.len()
    );
    let mean = shares.iter().sum::<f64>() / f64::from(u32::try_from(PODS)?);
    ensure!((mean - 1.0).abs() < 0.01, "the shares of `evenkeel status` have the mean {mean}, expected 1: {status}");
    let event = &web["lastScaleEvent"];
    ensure!(event["after"] == PODS && event["level"]["afterSeconds"].is_u64(), "{status}");
    Ok(())
}

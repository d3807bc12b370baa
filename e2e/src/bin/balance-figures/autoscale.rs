//! 40 clients whose requests each take 6 ms of CPU time, and an autoscaler that begins with one pod.

use std::time::Duration;

use e2e::{Fleet, Load, TestNamespace, Web, in_namespace};
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, MetricValueStatus};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::mode::Mode;
use crate::phase::{Phase, Pods};
use crate::pods::{self, Readiness};
use crate::simulated::{Simulated, events, simulate};

const LOAD: Load = Load { clients: 40, interval: Duration::from_millis(800) };
const CLIENTS: usize = LOAD.clients as usize;
/// Requests per second of a client.
const RATE: f64 = 1.25;
/// CPU time of a request.
const COST: &str = "6ms";
/// The CPU request of a pod, on which the autoscaler's target is based, and its limit.
const REQUEST: &str = "100m";
const LIMIT: &str = "150m";
/// The autoscaler's target, in millicores of a pod.
const TARGET: f64 = 60.0;
/// The tolerance of the autoscaler above its target.
const TOLERANCE: f64 = 1.1;
/// The requests per second that the limit allows a pod.
const CAPACITY: f64 = 25.0;
/// The time without a change after which the autoscaler is at rest: it evaluates every 5 s and scales up without delay.
const REST: Duration = Duration::from_secs(75);
const AT_MOST: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(500);

/// The figures of the autoscaler and of the clients in one mode.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Autoscaled {
    pub(crate) mode: String,
    pub(crate) pods: usize,
    /// The CPU of all app containers at the end, in millicores, as the autoscaler sees it.
    pub(crate) cpu: f64,
    /// The smallest number of pods that meets the autoscaler's target.
    pub(crate) right: f64,
    /// From the first scale event on; seconds count from the last one.
    pub(crate) phase: Phase,
    pub(crate) simulated: Simulated,
    pub(crate) failed: u64,
    /// The first failures in full.
    #[serde(default)]
    pub(crate) failures: Vec<String>,
}

/// Runs the modes one after another: each needs a good part of a core.
pub(crate) async fn run(modes: &[Mode]) -> anyhow::Result<Vec<Autoscaled>> {
    let mut all = Vec::new();
    for &mode in modes.iter().rev() {
        let autoscaled = in_namespace("autoscaling", move |namespace| autoscale(namespace, mode)).await?;
        let Autoscaled { pods, cpu, right, phase, .. } = &autoscaled;
        println!("{mode}: {pods} pods, {cpu:.0}m of CPU, {right} are right; {phase}");
        for failure in &autoscaled.failures {
            println!("{mode}: {failure}");
        }
        all.insert(0, autoscaled);
    }
    Ok(all)
}

async fn autoscale(namespace: TestNamespace, mode: Mode) -> anyhow::Result<Autoscaled> {
    let web = Web::sample()?.replicas(1).args(&["--burn", COST]).cpu(REQUEST, LIMIT);
    let address = namespace.deploy(&mode.annotate(web)).await?;
    let from = Instant::now();
    let fleet = Fleet::start(address, LOAD);
    namespace.autoscale(&Web::autoscaler()?).await?;
    let ready = until_at_rest(&namespace).await?;
    let names = namespace.pod_names().await?;
    let cpu = cpu(&namespace).await?;
    let watched = ready.last().map_or(REST, |(last, _)| last.elapsed());
    let pods = Pods { from, ready, names, watched };
    let phase = Phase::of(format!("1 → {} pods", pods.names.len()), &fleet.events(), CLIENTS, &pods);
    let all = fleet.finish().await;
    let simulated = simulate(&scenario(&phase), mode)?;
    let right = (cpu / (TARGET * TOLERANCE)).ceil();
    let (mode, pods, failed) = (mode.to_string(), pods.names.len(), all.failures());
    Ok(Autoscaled { mode, pods, cpu, right, phase, simulated, failed, failures: all.examples })
}

/// Waits until the autoscaler has changed nothing for a while and has metrics of the pods: without metrics it changes
/// nothing.
async fn until_at_rest(namespace: &TestNamespace) -> anyhow::Result<Readiness> {
    let started = Instant::now();
    let mut ready = Readiness::new();
    while started.elapsed() < AT_MOST {
        let deployment = namespace.deployment("web").await?;
        pods::note(&mut ready, &deployment);
        if ready.last().is_some_and(|(last, _)| last.elapsed() >= REST) && cpu(namespace).await? > 0.0 {
            break;
        }
        sleep(POLL).await;
    }
    Ok(ready)
}

/// Returns the CPU use of all app containers that the autoscaler last saw, in millicores.
async fn cpu(namespace: &TestNamespace) -> anyhow::Result<f64> {
    let autoscaler = namespace.api::<HorizontalPodAutoscaler>().get("web").await?;
    let status = autoscaler.status.unwrap_or_default();
    let metrics = status.current_metrics.unwrap_or_default();
    let of_a_pod = metrics.first().and_then(|metric| Some(millicores(&metric.container_resource.as_ref()?.current)));
    Ok(of_a_pod.flatten().unwrap_or_default() * f64::from(status.current_replicas.unwrap_or(0)))
}

fn millicores(value: &MetricValueStatus) -> Option<f64> {
    let text = &value.average_value.as_ref()?.0;
    match text.strip_suffix('m') {
        Some(millicores) => millicores.parse().ok(),
        None => Some(text.parse::<f64>().ok()? * 1000.0),
    }
}

/// Returns the arguments with which `evenkeel simulate` has the same clients and pods, which become ready as they did.
fn scenario(phase: &Phase) -> Vec<String> {
    let numbers = [
        ("--clients", CLIENTS.to_string()),
        ("--rate", RATE.to_string()),
        ("--pods", "1".to_owned()),
        ("--capacity", CAPACITY.to_string()),
    ];
    let mut arguments: Vec<String> = numbers.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
    let events = events(&phase.ready);
    arguments.extend(if events.is_empty() { ["--scale-to", "1"].map(str::to_owned).to_vec() } else { events });
    arguments
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

    use super::*;

    #[test]
    fn quantities_of_the_metrics_api_are_read_as_millicores() {
        let value = |text: &str| {
            let average_value = Some(Quantity(text.to_owned()));
            millicores(&MetricValueStatus { average_value, ..MetricValueStatus::default() })
        };
        assert_eq!((value("62m"), value("1"), value("?")), (Some(62.0), Some(1000.0), None));
        assert_eq!(millicores(&MetricValueStatus::default()), None);
    }
}

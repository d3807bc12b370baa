//! Reads the pods of workloads, and their proxies' metrics twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{Api, ListParams};
use serde::Deserialize as _;
use tokio::time::{Instant, sleep};

use super::super::live::{LivePod, Reading};
use super::super::scope::selects;
use super::super::workload::Workload;
use super::Reader;
use crate::pod_metrics::{self, Metrics, MetricsError};

type ByPod = BTreeMap<String, Metrics>;

/// Returns the pods of each workload that has the proxy, in the order of the workloads.
///
/// # Errors
/// The cluster cannot be reached.
pub(crate) async fn pods(
    reader: &mut Reader,
    workloads: &[Workload],
    interval: Duration,
) -> anyhow::Result<Vec<Vec<LivePod>>> {
    let namespaces: BTreeSet<&str> =
        workloads.iter().filter(|it| it.has_proxy).map(|it| it.name.namespace.as_str()).collect();
    let mut by_namespace: BTreeMap<&str, Vec<Pod>> = BTreeMap::new();
    for namespace in namespaces {
        let read = Api::<Pod>::namespaced(reader.client.clone(), namespace).list(&ListParams::default()).await;
        let read = reader.noted(read, &format!("pods in the namespace {namespace}"))?;
        let mut pods = read.map(|list| list.items).unwrap_or_default();
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none() && !has_ended(pod));
        by_namespace.insert(namespace, pods);
    }
    let of = |workload: &Workload| -> Vec<LivePod> {
        let pods = by_namespace.get(workload.name.namespace.as_str()).into_iter().flatten();
        pods.filter(|pod| is_of(pod, workload)).map(LivePod::of).collect()
    };
    let mut found: Vec<Vec<LivePod>> = workloads.iter().map(of).collect();
    measure(reader, workloads, &mut found, interval).await?;
    Ok(found)
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn is_of(pod: &Pod, workload: &Workload) -> bool {
    let selector = workload.object.pointer("/spec/selector").map(LabelSelector::deserialize);
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    matches!(selector, Some(Ok(selector)) if workload.has_proxy && selects(&selector, &labels))
}

async fn measure(
    reader: &mut Reader,
    workloads: &[Workload],
    found: &mut [Vec<LivePod>],
    interval: Duration,
) -> anyhow::Result<()> {
    let is_up = |pod: &&LivePod| pod.proxy.as_ref().is_some_and(|proxy| proxy.ready);
    let wanted: Vec<(String, Vec<String>)> = workloads
        .iter()
        .zip(found.iter())
        .map(|(workload, pods)| {
            let names = pods.iter().filter(is_up).map(|pod| pod.name.clone()).collect();
            (workload.name.namespace.clone(), names)
        })
        .collect();
    if wanted.iter().all(|(_, names)| names.is_empty()) {
        return Ok(());
    }
    let started = Instant::now();
    let before = read(reader, &wanted).await?;
    // Rates are wanted, not moments.
    sleep(interval).await;
    let told = reader.not_checked.len();
    let after = read(reader, &wanted).await?;
    // A pod that could not be read in both readings is reported once.
    reader.not_checked.truncate(told);
    let seconds = started.elapsed().as_secs_f64().max(1.0);
    for ((pods, before), after) in found.iter_mut().zip(before).zip(after) {
        for pod in pods {
            let (Some(before), Some(after)) = (before.get(&pod.name), after.get(&pod.name)) else { continue };
            let reading = Reading { before: before.clone(), after: after.clone(), seconds };
            if let Some(proxy) = pod.proxy.as_mut() {
                proxy.reading = Some(reading);
            }
        }
    }
    Ok(())
}

async fn read(reader: &mut Reader, wanted: &[(String, Vec<String>)]) -> anyhow::Result<Vec<ByPod>> {
    let mut all = Vec::new();
    for (namespace, names) in wanted {
        let read = pod_metrics::read_all(&reader.client, namespace, names.iter().cloned()).await;
        let mut by_pod = ByPod::new();
        let mut forbidden = None;
        for (name, metrics) in read {
            match metrics {
                Ok(metrics) => _ = by_pod.insert(name, metrics),
                Err(MetricsError::Cluster(error)) => return Err(crate::cluster::said(error)),
                Err(error @ MetricsError::Forbidden(_)) => forbidden = Some(error),
                Err(error) => reader.not_checked.push(format!("the metrics of {name}: {error}")),
            }
        }
        reader.not_checked.extend(forbidden.map(|error| format!("metrics in the namespace {namespace}: {error}")));
        all.push(by_pod);
    }
    Ok(all)
}

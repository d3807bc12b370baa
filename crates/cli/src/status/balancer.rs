//! Reads `/workloads` from the leading replica of the balancer, through the API server.

use std::collections::BTreeMap;

use hyper::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::facts::Owner;
use crate::pod_metrics::TIMEOUT;

/// The labels that the chart gives the balancer's pods.
const REPLICAS: &str = "app.kubernetes.io/name=evenkeel,app.kubernetes.io/component=balancer";
/// The port of `/workloads`.
pub(crate) const PORT: u16 = 8081;

/// A workload in the balancer's response.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Known {
    pub(crate) workload: String,
    /// `instructed`, or why not.
    pub(crate) state: String,
    /// Those that take traffic, and those of them that report.
    #[serde(default)]
    pub(crate) settled_pods: usize,
    #[serde(default)]
    pub(crate) reporting_pods: usize,
    pub(crate) level: Option<bool>,
    pub(super) last_scale_event: Option<ScaleEvent>,
    pub(super) pods: Vec<KnownPod>,
}

/// A pod of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KnownPod {
    pub(super) name: String,
    pub(super) reporting: bool,
    pub(super) requests_per_second: f64,
    pub(super) connections: u64,
    pub(super) marked: u64,
    pub(super) retired: f64,
    pub(super) state: String,
}

/// A change of the pods that take traffic.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScaleEvent {
    pub(super) seconds_ago: u64,
    pub(super) before: u64,
    pub(super) after: u64,
    pub(super) peak_to_mean: Option<f64>,
    pub(super) retired: u64,
    pub(super) level: Option<Level>,
}

/// When load was level after it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Level {
    pub(super) after_seconds: u64,
    pub(super) peak_to_mean: f64,
}

#[derive(Deserialize)]
struct Answer {
    leads: bool,
    workloads: Vec<Known>,
}

/// What was found of the balancer.
#[derive(Debug)]
pub(crate) enum Balancer {
    /// The workloads of the leading replica.
    Leads(BTreeMap<Owner, Known>),
    /// Why there are no figures: no balancer runs, none leads, or it cannot be reached.
    Silent(String),
}

/// Returns the names of the balancer's replicas.
///
/// # Errors
/// The cluster does not answer, or the right is missing.
pub(crate) async fn replicas(client: &Client, namespace: &str) -> kube::Result<Vec<String>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let list = pods.list(&ListParams::default().labels(REPLICAS)).await?;
    // Those that are terminating need not answer any more.
    let staying = list.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(staying.filter_map(|pod| pod.metadata.name).collect())
}

/// Asks each replica, until one leads.
pub(crate) async fn ask(client: &Client, namespace: &str) -> Balancer {
    let replicas = match replicas(client, namespace).await {
        Ok(replicas) => replicas,
        Err(kube::Error::Api(status)) => {
            return Balancer::Silent(format!(
                "the right to list pods in namespace {namespace} is missing: {}",
                status.message
            ));
        }
        Err(error) => return Balancer::Silent(format!("the balancer was not found: {error}")),
    };
    let mut reason = format!("no balancer runs in namespace {namespace} (--evenkeel-namespace)");
    for replica in replicas {
        match read(client, namespace, &replica).await {
            Ok(Answer { leads: true, workloads }) => {
                return Balancer::Leads(
                    workloads.into_iter().filter_map(|known| Some((known.owner()?, known))).collect(),
                );
            }
            Ok(_) => "no replica of the balancer leads".clone_into(&mut reason),
            Err(said) => reason = said,
        }
    }
    Balancer::Silent(reason)
}

async fn read(client: &Client, namespace: &str, replica: &str) -> Result<Answer, String> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{replica}:{PORT}/proxy/workloads");
    let request = Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    let answer = timeout(TIMEOUT, client.request_text(request)).await;
    let late = |_| format!("the balancer's pod {replica} does not answer in {} s", TIMEOUT.as_secs());
    let text = answer.map_err(late)?.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("the right to get pods/proxy in namespace {namespace} is missing: {}", status.message)
        }
        error => format!("the balancer's pod {replica} does not answer: {error}"),
    })?;
    parse(&text).map_err(|error| format!("the balancer's pod {replica} is of another version: {error}"))
}

fn parse(text: &str) -> Result<Answer, serde_json::Error> {
    serde_json::from_str(text)
}

impl Known {
    fn owner(&self) -> Option<Owner> {
        let mut parts = self.workload.splitn(3, '/').map(str::to_owned);
        Some(Owner { namespace: parts.next()?, kind: parts.next()?, name: parts.next()? })
    }
}

#[cfg(test)]
pub(super) fn known(text: &str) -> BTreeMap<Owner, Known> {
    parse(text).unwrap().workloads.into_iter().map(|known| (known.owner().unwrap(), known)).collect()
}

//! One reading of everything: the edge of this command.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams};

use super::balancer::{self, Balancer, Known};
use super::facts::{Facts, Owner};
use crate::cluster::said;
use crate::pod_metrics::{self, Metrics, MetricsError};
use crate::reference::Reference;

/// How many pods are in a page of a list.
const PAGE: u32 = 500;

/// What is to be read.
pub(super) struct Scope {
    /// `None` for all namespaces.
    pub(super) namespace: Option<String>,
    /// Empty for all workloads.
    pub(super) workloads: Vec<Reference>,
    /// Whether loads come from the pods alone, without the balancer.
    pub(super) from_pods: bool,
}

/// What was so at one time.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) pods: Vec<Facts>,
    /// The balancer's figures for the workloads of these pods.
    pub(super) known: BTreeMap<Owner, Known>,
    /// The metrics of the other pods, by namespace and name; or why there are none.
    pub(super) metrics: BTreeMap<(String, String), Result<Metrics, String>>,
    /// Rights that are missing, and the like.
    pub(super) missing: Vec<String>,
}

impl Reading {
    /// Returns whether nothing was read from which rates could be computed.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.metrics.is_empty()
    }
}

/// Reads repeatedly.
pub(super) struct Reader {
    client: Client,
    scope: Scope,
    evenkeel: String,
}

impl Reader {
    /// Returns one that asks `client`; `evenkeel` is the namespace of the balancer.
    pub(super) fn new(client: Client, scope: Scope, evenkeel: String) -> Self {
        Self { client, scope, evenkeel }
    }

    /// Reads everything once.
    ///
    /// # Errors
    /// Pods cannot be listed, or the cluster cannot be reached.
    pub(super) async fn read(&self) -> anyhow::Result<Reading> {
        let mut reading = Reading { pods: self.list().await?, ..Reading::default() };
        if !self.scope.from_pods && reading.pods.iter().any(|pod| pod.is_balanced) {
            self.ask_balancer(&mut reading).await;
        }
        self.ask_pods(&mut reading).await?;
        Ok(reading)
    }

    async fn list(&self) -> anyhow::Result<Vec<Facts>> {
        let pods: Api<Pod> = match &self.scope.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let mut found = Vec::new();
        let mut parameters = ListParams::default().limit(PAGE);
        loop {
            let page = pods.list(&parameters).await.map_err(|error| match error {
                kube::Error::Api(status) if status.code == 403 => {
                    anyhow::anyhow!("the right to list pods is missing: {}", status.message)
                }
                error => said(error),
            })?;
            found.extend(page.items.iter().filter_map(Facts::of));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => break,
            }
        }
        Ok(in_scope(found, &self.scope.workloads))
    }

    async fn ask_balancer(&self, reading: &mut Reading) {
        match balancer::ask(&self.client, &self.evenkeel).await {
            Balancer::Leads(known) => {
                let is_here = |owner: &Owner| reading.pods.iter().any(|pod| pod.owner == *owner);
                reading.known = known.into_iter().filter(|(owner, _)| is_here(owner)).collect();
            }
            Balancer::Silent(reason) => {
                reading.missing.push(format!("{reason}; figures come from the pods, without scale events"));
            }
        }
    }

    /// Reads the metrics of pods for which the balancer has no figures.
    async fn ask_pods(&self, reading: &mut Reading) -> anyhow::Result<()> {
        let mut to_ask: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pod in &reading.pods {
            if pod.has_proxy && !reading.known.contains_key(&pod.owner) {
                to_ask.entry(pod.owner.namespace.clone()).or_default().push(pod.name.clone());
            }
        }
        let mut forbidden = BTreeSet::new();
        for (namespace, pods) in to_ask {
            for (pod, metrics) in pod_metrics::read_all(&self.client, &namespace, pods).await {
                let metrics = match metrics {
                    Err(MetricsError::Cluster(error)) => return Err(said(error)),
                    Err(MetricsError::Forbidden(_)) => {
                        forbidden.insert(namespace.clone());
                        Err("its metrics may not be read".to_owned())
                    }
                    metrics => metrics.map_err(|error| error.to_string()),
                };
                reading.metrics.insert((namespace.clone(), pod), metrics);
            }
        }
        let missing = |namespace| format!("the right to get pods/proxy in namespace {namespace} is missing");
        reading.missing.extend(forbidden.into_iter().map(missing));
        Ok(())
    }
}

/// Returns the pods of these workloads; where none is named, those of all workloads of which a pod has the proxy.
fn in_scope(pods: Vec<Facts>, workloads: &[Reference]) -> Vec<Facts> {
    let is_named =
        |owner: &Owner| workloads.iter().any(|named| named.kind.name() == owner.kind && named.name == owner.name);
    let with_proxy: BTreeSet<Owner> = pods.iter().filter(|pod| pod.has_proxy).map(|pod| pod.owner.clone()).collect();
    let is_in = |pod: &Facts| if workloads.is_empty() { with_proxy.contains(&pod.owner) } else { is_named(&pod.owner) };
    pods.into_iter().filter(is_in).collect()
}

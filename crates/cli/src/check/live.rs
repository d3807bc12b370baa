//! The rules that need running pods: what they are, and what their proxies count.

mod balance;
mod errors;
mod events;
mod pods;
mod sockets;
mod traffic;

use inject::PROXY_CONTAINER;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::finding::Finding;
use super::workload::Workload;
use crate::pod_metrics::Metrics;

pub(crate) use events::events;

/// A pod of a workload.
#[derive(Clone, Debug, Default)]
pub(crate) struct LivePod {
    pub(crate) name: String,
    /// Whether all of it is ready.
    pub(crate) ready: bool,
    /// The proxy's container, if it has one.
    pub(crate) proxy: Option<LiveProxy>,
}

/// The proxy in a pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct LiveProxy {
    pub(crate) ready: bool,
    pub(crate) restarts: i32,
    /// Why it was restarted last, as the kubelet says.
    pub(crate) last_end: Option<String>,
    /// Its metrics at two moments; `None` if they could not be read.
    pub(crate) reading: Option<Reading>,
}

/// What a proxy has counted, read twice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) before: Metrics,
    pub(crate) after: Metrics,
    /// The time between, in seconds; never 0.
    pub(crate) seconds: f64,
}

impl LivePod {
    /// Reads what there is to know of a pod.
    pub(crate) fn of(pod: &Pod) -> Self {
        let status = pod.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let declared = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
        let has_proxy = declared.into_iter().any(|container| container.name == PROXY_CONTAINER);
        let mut statuses = status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
        let of_proxy = statuses.find(|status| status.name == PROXY_CONTAINER);
        Self {
            name: pod.metadata.name.clone().unwrap_or_default(),
            ready: conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"),
            proxy: has_proxy.then(|| of_proxy.map(LiveProxy::of).unwrap_or_default()),
        }
    }

    fn reading(&self) -> Option<&Reading> {
        self.proxy.as_ref()?.reading.as_ref()
    }
}

impl LiveProxy {
    fn of(status: &ContainerStatus) -> Self {
        let ended = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        Self {
            ready: status.ready,
            restarts: status.restart_count,
            last_end: ended.and_then(|ended| ended.reason.clone()),
            reading: None,
        }
    }
}

impl Reading {
    /// Returns the increase of a counter between both readings. The counters of a proxy that was restarted began at
    /// zero.
    fn grown(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let (before, after) = (self.before.sum(name, labels), self.after.sum(name, labels));
        if after < before { after } else { after - before }
    }

    /// Returns the same of what clients do, without probes and scrapes.
    fn grown_by_clients(&self, name: &str) -> f64 {
        let (before, after) = (of_clients(&self.before, name, &[]), of_clients(&self.after, name, &[]));
        if after < before { after } else { after - before }
    }
}

/// Returns what clients have had counted. Proxies of earlier versions do not tell probes apart: all of it.
fn of_clients(metrics: &Metrics, name: &str, labels: &[(&str, &str)]) -> f64 {
    if metrics.by_label(name, "source").is_empty() {
        return metrics.sum(name, labels);
    }
    metrics.sum(name, &[labels, &[("source", "client")]].concat())
}

/// What is found about the pods of a workload.
pub(crate) struct Found {
    pub(crate) findings: Vec<Finding>,
    pub(crate) peak_to_mean: Option<f64>,
}

/// Applies every rule about pods that run; `installed` is the version of the installation, if it is known.
pub(crate) fn live(workload: &Workload, pods: &[LivePod], installed: Option<&str>) -> Found {
    if !workload.has_proxy || pods.is_empty() {
        return Found { findings: Vec::new(), peak_to_mean: None };
    }
    let peak_to_mean = traffic::peak_to_mean(pods);
    let mut findings = pods::pods(workload, pods, installed);
    findings.extend(errors::errors(workload, pods));
    findings.extend(sockets::sockets(pods));
    findings.extend(traffic::traffic(workload, pods, peak_to_mean));
    findings.extend(balance::balance(pods));
    Found { findings, peak_to_mean }
}

/// Returns what a number is as people read it: without decimals where it has none that matter.
fn rounded(number: f64) -> String {
    if number >= 10.0 || number.fract() < 0.05 { format!("{number:.0}") } else { format!("{number:.1}") }
}

/// Returns names, not too many of them.
fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 5;
    let names: Vec<&str> = names.into_iter().collect();
    let more = names.len().saturating_sub(MOST);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

#[cfg(test)]
mod tests_support {
    use settings::Annotation;

    use super::*;
    use crate::check::rules;

    /// Returns a workload that is injected, as it is stored.
    pub(super) fn workload() -> Workload {
        rules::injected_workload(&[])
    }

    pub(super) fn with(annotation: Annotation, value: &str) -> Workload {
        rules::injected_workload(&[(annotation, value)])
    }

    /// Returns a ready pod whose proxy counts from one text to the other in 10 s.
    pub(super) fn pod(name: &str, before: &str, after: &str) -> LivePod {
        let metrics = |text: &str| Metrics::parse(text).unwrap();
        let reading = Reading { before: metrics(before), after: metrics(after), seconds: 10.0 };
        let proxy = LiveProxy { ready: true, reading: Some(reading), ..LiveProxy::default() };
        LivePod { name: name.to_owned(), ready: true, proxy: Some(proxy) }
    }

    pub(super) fn ids(findings: &[Finding]) -> Vec<crate::check::finding::FindingId> {
        let bad = findings.iter().filter(|it| it.severity > crate::check::finding::Severity::Good);
        bad.map(|finding| finding.id).collect()
    }
}

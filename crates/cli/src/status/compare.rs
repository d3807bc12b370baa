//! Two readings in, the status out. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::balancer::{Known, KnownPod, ScaleEvent};
use super::facts::{Facts, Owner};
use super::reading::Reading;
use crate::pod_metrics::Metrics;

/// Without a balancer's own verdict load counts as level up to here: where connections land is random.
const LEVEL: f64 = 1.5;
/// Below this sum of requests/s nothing is level or uneven.
const NO_LOAD: f64 = 0.05;

/// What is printed.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) workloads: Vec<WorkloadStatus>,
    /// Rights that are missing, and the like.
    pub(super) missing: Vec<String>,
}

/// A workload.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkloadStatus {
    pub(super) namespace: String,
    pub(super) kind: String,
    pub(super) name: String,
    /// Where loads come from.
    pub(super) source: Source,
    /// The time between the two readings.
    pub(super) seconds: f64,
    pub(super) requests_per_second: Option<f64>,
    /// Of the pods with figures.
    pub(super) mean: Option<f64>,
    pub(super) peak_to_mean: Option<f64>,
    pub(super) level: Option<bool>,
    pub(super) balancing: Balancing,
    pub(super) last_scale_event: Option<ScaleEvent>,
    pub(super) pods: Vec<PodStatus>,
}

/// Where the loads of a workload come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Source {
    /// The estimates that its proxies report to the balancer.
    Balancer,
    /// What its proxies counted between two readings.
    Pods,
}

/// Whether balancing is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Balancing {
    /// `off`, `in_force`, or the state of a workload or proxy that says why not.
    pub(super) state: String,
    /// Pods in which it is in force.
    pub(super) pods_in_force: usize,
}

/// A pod.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodStatus {
    pub(super) name: String,
    pub(super) ready: usize,
    pub(super) containers: usize,
    pub(super) proxy: bool,
    pub(super) requests_per_second: Option<f64>,
    /// Its requests per second divided by the mean of the workload.
    pub(super) share: Option<f64>,
    pub(super) connections: Option<u64>,
    pub(super) marked: Option<u64>,
    /// By reason.
    pub(super) retired_per_second: BTreeMap<String, f64>,
    /// The state of balancing in its proxy.
    pub(super) balancing: Option<String>,
    pub(super) version: Option<String>,
    pub(super) note: Option<String>,
}

impl Status {
    /// Returns whether any figure is known.
    pub(super) fn has_figures(&self) -> bool {
        self.workloads.iter().flat_map(|workload| &workload.pods).any(|pod| pod.requests_per_second.is_some())
    }
}

/// Returns what happened between two readings that are `elapsed` apart.
pub(super) fn compare(before: &Reading, after: &Reading, elapsed: Duration) -> Status {
    let mut by_owner: BTreeMap<&Owner, Vec<&Facts>> = BTreeMap::new();
    for pod in &after.pods {
        by_owner.entry(&pod.owner).or_default().push(pod);
    }
    let readings = Readings { before, after, seconds: elapsed.as_secs_f64() };
    let workloads = by_owner.into_iter().map(|(owner, pods)| readings.workload(owner, &pods)).collect();
    Status { workloads, missing: after.missing.clone() }
}

struct Readings<'a> {
    before: &'a Reading,
    after: &'a Reading,
    seconds: f64,
}

impl Readings<'_> {
    fn workload(&self, owner: &Owner, facts: &[&Facts]) -> WorkloadStatus {
        let known = self.after.known.get(owner);
        let mut pods: Vec<PodStatus> = facts.iter().map(|facts| self.pod(facts, known)).collect();
        pods.sort_by(|one, other| one.name.cmp(&other.name));
        let loads: Vec<f64> = pods.iter().filter_map(|pod| pod.requests_per_second).collect();
        let sum: f64 = loads.iter().sum();
        let mean = (!loads.is_empty()).then(|| sum / number(loads.len()));
        let loaded = mean.filter(|mean| *mean > 0.0 && sum >= NO_LOAD);
        for pod in &mut pods {
            pod.share = pod.requests_per_second.zip(loaded).map(|(load, mean)| load / mean);
        }
        let peak_to_mean = pods.iter().filter_map(|pod| pod.share).reduce(f64::max);
        WorkloadStatus {
            namespace: owner.namespace.clone(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            source: if known.is_some() { Source::Balancer } else { Source::Pods },
            seconds: self.seconds,
            requests_per_second: mean.map(|_| sum),
            mean,
            peak_to_mean,
            level: match known {
                Some(known) => known.level,
                None => peak_to_mean.map(|peak| peak <= LEVEL),
            },
            balancing: balancing(facts, &pods, known),
            last_scale_event: known.and_then(|known| known.last_scale_event.clone()),
            pods,
        }
    }

    fn pod(&self, facts: &Facts, known: Option<&Known>) -> PodStatus {
        let mut status = PodStatus::without_figures(facts);
        if !facts.has_proxy {
            return status;
        }
        if let Some(known) = known {
            let is_it = |pod: &&KnownPod| pod.name == facts.name;
            let earlier = self.before.known.get(&facts.owner).and_then(|known| known.pods.iter().find(is_it));
            match known.pods.iter().find(is_it) {
                Some(pod) => self.reported(&mut status, earlier, pod),
                None => status.remark("has not reported to the balancer"),
            }
            return status;
        }
        let key = (facts.owner.namespace.clone(), facts.name.clone());
        match (self.before.metrics.get(&key), self.after.metrics.get(&key)) {
            (_, Some(Err(error))) => status.remark(error),
            (Some(Ok(before)), Some(Ok(after))) => self.counted(&mut status, Some(before), after),
            (_, Some(Ok(after))) => self.counted(&mut status, None, after),
            (_, None) => {}
        }
        status
    }

    fn reported(&self, status: &mut PodStatus, before: Option<&KnownPod>, pod: &KnownPod) {
        if pod.reporting {
            status.requests_per_second = Some(pod.requests_per_second);
            status.connections = Some(pod.connections);
            status.marked = Some(pod.marked);
        } else {
            status.remark("does not report to the balancer");
        }
        status.balancing = Some(pod.state.clone());
        if let Some(before) = before {
            self.retired(status, "balance", before.retired, pod.retired);
        }
    }

    fn counted(&self, status: &mut PodStatus, before: Option<&Metrics>, after: &Metrics) {
        status.connections = Some(whole(after.sum("evenkeel_proxy_connections_open", &[])));
        status.marked = Some(whole(after.sum("evenkeel_proxy_balance_connections_marked", &[])));
        status.balancing = after.current("evenkeel_proxy_balance_state", "state").map(str::to_owned);
        status.version = after.current("evenkeel_proxy_build_info", "version").map(str::to_owned);
        let Some(before) = before else {
            status.remark("new: no rate yet");
            return;
        };
        let started = |metrics: &Metrics| metrics.sum("process_start_time_seconds", &[]);
        if started(after) > started(before) {
            status.remark("the proxy restarted: no rate yet");
            return;
        }
        let requests = |metrics: &Metrics| metrics.sum("evenkeel_proxy_requests_total", &[("source", "client")]);
        status.requests_per_second = Some(self.rate(requests(before), requests(after)));
        let retired = "evenkeel_proxy_connections_retired_total";
        let earlier = before.by_label(retired, "reason");
        for (reason, count) in after.by_label(retired, "reason") {
            self.retired(status, reason, earlier.get(reason).copied().unwrap_or_default(), count);
        }
    }

    fn retired(&self, status: &mut PodStatus, reason: &str, before: f64, after: f64) {
        let rate = self.rate(before, after);
        if rate > 0.0 {
            status.retired_per_second.insert(reason.to_owned(), rate);
        }
    }

    fn rate(&self, before: f64, after: f64) -> f64 {
        if self.seconds > 0.0 { ((after - before) / self.seconds).max(0.0) } else { 0.0 }
    }
}

impl PodStatus {
    fn without_figures(facts: &Facts) -> Self {
        let mut status = Self {
            name: facts.name.clone(),
            ready: facts.ready.0,
            containers: facts.ready.1,
            proxy: facts.has_proxy,
            requests_per_second: None,
            share: None,
            connections: None,
            marked: None,
            retired_per_second: BTreeMap::new(),
            balancing: None,
            version: None,
            note: None,
        };
        if !facts.has_proxy {
            status.remark("no proxy");
        }
        if facts.is_terminating {
            status.remark("terminating");
        }
        status
    }

    fn remark(&mut self, text: &str) {
        self.note = Some(match self.note.take() {
            Some(before) => format!("{before}, {text}"),
            None => text.to_owned(),
        });
    }
}

/// Returns whether balancing is in force, and why not: by the balancer, or by what most of the proxies say.
fn balancing(facts: &[&Facts], pods: &[PodStatus], known: Option<&Known>) -> Balancing {
    let in_force = |pod: &&PodStatus| pod.balancing.as_deref() == Some("in_force");
    let pods_in_force = pods.iter().filter(in_force).count();
    let others = || pods.iter().filter_map(|pod| pod.balancing.clone()).find(|state| state != "in_force");
    let state = match known {
        _ if !facts.iter().any(|pod| pod.is_balanced) => "off".to_owned(),
        Some(known) if known.state != "instructed" => known.state.clone(),
        _ if pods_in_force > 0 => "in_force".to_owned(),
        _ => others().unwrap_or_else(|| "unknown".to_owned()),
    };
    Balancing { state, pods_in_force }
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a gauge of connections is a count")]
fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

#[cfg(test)]
mod tests;

//! Prometheus metrics of the balancer. None has a workload in its labels: the proxies' own metrics cover each workload.

use std::fmt;
use std::sync::atomic::AtomicU64;

use balancing::Refusal;
use daemon::ScrapeResponse;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::planning::Withheld;
use crate::proxy_client::ReportError;

/// The buckets of the delay, in seconds: rounds begin every 50 ms, and an alert fires at a delay of one second.
const LATENESS: [f64; 8] = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0];
/// The state of a workload that gets instructions.
const INSTRUCTED: &str = "instructed";

/// The metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    leader: Gauge,
    pods: Family<PodLabels, Gauge>,
    workloads: Family<StateLabels, Gauge>,
    reports: Family<ResultLabels, Counter>,
    instructions: Counter,
    refused: Family<ReasonLabels, Counter>,
    lateness: Histogram,
    watch_failures: Family<ResourceLabels, Counter>,
    lease_failures: Counter,
    last_contact: Gauge<f64, AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PodLabels {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabels {
    resource: &'static str,
}

impl Metrics {
    /// Returns the metrics, all at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("evenkeel_balancer");
        let metrics = Self {
            leader: Gauge::default(),
            pods: Family::default(),
            workloads: Family::default(),
            reports: Family::default(),
            instructions: Counter::default(),
            refused: Family::default(),
            lateness: Histogram::new(LATENESS),
            watch_failures: Family::default(),
            lease_failures: Counter::default(),
            last_contact: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("leader", "Whether this replica leads: 1 or 0", metrics.leader.clone());
        registry.register(
            "pods",
            "Pods with the balancing label that the leader knows, by whether they have reported",
            metrics.pods.clone(),
        );
        registry.register(
            "workloads",
            "Workloads, by whether the leader sends them instructions or why it does not",
            metrics.workloads.clone(),
        );
        registry.register("reports", "Responses of proxies, by result", metrics.reports.clone());
        registry.register(
            "instructions",
            "Instructions signed: one per workload and interval",
            metrics.instructions.clone(),
        );
        registry.register(
            "refused_instructions",
            "Instructions that proxies refused, by reason",
            metrics.refused.clone(),
        );
        registry.register_with_unit(
            "lateness",
            "Delay of instructions to workloads that are uneven or have changed",
            Unit::Seconds,
            metrics.lateness.clone(),
        );
        registry.register("watch_failures", "Watches of the API server that failed", metrics.watch_failures.clone());
        registry.register(
            "lease_failures",
            "Reads and writes of the Lease that failed",
            metrics.lease_failures.clone(),
        );
        registry.register_with_unit(
            "lease_contact_timestamp",
            "When the Lease was read or written last, in Unix time",
            Unit::Seconds,
            metrics.last_contact.clone(),
        );
        metrics.show_zeros();
        Self { registry, ..metrics }
    }

    fn show_zeros(&self) {
        self.pods(0, 0);
        self.workloads(std::iter::empty());
        for result in ReportError::LABELS {
            drop(self.reports.get_or_create(&ResultLabels { result }));
        }
        for reason in Refusal::ALL {
            drop(self.refused.get_or_create(&ReasonLabels { reason: reason.label() }));
        }
        for resource in ["pods", "endpointslices"] {
            drop(self.watch_failures.get_or_create(&ResourceLabels { resource }));
        }
    }

    /// Sets whether this replica leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Sets how many pods there are, and how many of them have not reported their workload.
    pub fn pods(&self, all: usize, unknown: usize) {
        for (state, count) in [("reporting", all - unknown), ("unknown", unknown)] {
            self.pods.get_or_create(&PodLabels { state }).set(number(count));
        }
    }

    /// Sets the number of workloads by state; `None` is a workload that gets instructions.
    pub fn workloads(&self, states: impl Iterator<Item = Option<Withheld>>) {
        let mut counts = vec![0; Withheld::ALL.len() + 1];
        for state in states {
            let place = state.and_then(|state| Withheld::ALL.iter().position(|known| *known == state));
            counts[place.map_or(0, |place| place + 1)] += 1;
        }
        let labels = std::iter::once(INSTRUCTED).chain(Withheld::ALL.iter().map(|state| state.label()));
        for (state, count) in labels.zip(counts) {
            self.workloads.get_or_create(&StateLabels { state }).set(count);
        }
    }

    /// Counts an answer.
    pub fn answered(&self, result: &'static str) {
        self.reports.get_or_create(&ResultLabels { result }).inc();
    }

    /// Counts an instruction.
    pub fn instructed(&self) {
        self.instructions.inc();
    }

    /// Counts an instruction that a proxy refused.
    pub fn refused(&self, refusal: Refusal) {
        self.refused.get_or_create(&ReasonLabels { reason: refusal.label() }).inc();
    }

    /// Observes the delay of a round, in seconds.
    pub fn late(&self, seconds: f64) {
        self.lateness.observe(seconds);
    }

    /// Counts a watch that failed.
    pub fn watch_failed(&self, resource: &'static str) {
        self.watch_failures.get_or_create(&ResourceLabels { resource }).inc();
    }

    /// Records whether the Lease could be read or written, at a time in seconds since the epoch.
    pub fn lease(&self, was_reached: bool, since_epoch: f64) {
        if was_reached {
            self.last_contact.set(since_epoch);
        } else {
            self.lease_failures.inc();
        }
    }

    /// Returns all metrics in the format that `accept`, the header `Accept` of a scrape, prefers.
    ///
    /// # Errors
    /// If formatting fails. Writing to memory does not fail.
    pub fn expose(&self, accept: Option<&str>) -> Result<ScrapeResponse, fmt::Error> {
        daemon::expose(&self.registry, accept)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

//! What people, the page, `evenkeel status` and the history see: every workload, and the pods of those that are asked for.

use std::sync::Arc;
use std::time::Duration;

use balancing::{BalanceState, Report};
use retirement::Tolerance;

use crate::planning::{Balancer, Group, Summary, Uid};

/// Of which workloads a view has the pods. To list all of a large cluster is work for the one task that owns the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodsOf {
    /// Of none.
    Nobody,
    /// Of this one.
    One(balancing::Workload),
    /// Of all.
    Everybody,
}

/// The workloads, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Whether this replica leads; one that does not knows no workload.
    pub leads: bool,
    /// Pods with the label of balancing that have not said to which workload they belong.
    pub unknown_pods: usize,
    /// The workloads whose pods have been asked at least once.
    pub workloads: Vec<WorkloadView>,
}

/// A workload.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadView {
    /// Its name.
    pub workload: balancing::Workload,
    /// What the last round found.
    pub summary: Summary,
    /// The connections that balancing has retired in its pods since this replica leads.
    pub retired: u64,
    /// Its pods, in the order of their uids; none unless they were asked for.
    pub pods: Vec<PodView>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq)]
pub struct PodView {
    /// Its uid.
    pub uid: Uid,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it has settled.
    pub is_settled: bool,
    /// Whether its report counts.
    pub is_reporting: bool,
    /// In requests per second.
    pub load: f64,
    /// Its client connections, marked ones included.
    pub connections: u32,
    /// Those of them that are marked.
    pub marked: u32,
    /// The connections that balancing has retired since the proxy started.
    pub retired: u64,
    /// Whether balancing is in force there.
    pub state: BalanceState,
}

impl View {
    /// Returns what the balancer knows at the time `now`.
    pub fn of(balancer: &Balancer, pods: &PodsOf, leads: bool, now: Duration) -> Self {
        let workloads = balancer.groups().filter_map(|group| WorkloadView::of(balancer, group, pods, now)).collect();
        let (_, unknown_pods) = balancer.count_pods();
        Self { leads, unknown_pods, workloads }
    }

    /// Returns a workload by its name.
    pub fn workload(&self, name: &balancing::Workload) -> Option<&WorkloadView> {
        let place = self.workloads.binary_search_by(|view| view.workload.cmp(name)).ok()?;
        self.workloads.get(place)
    }
}

impl WorkloadView {
    fn of(balancer: &Balancer, group: &Group, pods: &PodsOf, now: Duration) -> Option<Self> {
        let are_shown = match pods {
            PodsOf::Nobody => false,
            PodsOf::One(workload) => workload == group.workload(),
            PodsOf::Everybody => true,
        };
        let pods = if are_shown { PodView::all(balancer, group, now) } else { Vec::new() };
        let (workload, summary) = (group.workload().clone(), group.summary()?.clone());
        Some(Self { workload, summary, retired: group.retired(), pods })
    }

    /// Returns the load of the busiest pod divided by the mean; `None` without load.
    pub fn peak_to_mean(&self) -> Option<f64> {
        let Summary { mean, highest, .. } = self.summary;
        (mean > 0.0).then(|| highest / mean)
    }

    /// Returns whether no pod is above the tolerance of the last round; `None` without load.
    pub fn is_level(&self) -> Option<bool> {
        self.peak_to_mean().map(|peak| peak <= 1.0 + self.tolerance())
    }

    /// Returns how far a pod may be above the mean, as a fraction of it.
    pub fn tolerance(&self) -> f64 {
        Tolerance::after(self.summary.since_change, self.summary.connection_rate).fraction()
    }

    /// Returns the load of all pods that report, in requests per second.
    pub fn load(&self) -> f64 {
        self.summary.mean * f64::from(u32::try_from(self.summary.reporting).unwrap_or(u32::MAX))
    }
}

impl PodView {
    fn all(balancer: &Balancer, group: &Group, now: Duration) -> Vec<Self> {
        let pods = group.pods(now).filter_map(|(uid, report, is_reporting)| {
            let name = Arc::clone(&balancer.pod(uid)?.name);
            Some(Self::of(uid, name, report, [group.has_settled(uid), is_reporting]))
        });
        pods.collect()
    }

    fn of(uid: &Uid, name: Arc<str>, report: &Report, [is_settled, is_reporting]: [bool; 2]) -> Self {
        Self {
            uid: Arc::clone(uid),
            name,
            is_settled,
            is_reporting,
            load: report.load.get(),
            connections: report.connections,
            marked: report.marked,
            retired: report.retired,
            state: report.state,
        }
    }

    /// Returns its load against the mean of its workload, 1 being level; `None` without load.
    pub fn share(&self, mean: f64) -> Option<f64> {
        (mean > 0.0).then(|| self.load / mean)
    }
}

//! Snapshots of the balancer's state for the page, `/workloads` and the history: every workload, and the pods of
//! selected ones.

use std::sync::Arc;
use std::time::Duration;

use balancing::{BalanceState, Report};
use retirement::Tolerance;

use crate::planning::{Balancer, Group, Summary, Uid};

/// The workloads whose pods a view includes. All pods of a large cluster take time of the one task that owns the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodSelection {
    /// No pods.
    None,
    /// The pods of this workload.
    One(balancing::Workload),
    /// The pods of all workloads.
    All,
}

/// A snapshot of all workloads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Whether this replica leads. A replica that does not lead has no workloads.
    pub leads: bool,
    /// The number of pods with the label of balancing that have not reported their workload.
    pub unknown_pods: usize,
    /// The workloads that have had a round, in the order of their names.
    pub workloads: Vec<WorkloadView>,
}

/// A workload.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadView {
    /// Its name.
    pub workload: balancing::Workload,
    /// The result of its last round.
    pub summary: Summary,
    /// The connections that balancing has retired in its pods since this replica leads.
    pub retired: u64,
    /// Its pods, in the order of their uids; empty unless they were selected.
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
    /// Its load in requests per second.
    pub load: f64,
    /// Its client connections, marked ones included.
    pub connections: u32,
    /// Its marked connections, which are retired with their next response.
    pub marked: u32,
    /// The connections that balancing has retired since the proxy started.
    pub retired: u64,
    /// Whether balancing is in force in it.
    pub state: BalanceState,
}

impl View {
    /// Returns the state of `balancer` at the time `now`.
    pub fn of(balancer: &Balancer, pods: &PodSelection, leads: bool, now: Duration) -> Self {
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
    fn of(balancer: &Balancer, group: &Group, pods: &PodSelection, now: Duration) -> Option<Self> {
        let are_shown = match pods {
            PodSelection::None => false,
            PodSelection::One(workload) => workload == group.workload(),
            PodSelection::All => true,
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
        Tolerance::after(self.summary.change(), self.summary.connection_rate).fraction()
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

    /// Returns its load divided by `mean`, the mean load of its workload; `None` if that is 0.
    pub fn share(&self, mean: f64) -> Option<f64> {
        (mean > 0.0).then(|| self.load / mean)
    }
}

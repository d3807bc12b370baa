//! What people and `evenkeel status` see: every workload, as JSON.

use serde::Serialize;

use crate::planning::{Balancer, Summary};

/// The workloads, in the order of their names.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Whether this replica leads; one that does not knows no workload.
    leads: bool,
    workloads: Vec<WorkloadView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkloadView {
    workload: String,
    /// `instructed`, or why not.
    state: &'static str,
    settled_pods: usize,
    reporting_pods: usize,
    /// In requests per second, as all rates.
    mean: f64,
    highest: f64,
    connection_rate: f64,
    connections: u64,
    marked: u64,
    seconds_since_change: u64,
    interval_seconds: f64,
}

impl View {
    pub(crate) fn of(balancer: &Balancer, leads: bool) -> Self {
        let of_group = |(workload, summary): (_, Option<&Summary>)| Some(WorkloadView::of(workload, summary?));
        Self { leads, workloads: balancer.summaries().filter_map(of_group).collect() }
    }
}

impl WorkloadView {
    fn of(workload: &balancing::Workload, summary: &Summary) -> Self {
        Self {
            workload: workload.to_string(),
            state: summary.withheld.map_or("instructed", |withheld| withheld.label()),
            settled_pods: summary.settled,
            reporting_pods: summary.reporting,
            mean: summary.mean,
            highest: summary.highest,
            connection_rate: summary.connection_rate,
            connections: summary.connections,
            marked: summary.marked,
            seconds_since_change: summary.since_change.as_secs(),
            interval_seconds: summary.interval.get().as_secs_f64(),
        }
    }
}

//! The metrics of balancing.

use std::sync::Arc;

use balancing::{BalanceState, Refusal};
use prometheus_client::registry::Registry;
use retirement::Instruction;
use tokio::time::Instant;

use super::Balance;
use crate::metrics::{Counters, Gauge, StateGauge};

/// The counters of balancing.
#[derive(Debug)]
pub(super) struct Metrics {
    refusals: Counters<1>,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let help = "Instructions of a balancer that were refused, by reason";
        let refusals = Counters::register(registry, "balance_refusals", help, ["reason"]);
        Self { refusals: refusals.zeroed(Refusal::ALL.iter().map(|refusal| [refusal.label()])) }
    }

    /// Counts a refused instruction.
    pub(super) fn refused(&self, refusal: Refusal) {
        self.refusals.inc([refusal.label()]);
    }
}

/// Registers the gauges, which are read at each scrape.
pub(super) fn register_gauges(balance: &Arc<Balance>, registry: &mut Registry) {
    let read = Arc::clone(balance);
    let help = "Estimated load of the open connections, in requests per second";
    Gauge::register(registry, "balance_load", help, move || read.report(Instant::now(), None).load.get());
    let read = Arc::clone(balance);
    let help = "Mean load of the workload's pods according to the balancer, in requests per second; 0 while no instruction is in force";
    let mean = move || read.state().instruction.at(Instant::now()).in_force().map_or(0.0, Instruction::mean);
    Gauge::register(registry, "balance_mean_load", help, mean);
    let read = Arc::clone(balance);
    let help = "Open connections that are marked to be retired, or whose end was announced";
    let marked = move || u64::from(read.report(Instant::now(), None).marked);
    Gauge::register(registry, "balance_connections_marked", help, marked);
    let read = Arc::clone(balance);
    let states = BalanceState::ALL.iter().map(|state| state.label());
    let present = move || read.state_of(read.state().instruction.at(Instant::now())).label();
    StateGauge::register(
        registry,
        "balance_state",
        "Whether balancing is in force, and why not (1 = current)",
        "state",
        states,
        present,
    );
}

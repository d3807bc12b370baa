//! Balancing: the pod retires connections while its load is above the mean of a balancer's instruction.
//!
//! Instructions are signed ([`balancing`]). The crate [`retirement`] decides whether the pod is above the mean, and
//! which connections it retires. This module receives instructions, and once a second estimates the rates of all
//! connections and applies that rule.

mod instruction_state;
mod metrics;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use balancing::{
    BalanceState, InvalidKeys, InvalidWorkload, LastSequence, PublicKey, PublicKeys, Quantity, Receiver, Recent,
    Refusal, Report, Workload,
};
use prometheus_client::registry::Registry;
use retirement::Excess;
use settings::{BalanceSettings, NamespaceName};
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::instruction_state::InstructionState;
use self::metrics::Metrics;
use super::connections::Connections;
use super::drain::Drain;
use super::registry::Load;

/// The interval between two estimates.
const TICK: Duration = Duration::from_secs(1);
/// How long a computed load is reused, so that many requests for the report do not iterate over all connections each.
const FRESH: Duration = Duration::from_millis(100);

/// Settings of balancing that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BalanceError {
    /// One of the keys is not a public key.
    #[error("--balance-keys: {0}")]
    Keys(#[from] InvalidKeys),
    /// The workload or its namespace is not a valid name.
    #[error("--workload and --namespace: {0}")]
    Workload(#[from] InvalidWorkload),
}

/// Counters of other modules that the report shows.
pub(crate) struct Totals(Box<dyn Fn() -> [u64; 2] + Send + Sync>);

impl Totals {
    /// Returns counters that call `read`, which returns the number of requests and of connections retired by balancing.
    pub(crate) fn reading(read: impl Fn() -> [u64; 2] + Send + Sync + 'static) -> Self {
        Self(Box::new(read))
    }
}

impl fmt::Debug for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Totals")
    }
}

/// The balancing of this pod.
#[derive(Debug)]
pub(crate) struct Balance {
    receiver: Receiver,
    connections: Arc<Connections>,
    drain: Arc<Drain>,
    totals: Totals,
    metrics: Metrics,
    /// Whether an instruction is in force; relays read it.
    in_force: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: LastSequence,
    instruction: InstructionState,
    load: Load,
    /// The time of the last computed load.
    summed: Instant,
}

impl Balance {
    /// Returns the balancing of a pod that has received no instruction.
    ///
    /// # Errors
    /// If a key or a name is not valid.
    pub(crate) fn register(
        settings: &BalanceSettings,
        namespace: &NamespaceName,
        connections: Arc<Connections>,
        drain: Arc<Drain>,
        totals: Totals,
        registry: &mut Registry,
    ) -> Result<Arc<Self>, BalanceError> {
        let keys: PublicKeys = settings.keys.as_str().parse()?;
        let workload = Workload::new(namespace.as_str(), settings.workload.kind(), settings.workload.name())?;
        let state = State {
            last: LastSequence::NONE,
            instruction: InstructionState::NoInstruction,
            load: Load::default(),
            summed: Instant::now(),
        };
        let balance = Arc::new(Self {
            receiver: Receiver::new(keys, workload),
            connections,
            drain,
            totals,
            metrics: Metrics::register(registry),
            in_force: AtomicBool::new(false),
            state: Mutex::new(state),
        });
        metrics::register_gauges(&balance, registry);
        Ok(balance)
    }

    /// Applies the rule once a second, until the process ends.
    pub(crate) async fn run(&self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tick(Instant::now(), |n| fastrand::usize(..n));
        }
    }

    /// Updates the estimates of all connections, and marks some if their load is above the mean.
    fn tick(&self, now: Instant, below: impl FnMut(usize) -> usize) {
        self.connections.advance(now);
        let mut state = self.state();
        state.instruction = state.instruction.at(now);
        self.in_force.store(state.instruction.in_force().is_some(), Ordering::Relaxed);
        self.update_load(&mut state, now);
        let Some(rule) = state.instruction.rule(now).filter(|_| !self.drain.is_announcing()) else { return };
        if let Some(excess) = Excess::of(state.load.unmarked, rule) {
            let marked = self.connections.shed(excess, rule.connection_rate(), below);
            tracing::debug!(
                marked,
                load = state.load.unmarked,
                mean = rule.mean(),
                connections = state.load.connections,
                "the load is above the mean of the workload"
            );
            self.update_load(&mut state, now);
        }
    }

    fn update_load(&self, state: &mut State, now: Instant) {
        state.load = self.connections.load(state.instruction.connection_rate());
        state.summed = now;
    }

    /// Applies a signed instruction that arrived at `now`.
    ///
    /// # Errors
    /// If it is refused.
    pub(crate) fn instruct(&self, body: &[u8], now: Instant) -> Result<(), Refusal> {
        // Verification takes some time and does not need the state, so it is done without the lock.
        let received = self.receiver.receive(body, LastSequence::NONE);
        let mut state = self.state();
        let taken =
            received.and_then(|(_, instruction)| Ok((state.last.advance(instruction.sequence())?, instruction)));
        match taken {
            Ok((last, instruction)) => {
                state.last = last;
                state.instruction = InstructionState::taking(&instruction, now);
                self.in_force.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Counts an instruction that is refused.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Result<(), Refusal> {
        self.metrics.refused(refusal);
        tracing::debug!(reason = refusal.label(), "an instruction of a balancer was refused");
        Err(refusal)
    }

    /// Returns the report at `now`, with the reason for which an instruction was refused, if one was.
    pub(crate) fn report(&self, now: Instant, refused: Option<Refusal>) -> Report {
        let mut state = self.state();
        if now.saturating_duration_since(state.summed) >= FRESH {
            self.update_load(&mut state, now);
        }
        let quantity = |number| Quantity::new(number).unwrap_or_default();
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        let [requests, seconds] = state.load.recent.map(quantity);
        let mut report = Report::new(self.receiver.workload().clone());
        report.load = quantity(state.load.all);
        report.connections = count(state.load.connections);
        report.marked = count(state.load.marked);
        report.recent = Recent { requests, seconds };
        [report.requests, report.retired] = self.totals.0();
        report.state = self.state_of(state.instruction.at(now));
        report.sequence = state.last.get();
        report.refused = refused;
        report.keys = self.receiver.keys().iter().map(PublicKey::id).collect();
        report
    }

    fn state_of(&self, instruction: InstructionState) -> BalanceState {
        if self.drain.is_announcing() { BalanceState::Draining } else { instruction.state() }
    }

    /// Returns whether an instruction is in force.
    pub(crate) fn is_in_force(&self) -> bool {
        self.in_force.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! The drain: every response announces the end of its connection, and waiting tasks are notified when no connection is
//! left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use labels::labels;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::metrics::StateGauge;
use crate::retire::connections::Connections;

/// The shortest drain. Until then, nodes whose rules are not updated yet route new connections to the pod.
pub(crate) const SHORTEST: Duration = Duration::from_secs(3);

labels!(
    /// The phase of the drain.
    ///
    /// ```text
    /// Serving ──begin──▶ Draining ──no connection left, or the bound──▶ Drained
    /// ```
    pub(crate) DrainPhase {
        /// No drain has begun.
        Serving = "serving",
        /// Every response announces the end of its connection.
        Draining = "draining",
        /// No connection is left, or the deadline has passed; responses still announce the end of their connections.
        Drained = "drained",
    }
);

/// The drain of the process, which begins once and is never cancelled.
#[derive(Debug)]
pub(crate) struct Drain {
    phase: watch::Sender<DrainPhase>,
    // Read once per request; a watch channel takes a lock.
    announcing: AtomicBool,
    bound: Duration,
    deadline: OnceLock<Instant>,
}

impl Drain {
    /// Returns a drain that has not begun, and lasts at most `bound`.
    pub(crate) fn new(bound: Duration) -> Self {
        Self {
            phase: watch::Sender::new(DrainPhase::Serving),
            announcing: AtomicBool::new(false),
            bound,
            deadline: OnceLock::new(),
        }
    }

    /// Returns a drain that has not begun, and whose phase `registry` shows.
    pub(crate) fn register(bound: Duration, registry: &mut Registry) -> Arc<Self> {
        let of_process = Arc::new(Self::new(bound));
        let drain = Arc::clone(&of_process);
        let phases = DrainPhase::ALL.iter().map(|phase| phase.label());
        let help = "The phase of the drain: 1 for the current one, 0 for the others";
        StateGauge::register(registry, "drain_phase", help, "phase", phases, move || drain.phase().label());
        of_process
    }

    /// Returns whether every response announces the end of its connection.
    pub(crate) fn is_announcing(&self) -> bool {
        self.announcing.load(Ordering::Relaxed)
    }

    /// Returns its phase.
    pub(crate) fn phase(&self) -> DrainPhase {
        *self.phase.borrow()
    }

    /// Begins the drain, unless it has begun.
    pub(crate) fn begin(&self) {
        self.deadline.get_or_init(|| Instant::now() + self.bound);
        self.announcing.store(true, Ordering::Relaxed);
        self.phase.send_if_modified(|phase| match phase {
            DrainPhase::Serving => {
                *phase = DrainPhase::Draining;
                true
            }
            DrainPhase::Draining | DrainPhase::Drained => false,
        });
    }

    /// Waits for the drain to begin, and runs it. One task of the process calls this.
    pub(crate) async fn supervise(&self, connections: &Connections) {
        self.begun().await;
        let begun = Instant::now();
        tracing::info!(connections = connections.count(), bound = ?self.bound, "draining: every response announces the end of its connection");
        let deadline = self.deadline().unwrap_or(begun + self.bound);
        sleep_until(deadline.min(begun + SHORTEST)).await;
        let left = match timeout_at(deadline, connections.none_left()).await {
            Ok(()) => 0,
            Err(_) => connections.count(),
        };
        tracing::info!(connections_left = left, after = ?begun.elapsed(), "drained");
        self.phase.send_replace(DrainPhase::Drained);
    }

    /// Returns the time at which the drain ends at the latest; `None` before it has begun.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.get().copied()
    }

    /// Waits until a drain begins.
    pub(crate) async fn begun(&self) {
        self.reach(DrainPhase::Draining).await;
    }

    /// Waits until the drain is over.
    pub(crate) async fn done(&self) {
        self.reach(DrainPhase::Drained).await;
    }

    async fn reach(&self, phase: DrainPhase) {
        let mut phases = self.phase.subscribe();
        // The sender lives as long as `self`, so that waiting cannot fail.
        let _ = phases.wait_for(|now| *now == phase || *now == DrainPhase::Drained).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(bound: Duration) -> (Arc<Drain>, Arc<Connections>) {
        let (drain, connections) = (Arc::new(Drain::new(bound)), Arc::new(Connections::default()));
        let (of_task, connections_of_task) = (Arc::clone(&drain), Arc::clone(&connections));
        tokio::spawn(async move { of_task.supervise(&connections_of_task).await });
        (drain, connections)
    }

    async fn time_until_done(drain: &Drain) -> Duration {
        let begun = Instant::now();
        drain.done().await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_without_connections_lasts_the_shortest_time() {
        let (drain, _connections) = start(Duration::from_secs(20));
        assert!(!drain.is_announcing());
        drain.begin();
        assert!(drain.is_announcing());
        let took = time_until_done(&drain).await;
        assert!((SHORTEST..SHORTEST + Duration::from_millis(10)).contains(&took), "{took:?}");
        assert!(drain.is_announcing(), "connections that come late are told, too");
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_with_the_last_connection() {
        let (drain, connections) = start(Duration::from_secs(20));
        let open = connections.open();
        drain.begin();
        drain.begin();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(7)).await;
            drop(open);
        });
        let took = time_until_done(&drain).await;
        assert!((Duration::from_secs(7)..Duration::from_millis(7_010)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_at_its_timeout() {
        for bound in [Duration::from_secs(20), Duration::from_millis(500)] {
            let (drain, connections) = start(bound);
            let _open = connections.open();
            drain.begin();
            let took = time_until_done(&drain).await;
            assert!((bound..bound + Duration::from_millis(10)).contains(&took), "{took:?}");
        }
    }
}

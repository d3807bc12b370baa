//! The drain: every response announces the end of its connection, and waiting tasks are notified when no connection is
//! left and clients have ceased to connect.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use labels::labels;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::metrics::StateGauge;
use crate::retire::connections::Connections;

/// The time without a new client connection after which the drain may end, which is also the shortest drain.
///
/// A new connection shows that a node's kube-proxy still routes connections to the pod. No event tells the pod when the
/// last node has ceased to. Istio's proxy drains for 5 s at least, too.
pub(crate) const QUIET: Duration = Duration::from_secs(5);

labels!(
    /// The phase of the drain.
    ///
    /// ```text
    /// Serving ──begin──▶ Draining ──no connection left and none new, or the bound──▶ Drained
    /// ```
    pub(crate) DrainPhase {
        /// No drain has begun.
        Serving = "serving",
        /// Every response announces the end of its connection.
        Draining = "draining",
        /// No connection is left and clients have ceased to connect, or the deadline has passed. Responses still announce
        /// the end of their connections.
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
    /// The time of the last client connection since the drain began.
    last_client: Mutex<Option<Instant>>,
}

impl Drain {
    /// Returns a drain that has not begun, and lasts at most `bound`.
    pub(crate) fn new(bound: Duration) -> Self {
        Self {
            phase: watch::Sender::new(DrainPhase::Serving),
            announcing: AtomicBool::new(false),
            bound,
            deadline: OnceLock::new(),
            last_client: Mutex::default(),
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
        let in_time = timeout_at(deadline, self.none_comes(begun, connections)).await.is_ok();
        tracing::info!(connections_left = connections.count(), in_time, after = ?begun.elapsed(), "drained");
        self.phase.send_replace(DrainPhase::Drained);
    }

    /// Records a client's connection by the time at which it was accepted. One that was accepted during a drain prolongs
    /// the drain. Probes and collectors of metrics are no clients: they connect for as long as the pod exists.
    pub(crate) fn client_connected(&self, accepted_at: Instant) {
        if self.is_announcing() {
            let mut last = self.last_client();
            *last = (*last).max(Some(accepted_at));
        }
    }

    /// Waits until no connection is open and no client has connected for [`QUIET`].
    async fn none_comes(&self, begun: Instant, connections: &Connections) {
        loop {
            connections.none_left().await;
            let quiet = self.last_client().map_or(begun, |last| last.max(begun)) + QUIET;
            if quiet <= Instant::now() {
                return;
            }
            sleep_until(quiet).await;
        }
    }

    fn last_client(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last_client.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert!((QUIET..QUIET + Duration::from_millis(10)).contains(&took), "{took:?}");
        assert!(drain.is_announcing(), "late connections are retired, too");
    }

    /// Opens a connection of a client at each of these seconds, and closes it at once.
    fn clients_connect(drain: &Arc<Drain>, connections: &Arc<Connections>, seconds: &'static [u64]) {
        let (begun, drain, connections) = (Instant::now(), Arc::clone(drain), Arc::clone(connections));
        tokio::spawn(async move {
            for &second in seconds {
                sleep_until(begun + Duration::from_secs(second)).await;
                let _open = connections.open();
                drain.client_connected(Instant::now());
            }
        });
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_lasts_until_clients_have_ceased_to_connect() {
        let (drain, connections) = start(Duration::from_secs(20));
        drain.client_connected(Instant::now());
        clients_connect(&drain, &connections, &[1, 5, 9]);
        drain.begin();
        let took = time_until_done(&drain).await;
        let expected = Duration::from_secs(9) + QUIET;
        assert!((expected..expected + Duration::from_millis(10)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_do_not_cease_to_connect_prolong_a_drain_to_its_timeout() {
        let (drain, connections) = start(Duration::from_secs(12));
        clients_connect(&drain, &connections, &[4, 8, 11, 12, 13]);
        drain.begin();
        let took = time_until_done(&drain).await;
        assert!((Duration::from_secs(12)..Duration::from_millis(12_010)).contains(&took), "{took:?}");
    }

    /// Its first request, or its end, may come during the drain.
    #[tokio::test(start_paused = true)]
    async fn connections_from_before_a_drain_do_not_prolong_it() {
        let (drain, connections) = start(Duration::from_secs(20));
        let (accepted_at, open) = (Instant::now(), connections.open());
        tokio::time::sleep(Duration::from_secs(30)).await;
        drain.begin();
        let of_client = Arc::clone(&drain);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            of_client.client_connected(accepted_at);
            drop(open);
        });
        let took = time_until_done(&drain).await;
        assert!((QUIET..QUIET + Duration::from_millis(10)).contains(&took), "{took:?}");
    }

    /// Probes and collectors of metrics are not reported as clients.
    #[tokio::test(start_paused = true)]
    async fn other_connections_do_not_prolong_a_drain() {
        let (drain, connections) = start(Duration::from_secs(20));
        drain.begin();
        let probes = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                drop(probes.open());
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let took = time_until_done(&drain).await;
        assert!((QUIET..QUIET + Duration::from_millis(10)).contains(&took), "{took:?}");
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

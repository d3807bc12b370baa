//! The open client connections: counts them, marks those that are to be retired, and notifies when none is left.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use retirement::Excess;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::registry::{Handle, Load, Registry};

/// The open client connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: AtomicUsize,
    none_left: Notify,
    registry: Mutex<Registry>,
}

/// A connection that can be marked, until this is dropped.
#[derive(Debug)]
pub(crate) struct Retirable {
    connections: Arc<Connections>,
    handle: Arc<Handle>,
}

/// An open connection. It counts as open until this is dropped, however its task ends.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Connections>);

impl Connections {
    /// Counts a connection as open until the result is dropped.
    pub(crate) fn open(self: &Arc<Self>) -> OpenConnection {
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    /// Returns a connection, accepted at `accepted_at`, that can be marked from now on. The end of a tunnel cannot be
    /// announced, so tunnels are not among these.
    pub(crate) fn retirable(self: &Arc<Self>, accepted_at: Instant) -> Retirable {
        Retirable { connections: Arc::clone(self), handle: self.registry().insert(accepted_at) }
    }

    /// Updates the estimate of every connection with its requests since the last call.
    pub(crate) fn advance(&self, now: Instant) {
        self.registry().advance(now);
    }

    /// Returns the load of the open connections. `prior` is the mean rate of a connection of the workload.
    pub(crate) fn load(&self, prior: Option<f64>) -> Load {
        self.registry().load(prior)
    }

    /// Marks connections to reduce an excess of load. Each is retired with its next response. Returns their number.
    pub(crate) fn shed(&self, excess: Excess, prior: f64, below: impl FnMut(usize) -> usize) -> usize {
        self.registry().shed(excess, prior, below)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of open connections.
    pub(crate) fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Waits until no connection is open.
    pub(crate) async fn none_left(&self) {
        loop {
            let notified = self.none_left.notified();
            tokio::pin!(notified);
            // Enabled before the count is read, so that no notification is missed in between.
            notified.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl Retirable {
    /// Counts a request.
    pub(crate) fn request(&self) {
        self.handle.request();
    }

    /// Returns how long the connection has existed.
    pub(crate) fn age(&self) -> Duration {
        self.accepted_at().elapsed()
    }

    /// Returns when it was accepted.
    pub(crate) fn accepted_at(&self) -> Instant {
        self.handle.accepted_at()
    }

    /// Returns whether it is marked.
    pub(crate) fn is_marked(&self) -> bool {
        self.handle.is_marked()
    }

    /// Marks it because its end was announced: its load ends soon, and balancing must not count it.
    pub(crate) fn announced(&self) {
        self.handle.mark();
    }

    /// Excludes its requests so far from its limit.
    pub(crate) fn reset_limit(&self) {
        self.handle.reset_limit();
    }

    /// Returns the number of requests that do not count towards the limit.
    pub(crate) fn uncounted(&self) -> u32 {
        self.handle.uncounted()
    }
}

impl Drop for Retirable {
    fn drop(&mut self) {
        self.connections.registry().remove(&self.handle);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use retirement::{Instruction, PodChange, Tolerance};
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    #[test]
    fn the_wait_ends_with_the_last_connection() {
        let connections = Arc::new(Connections::default());
        assert_ready!(task::spawn(connections.none_left()).poll());
        let (first, second) = (connections.open(), connections.open());
        let mut waiting = task::spawn(connections.none_left());
        assert_pending!(waiting.poll());
        drop(first);
        assert!(!waiting.is_woken());
        drop(second);
        assert!(waiting.is_woken());
        assert_ready!(waiting.poll());
        assert_eq!(connections.count(), 0);
    }

    #[test]
    fn ended_and_retiring_connections_are_not_marked() {
        let connections = Arc::new(Connections::default());
        let all: Vec<Retirable> = (0..3).map(|_| connections.retirable(Instant::now())).collect();
        let [first, second, third] = <[Retirable; 3]>::try_from(all).unwrap();
        drop(first);
        second.announced();
        let marked = || connections.load(Some(1.0)).marked;
        assert_eq!((connections.load(Some(1.0)).connections, marked()), (2, 1));
        let rule = Instruction::new(0.1, 1.0, Tolerance::after(PodChange::default(), 1.0)).unwrap();
        let excess = Excess::of(connections.load(Some(1.0)).unmarked + 1.0, &rule).unwrap();
        assert_eq!((connections.shed(excess, 1.0, |_| 0), marked()), (1, 2));
        assert!(third.is_marked());
        drop((second, third));
        assert_eq!(connections.load(Some(1.0)), Load::default());
    }
}

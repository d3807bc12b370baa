//! The client connections that there are, which of them shall be retired, and who waits for the last of them to end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use retirement::Excess;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::registry::{Handle, Load, Registry};

/// Counts open client connections, and marks those that shall be retired.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: AtomicUsize,
    none_left: Notify,
    registry: Mutex<Registry>,
}

/// A connection that can be marked, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Retirable {
    connections: Arc<Connections>,
    handle: Arc<Handle>,
}

/// One open connection; it ends when this is dropped, by whatever way its task ends.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Connections>);

impl Connections {
    /// Counts a connection for as long as the answer lives.
    pub(crate) fn open(self: &Arc<Self>) -> OpenConnection {
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    /// Returns a connection, accepted at `born`, that can be marked from now on: one whose end can be announced, which that
    /// of a tunnel cannot.
    pub(crate) fn retirable(self: &Arc<Self>, born: Instant) -> Retirable {
        Retirable { connections: Arc::clone(self), handle: self.registry().insert(born) }
    }

    /// Takes in what every connection has carried since the last time.
    pub(crate) fn advance(&self, now: Instant) {
        self.registry().advance(now);
    }

    /// Returns the load of the connections that there are. `prior` is the mean rate of a connection of the workload.
    pub(crate) fn load(&self, prior: Option<f64>) -> Load {
        self.registry().load(prior)
    }

    /// Marks connections for an excess of load; each is retired with its next response. Returns how many.
    pub(crate) fn shed(&self, excess: Excess, prior: f64, below: impl FnMut(usize) -> usize) -> usize {
        self.registry().shed(excess, prior, below)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of open connections.
    pub(crate) fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Waits for a moment in which no connection is open.
    pub(crate) async fn none_left(&self) {
        loop {
            let notified = self.none_left.notified();
            tokio::pin!(notified);
            // Registered before the count is read, so that no end is missed in between.
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
        self.handle.born().elapsed()
    }

    /// Returns whether it was marked.
    pub(crate) fn is_marked(&self) -> bool {
        self.handle.is_marked()
    }

    /// Notes that its end was announced: there is nothing more to mark, and its load is on its way.
    pub(crate) fn leaves(&self) {
        self.handle.mark();
    }

    /// Has no request so far count towards the limit.
    pub(crate) fn forgive(&self) {
        self.handle.forgive();
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
        second.leaves();
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

//! The client connections that there are, which of them shall be retired, and who waits for the last of them to end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;

use crate::metrics::{Gauge, counter};

/// Counts open client connections, and marks those that shall be retired.
#[derive(Debug, Default)]
pub struct Connections {
    opened: Counter,
    open: AtomicUsize,
    none_left: Notify,
    unmarked: Mutex<Unmarked>,
}

/// Connections that can be retired and shall not yet be, by their age.
#[derive(Debug, Default)]
struct Unmarked {
    opened: u64,
    oldest_first: BTreeMap<u64, Arc<AtomicBool>>,
}

/// A connection that can be marked, for as long as this lives or until it is withdrawn.
#[derive(Debug)]
pub struct Retirable {
    connections: Arc<Connections>,
    number: u64,
    mark: Arc<AtomicBool>,
}

/// One open connection; it ends when this is dropped, by whatever way its task ends.
#[derive(Debug)]
pub struct OpenConnection(Arc<Connections>);

impl Connections {
    /// Returns a table without a connection, whose metrics are in `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Arc<Self> {
        let opened = counter(registry, "connections_opened", "Client connections accepted");
        let connections = Arc::new(Self { opened, ..Self::default() });
        let read = Arc::clone(&connections);
        let open = move || read.count() as u64;
        Gauge::register(registry, "connections_open", "Client connections open now", open);
        connections
    }

    /// Counts a connection for as long as the answer lives.
    pub fn open(self: &Arc<Self>) -> OpenConnection {
        self.opened.inc();
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    /// A connection that can be marked from now on: one whose end can be announced, which that of a tunnel cannot.
    pub fn retirable(self: &Arc<Self>) -> Retirable {
        let mark = Arc::<AtomicBool>::default();
        let mut unmarked = self.unmarked();
        let number = unmarked.opened;
        unmarked.opened = number.saturating_add(1);
        unmarked.oldest_first.insert(number, Arc::clone(&mark));
        drop(unmarked);
        Retirable { connections: Arc::clone(self), number, mark }
    }

    /// Marks up to `n` connections that are not marked yet, the oldest first; how many there were.
    ///
    /// Each is retired with its next response. The oldest have been here since before the pods were as many as they are
    /// now, and what has come of late has been placed among all of them.
    pub fn mark(&self, n: usize) -> usize {
        let mut unmarked = self.unmarked();
        let oldest = std::iter::from_fn(|| unmarked.oldest_first.pop_first());
        oldest.take(n).inspect(|(_, mark)| mark.store(true, Ordering::Relaxed)).count()
    }

    fn unmarked(&self) -> MutexGuard<'_, Unmarked> {
        self.unmarked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of open connections.
    pub fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Waits for a moment in which no connection is open.
    pub async fn none_left(&self) {
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
    /// Whether it was marked.
    pub fn is_marked(&self) -> bool {
        self.mark.load(Ordering::Relaxed)
    }

    /// There is nothing more to retire: no mark is spent on it.
    pub fn withdraw(&self) {
        self.connections.unmarked().oldest_first.remove(&self.number);
    }
}

impl Drop for Retirable {
    fn drop(&mut self) {
        self.withdraw();
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
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    #[test]
    fn waits_for_the_last_one() {
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
    fn the_oldest_are_marked_and_each_once() {
        let connections = Arc::new(Connections::default());
        let all: Vec<Retirable> = (0..5).map(|_| connections.retirable()).collect();
        let marked = || all.iter().map(Retirable::is_marked).collect::<Vec<_>>();
        assert_eq!((connections.mark(0), marked()), (0, vec![false; 5]));
        all[1].withdraw();
        assert_eq!((connections.mark(2), marked()), (2, vec![true, false, true, false, false]));
        assert_eq!((connections.mark(9), marked()), (2, vec![true, false, true, true, true]));
        assert_eq!(connections.mark(9), 0);
    }

    #[test]
    fn what_has_ended_is_not_marked() {
        let connections = Arc::new(Connections::default());
        let (first, second) = (connections.retirable(), connections.retirable());
        drop(first);
        assert_eq!(connections.mark(1), 1);
        assert!(second.is_marked());
        drop(second);
        assert_eq!(connections.mark(1), 0);
    }
}

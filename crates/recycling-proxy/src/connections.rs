//! The client connections that there are, and who waits for the last of them to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts open client connections.
#[derive(Debug, Default)]
pub struct Connections {
    open: AtomicUsize,
    none_left: Notify,
}

/// One open connection; it ends when this is dropped, by whatever way its task ends.
#[derive(Debug)]
pub struct OpenConnection(Arc<Connections>);

impl Connections {
    /// Counts a connection for as long as the answer lives.
    pub fn open(self: &Arc<Self>) -> OpenConnection {
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
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
}

//! Namespaces in which something has changed.

use std::collections::BTreeSet;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// The objects of one manifest come one after the other.
const SETTLES: Duration = Duration::from_secs(2);

/// Namespaces in which Services have changed, for one who looks at them.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    namespaces: Mutex<BTreeSet<String>>,
    news: Notify,
}

impl Changes {
    pub(super) fn note(&self, namespace: &str) {
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        if !namespaces.contains(namespace) {
            namespaces.insert(namespace.to_owned());
        }
        self.news.notify_one();
    }

    /// Waits for a change, and for what comes with it. Returns the namespaces that have changed since the last call. If it is
    /// dropped before, none is lost.
    pub(crate) async fn settled(&self) -> BTreeSet<String> {
        while self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            self.news.notified().await;
        }
        sleep(SETTLES).await;
        mem::take(&mut *self.namespaces.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

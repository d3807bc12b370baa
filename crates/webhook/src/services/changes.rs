//! Namespaces in which something has changed.

use std::collections::BTreeSet;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// How long changes are collected: the objects of one manifest arrive one after the other.
const COLLECT: Duration = Duration::from_secs(2);

/// The namespaces in which Services have changed, for one subscriber.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    namespaces: Mutex<BTreeSet<String>>,
    changed: Notify,
}

impl Changes {
    pub(super) fn add(&self, namespace: &str) {
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        if !namespaces.contains(namespace) {
            namespaces.insert(namespace.to_owned());
        }
        self.changed.notify_one();
    }

    /// Waits for a change, and for 2 s more. Returns the namespaces that have changed since the last call. It is cancel
    /// safe.
    pub(crate) async fn settled(&self) -> BTreeSet<String> {
        while self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            self.changed.notified().await;
        }
        sleep(COLLECT).await;
        mem::take(&mut *self.namespaces.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

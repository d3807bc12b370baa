//! Shares one result among concurrent requests for the same key.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// Results by key. The keys come from the settings, so there are few.
#[derive(Debug)]
pub(super) struct Shared<K, V> {
    answers: Mutex<BTreeMap<K, Arc<Answer<V>>>>,
}

/// Locked while the result is computed, so that other requests wait for it.
type Answer<V> = tokio::sync::Mutex<Option<(Instant, V)>>;

impl<K, V> Default for Shared<K, V> {
    fn default() -> Self {
        Self { answers: Mutex::default() }
    }
}

impl<K: Ord, V: Clone> Shared<K, V> {
    /// Returns the result of `compute`, or of a call for the same key that was in progress.
    pub(super) async fn of<F: Future<Output = V>>(&self, key: K, compute: impl FnOnce() -> F) -> V {
        let now = Instant::now();
        let answer = Arc::clone(self.answers.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
        let mut answer = answer.lock().await;
        match &*answer {
            Some((found, known)) if *found > now => known.clone(),
            Some(_) | None => {
                let found = compute().await;
                *answer = Some((Instant::now(), found.clone()));
                found
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn concurrent_requests_share_one_lookup() {
        let (shared, asked) = (Shared::default(), Cell::new(0));
        let compute = || async {
            asked.set(asked.get() + 1);
            sleep(Duration::from_secs(1)).await;
            asked.get()
        };
        assert_eq!(tokio::join!(shared.of("a", compute), shared.of("a", compute), shared.of("a", compute)), (1, 1, 1));
        assert_eq!(shared.of("b", compute).await, 2, "another key");
        assert_eq!(shared.of("a", compute).await, 3, "later");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_lookup_does_not_block_the_next() {
        let shared = Shared::default();
        let never = tokio::time::timeout(Duration::from_secs(1), shared.of((), std::future::pending::<u8>));
        assert!(never.await.is_err());
        assert_eq!(shared.of((), async || 7).await, 7);
    }
}

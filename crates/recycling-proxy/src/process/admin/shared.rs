//! One answer for all requests that ask the same question at the same time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// Answers by question. The questions come from the settings, so that there are few.
#[derive(Debug)]
pub(super) struct Shared<K, V> {
    answers: Mutex<BTreeMap<K, Arc<Answer<V>>>>,
}

/// Locked while it is found out, so that others wait for it.
type Answer<V> = tokio::sync::Mutex<Option<(Instant, V)>>;

impl<K, V> Default for Shared<K, V> {
    fn default() -> Self {
        Self { answers: Mutex::default() }
    }
}

impl<K: Ord, V: Clone> Shared<K, V> {
    /// Returns the answer to `question`: that of `ask`, or of an earlier call that is still in progress.
    pub(super) async fn of<F: Future<Output = V>>(&self, question: K, ask: impl FnOnce() -> F) -> V {
        let now = Instant::now();
        let answer =
            Arc::clone(self.answers.lock().unwrap_or_else(PoisonError::into_inner).entry(question).or_default());
        let mut answer = answer.lock().await;
        match &*answer {
            Some((found, known)) if *found > now => known.clone(),
            Some(_) | None => {
                let found = ask().await;
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
        let ask = || async {
            asked.set(asked.get() + 1);
            sleep(Duration::from_secs(1)).await;
            asked.get()
        };
        assert_eq!(tokio::join!(shared.of("a", ask), shared.of("a", ask), shared.of("a", ask)), (1, 1, 1));
        assert_eq!(shared.of("b", ask).await, 2, "another question");
        assert_eq!(shared.of("a", ask).await, 3, "later");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_lookup_does_not_block_the_next() {
        let shared = Shared::default();
        let never = tokio::time::timeout(Duration::from_secs(1), shared.of((), std::future::pending::<u8>));
        assert!(never.await.is_err());
        assert_eq!(shared.of((), async || 7).await, 7);
    }
}

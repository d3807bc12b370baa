//! Instants at a fixed rate. A late client sends at once, and no client waits for another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The instants at which requests of a run are due, for any number of tasks.
#[derive(Debug)]
pub(crate) struct Pace {
    begun: Instant,
    per_second: u64,
    all: u64,
    next: AtomicU64,
}

impl Pace {
    /// Returns `per_second` instants a second, for `length`.
    pub(crate) fn new(per_second: u64, length: Duration) -> Self {
        let all = u64::try_from(length.as_millis()).unwrap_or(u64::MAX).saturating_mul(per_second) / 1000;
        Self { begun: Instant::now(), per_second: per_second.max(1), all, next: AtomicU64::new(0) }
    }

    /// Waits for the next instant that no other task has. Returns `None` after the last one.
    pub(crate) async fn due(&self) -> Option<Instant> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.all {
            return None;
        }
        let due = self.begun + Duration::from_micros(number.saturating_mul(1_000_000) / self.per_second);
        sleep_until(due).await;
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_instant_is_handed_out_once() {
        let pace = Pace::new(1000, Duration::from_millis(20));
        let mut last = None;
        let mut all = 0;
        while let Some(due) = pace.due().await {
            assert!(Some(due) > last && Instant::now() >= due);
            last = Some(due);
            all += 1;
        }
        assert_eq!(all, 20);
    }
}

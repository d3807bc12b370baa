//! The rate limit of requests that can wait.

use std::time::Duration;

/// A token bucket: a number of requests per second, and at most a quarter of that at once.
#[derive(Debug)]
pub(super) struct TokenBucket {
    per_second: f64,
    left: f64,
    filled_at: Duration,
}

impl TokenBucket {
    /// The capacity in seconds: five of the driver's ticks, so that a late tick loses nothing.
    const SAVED: f64 = 0.25;

    /// Returns a full one.
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, left: per_second * Self::SAVED, filled_at: Duration::ZERO }
    }

    /// Adds the tokens up to the time `now`.
    pub(super) fn fill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.filled_at).as_secs_f64();
        self.left = (self.left + elapsed * self.per_second).min(self.per_second * Self::SAVED);
        self.filled_at = now;
    }

    /// Returns whether a request may be sent.
    pub(super) fn is_left(&self) -> bool {
        self.left >= 1.0
    }

    /// Takes a token for a request.
    pub(super) fn take(&mut self) {
        self.left -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_allowed_than_its_rate_and_what_is_saved() {
        let mut bucket = TokenBucket::new(1000);
        let mut taken = Vec::new();
        for millis in [0, 50, 100, 10_000] {
            bucket.fill(Duration::from_millis(millis));
            let mut count = 0;
            while bucket.is_left() {
                bucket.take();
                count += 1;
            }
            taken.push(count);
        }
        assert_eq!(taken, [250, 50, 50, 250]);
    }
}

//! The rate limit of requests that can wait.

use std::time::Duration;

/// A token bucket of a number of requests per second, with a burst of a quarter of that.
#[derive(Debug)]
pub(super) struct TokenBucket {
    per_second: f64,
    tokens: f64,
    filled_at: Duration,
}

impl TokenBucket {
    /// The burst in seconds: five of the driver's ticks, so that a late tick loses no tokens.
    const BURST: f64 = 0.25;

    /// Returns a full bucket.
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, tokens: per_second * Self::BURST, filled_at: Duration::ZERO }
    }

    /// Adds the tokens up to the time `now`.
    pub(super) fn fill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.per_second * Self::BURST);
        self.filled_at = now;
    }

    /// Returns whether there is a token.
    pub(super) fn has_token(&self) -> bool {
        self.tokens >= 1.0
    }

    /// Removes a token.
    pub(super) fn take(&mut self) {
        self.tokens -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_allowed_than_the_rate_and_the_burst() {
        let mut bucket = TokenBucket::new(1000);
        let mut taken = Vec::new();
        for millis in [0, 50, 100, 10_000] {
            bucket.fill(Duration::from_millis(millis));
            let mut count = 0;
            while bucket.has_token() {
                bucket.take();
                count += 1;
            }
            taken.push(count);
        }
        assert_eq!(taken, [250, 50, 50, 250]);
    }
}

//! The back-off of requests to a pod that does not answer.

use std::time::Duration;

/// The number of failures in a row without a delay: a pod that is short of CPU time must not miss instructions.
const TOLERATED_FAILURES: u32 = 2;
/// The longest delay.
const LONGEST: Duration = Duration::from_secs(15);

/// The failures in a row of requests to a pod, and the delay that follows from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    failures: u32,
    not_before: Duration,
}

impl Backoff {
    /// Returns the state after a failure at the time `now`: the next request is delayed by 1, 2, 4, 8 and then 15 s.
    #[must_use]
    pub(super) fn failed(self, now: Duration) -> Self {
        let failures = self.failures.saturating_add(1);
        let pause = match failures.checked_sub(TOLERATED_FAILURES + 1) {
            None => Duration::ZERO,
            Some(doublings) => Duration::from_secs(1 << doublings.min(4)).min(LONGEST),
        };
        Self { failures, not_before: now + pause }
    }

    /// Returns whether a request may be sent to the pod at the time `now`.
    pub(super) fn allows(self, now: Duration) -> bool {
        now >= self.not_before
    }

    /// Returns the time from which a request may be sent.
    pub(super) const fn not_before(self) -> Duration {
        self.not_before
    }

    /// Returns whether the last request failed.
    pub(super) const fn is_unresponsive(self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_fifteen_seconds_until_a_pod_answers() {
        let mut backoff = Backoff::default();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            backoff = backoff.failed(Duration::from_secs(100));
            pauses.push(backoff.not_before().as_secs() - 100);
            assert!(backoff.is_unresponsive());
        }
        assert_eq!(pauses, [0, 0, 1, 2, 4, 8, 15, 15]);
        assert!(!backoff.allows(Duration::from_secs(114)) && backoff.allows(Duration::from_secs(115)));
        assert!(Backoff::default().allows(Duration::ZERO) && !Backoff::default().is_unresponsive());
    }
}

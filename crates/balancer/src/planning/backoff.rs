//! When a pod is asked that gives no answer.

use std::time::Duration;

/// The first failures count for nothing: a pod that is starved of CPU must not miss instructions for it.
const FORGIVEN: u32 = 2;
/// The longest pause, also where a pod has never answered.
const LONGEST: Duration = Duration::from_secs(15);

/// How a pod has answered lately; by default, well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Patience {
    failures: u32,
    not_before: Duration,
}

impl Patience {
    /// Returns the state after a failure at the time `now`: the next question is put off for 1, 2, 4, 8 and then 15 s.
    #[must_use]
    pub(super) fn failed(self, now: Duration) -> Self {
        let failures = self.failures.saturating_add(1);
        let pause = match failures.checked_sub(FORGIVEN + 1) {
            None => Duration::ZERO,
            Some(doublings) => Duration::from_secs(1 << doublings.min(4)).min(LONGEST),
        };
        Self { failures, not_before: now + pause }
    }

    /// Returns whether the pod is to be asked at the time `now`.
    pub(super) fn allows(self, now: Duration) -> bool {
        now >= self.not_before
    }

    /// Returns when the pod may be asked.
    pub(super) const fn not_before(self) -> Duration {
        self.not_before
    }

    /// Returns whether the pod has failed to answer lately, so that nobody else should wait for it.
    pub(super) const fn is_doubtful(self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_fifteen_seconds_and_end_with_an_answer() {
        let mut patience = Patience::default();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            patience = patience.failed(Duration::from_secs(100));
            pauses.push(patience.not_before().as_secs() - 100);
            assert!(patience.is_doubtful());
        }
        assert_eq!(pauses, [0, 0, 1, 2, 4, 8, 15, 15]);
        assert!(!patience.allows(Duration::from_secs(114)) && patience.allows(Duration::from_secs(115)));
        assert!(Patience::default().allows(Duration::ZERO) && !Patience::default().is_doubtful());
    }
}

//! How often one thing has happened since it was last said.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines about one cause.
pub(super) const INTERVAL: Duration = Duration::from_mins(1);

/// Counts occurrences by cause, so that each cause is said at once and then once an interval, with its count.
///
/// ```text
/// absent ── count: say 1 ──▶ interval runs, none unsaid ◀──┐
///   ▲                              │ count: say nothing     │ due, at the interval's end: say their number
///   │                              ▼                        │
///   └── due, none unsaid     interval runs, some unsaid ────┘
/// ```
///
/// It holds an entry for each cause of the last interval: the caller's causes are bounded in number.
#[derive(Debug)]
pub(super) struct Repeats<C> {
    said: HashMap<C, Said>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    unsaid: u64,
}

impl<C> Default for Repeats<C> {
    fn default() -> Self {
        Self { said: HashMap::new() }
    }
}

impl<C: Copy + Eq + Hash> Repeats<C> {
    /// Counts an occurrence. Returns whether it is to be said now: it is the first of its interval.
    pub(super) fn count(&mut self, cause: C, now: Instant) -> bool {
        if let Some(said) = self.said.get_mut(&cause) {
            said.unsaid = said.unsaid.saturating_add(1);
            return false;
        }
        self.said.insert(cause, Said { at: now, unsaid: 0 });
        true
    }

    /// Returns the causes whose interval has ended and which occurred in it, each with how often it did beyond what was said.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(C, u64)> {
        let mut due = Vec::new();
        self.said.retain(|cause, said| {
            if now.duration_since(said.at) < INTERVAL {
                return true;
            }
            let occurred = said.unsaid > 0;
            if occurred {
                due.push((*cause, said.unsaid));
                *said = Said { at: now, unsaid: 0 };
            }
            occurred
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn the_first_warning_is_logged_at_once_and_repetitions_are_counted() {
        let begun = Instant::now();
        let mut repeats = Repeats::default();
        assert!(repeats.count("a", begun));
        for _ in 0..9 {
            assert!(!repeats.count("a", begun + MOMENT));
        }
        assert!(repeats.count("b", begun + MOMENT), "another cause is another line");
        assert_eq!(repeats.due(begun + INTERVAL - MOMENT), []);
        assert_eq!(repeats.due(begun + INTERVAL), [("a", 9)]);
        assert_eq!(repeats.due(begun + INTERVAL), [], "an interval begins with each line");
        assert!(!repeats.count("a", begun + INTERVAL + MOMENT));
        assert_eq!(repeats.due(begun + 2 * INTERVAL), [("a", 1)]);
    }

    #[test]
    fn a_warning_is_logged_at_once_again_after_an_interval_without_it() {
        let begun = Instant::now();
        let mut repeats = Repeats::default();
        assert!(repeats.count("a", begun));
        assert_eq!(repeats.due(begun + INTERVAL), []);
        assert!(repeats.said.is_empty(), "no entry is left");
        assert!(repeats.count("a", begun + INTERVAL + MOMENT));
    }
}

//! Rate limiting of log lines: counts occurrences since a cause was last logged.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// The time between two lines about one cause.
pub(super) const INTERVAL: Duration = Duration::from_mins(1);

/// Counts occurrences by cause, so that each cause is logged at once and then once per interval with its count.
///
/// ```text
/// absent ── count: log 1 ──▶ interval runs, count 0 ◀─────┐
///   ▲                              │ count: log nothing    │ end of the interval: log the count
///   │                              ▼                       │
///   └── end, count 0         interval runs, count > 0 ─────┘
/// ```
///
/// It holds an entry for each cause of the last interval. The number of causes must be bounded.
#[derive(Debug)]
pub(super) struct Repeats<C> {
    entries: HashMap<C, Entry>,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    count: u64,
}

impl<C> Default for Repeats<C> {
    fn default() -> Self {
        Self { entries: HashMap::new() }
    }
}

impl<C: Copy + Eq + Hash> Repeats<C> {
    /// Counts an occurrence. Returns whether it is to be logged now, because it is the first of its interval.
    pub(super) fn count(&mut self, cause: C, now: Instant) -> bool {
        if let Some(entry) = self.entries.get_mut(&cause) {
            entry.count = entry.count.saturating_add(1);
            return false;
        }
        self.entries.insert(cause, Entry { at: now, count: 0 });
        true
    }

    /// Returns the causes that occurred in an interval that has ended, each with the number of occurrences that were
    /// not logged.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(C, u64)> {
        let mut due = Vec::new();
        self.entries.retain(|cause, entry| {
            if now.duration_since(entry.at) < INTERVAL {
                return true;
            }
            let occurred = entry.count > 0;
            if occurred {
                due.push((*cause, entry.count));
                *entry = Entry { at: now, count: 0 };
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
        assert!(repeats.entries.is_empty(), "no entry is left");
        assert!(repeats.count("a", begun + INTERVAL + MOMENT));
    }
}

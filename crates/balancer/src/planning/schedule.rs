//! A queue by time.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

/// A priority queue of keys by time. Each key has at most one time. All operations are logarithmic in the number of
/// keys.
#[derive(Debug)]
pub(super) struct Schedule<K> {
    times: HashMap<K, Duration>,
    queue: BTreeSet<(Duration, K)>,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self { times: HashMap::new(), queue: BTreeSet::new() }
    }
}

impl<K: Clone + Ord + Hash> Schedule<K> {
    /// Sets the time of a key, in place of an earlier one.
    pub(super) fn set(&mut self, key: &K, at: Duration) {
        if let Some(before) = self.times.insert(key.clone(), at) {
            self.queue.remove(&(before, key.clone()));
        }
        self.queue.insert((at, key.clone()));
    }

    /// Removes a key.
    pub(super) fn remove(&mut self, key: &K) {
        if let Some(before) = self.times.remove(key) {
            self.queue.remove(&(before, key.clone()));
        }
    }

    /// Removes the key with the earliest time that is due at the time `now`, and returns both.
    pub(super) fn pop(&mut self, now: Duration) -> Option<(Duration, K)> {
        self.queue.first().filter(|(at, _)| *at <= now)?;
        let (at, key) = self.queue.pop_first()?;
        self.times.remove(&key);
        Some((at, key))
    }

    /// Removes all keys.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns the number of keys.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        debug_assert_eq!(self.times.len(), self.queue.len());
        self.times.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_due_once_in_the_order_of_times() {
        let second = Duration::from_secs;
        let mut schedule = Schedule::default();
        for (key, at) in [("a", 3), ("b", 1), ("c", 2), ("b", 5), ("d", 2)] {
            schedule.set(&key, second(at));
        }
        schedule.remove(&"d");
        schedule.remove(&"unknown");
        assert_eq!(schedule.pop(second(1)), None, "the later time of b counts");
        assert_eq!(schedule.pop(second(4)), Some((second(2), "c")));
        assert_eq!(schedule.pop(second(4)), Some((second(3), "a")));
        assert_eq!(schedule.pop(second(4)), None);
        assert_eq!(schedule.len(), 1);
        assert_eq!(schedule.pop(second(5)), Some((second(5), "b")));
        assert_eq!(schedule.len(), 0);
    }
}

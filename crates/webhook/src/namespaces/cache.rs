//! A cache of namespaces.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::Known;

/// In bytes. Annotations can be of any length.
const CAPACITY: usize = 1 << 20;
/// Bytes that an entry takes beside its texts, and that a text takes beside its content.
const ENTRY: usize = 256;
const TEXT: usize = 64;

/// What is known of namespaces, by name, in at most 1 MiB. The entry that was read longest ago is evicted first.
#[derive(Debug, Default)]
pub(super) struct Cache {
    kept: HashMap<String, Kept>,
    bytes: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) known: Arc<Known>,
    pub(super) read_at: Instant,
    bytes: usize,
}

impl Cache {
    pub(super) fn get(&self, name: &str) -> Option<Kept> {
        self.kept.get(name).cloned()
    }

    /// Adds what was read now, unless it is larger than the whole cache.
    pub(super) fn insert(&mut self, name: &str, known: Known, now: Instant) -> Arc<Known> {
        let bytes = size(name, &known);
        let known = Arc::new(known);
        self.drop(name);
        if bytes > CAPACITY {
            return known;
        }
        while self.bytes + bytes > CAPACITY {
            let Some(oldest) = self.kept.iter().min_by_key(|(_, kept)| kept.read_at).map(|(name, _)| name.clone())
            else {
                break;
            };
            self.drop(&oldest);
        }
        self.bytes += bytes;
        self.kept.insert(name.to_owned(), Kept { known: Arc::clone(&known), read_at: now, bytes });
        known
    }

    fn drop(&mut self, name: &str) {
        if let Some(kept) = self.kept.remove(name) {
            self.bytes -= kept.bytes;
        }
    }
}

/// Returns about as many bytes as an entry takes.
fn size(name: &str, known: &Known) -> usize {
    let texts = known
        .facts
        .annotations
        .iter()
        .chain(&known.facts.labels)
        .map(|(name, value)| 2 * TEXT + name.len() + value.len());
    ENTRY + name.len() + texts.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use inject::NamespaceFacts;

    use super::*;

    fn known(bytes: usize) -> Known {
        let annotations = BTreeMap::from([("evenkeel.dev/ports".to_owned(), "x".repeat(bytes))]);
        Known { facts: NamespaceFacts::of(&BTreeMap::new(), annotations), is_reviewed: true }
    }

    #[test]
    fn the_entry_read_longest_ago_is_evicted_first() {
        let begin = Instant::now();
        let mut cache = Cache::default();
        for number in 0..100 {
            cache.insert(&number.to_string(), known(CAPACITY / 10), begin + Duration::from_secs(number));
            assert!(cache.bytes <= CAPACITY);
        }
        let mut kept: Vec<u64> = cache.kept.keys().map(|name| name.parse().unwrap()).collect();
        kept.sort_unstable();
        assert_eq!(kept, (91..100).collect::<Vec<_>>());
        assert_eq!(cache.bytes, cache.kept.iter().map(|(name, kept)| size(name, &kept.known)).sum::<usize>());
    }

    #[test]
    fn a_replaced_entry_counts_once_and_one_that_is_too_large_is_not_kept() {
        let now = Instant::now();
        let mut cache = Cache::default();
        cache.insert("a", known(1000), now);
        cache.insert("a", known(10), now);
        assert_eq!(cache.bytes, size("a", &known(10)));
        assert_eq!(*cache.insert("a", known(CAPACITY), now), known(CAPACITY));
        assert!(cache.get("a").is_none() && cache.bytes == 0);
    }

    #[test]
    fn the_cache_is_bounded_for_any_number_of_names() {
        let now = Instant::now();
        let mut cache = Cache::default();
        for number in 0..2 * CAPACITY / ENTRY {
            cache.insert(&number.to_string(), known(0), now);
        }
        assert!(cache.bytes <= CAPACITY && cache.kept.len() < CAPACITY / ENTRY);
    }
}

//! Namespaces that were read not long ago.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::Known;

/// In bytes. An annotation is of any length, and most namespaces have none of ours.
const MOST: usize = 1 << 20;
/// What an entry takes beside its text, and what a piece of text takes beside its bytes.
const ENTRY: usize = 256;
const TEXT: usize = 64;

/// What is known of namespaces by name, of at most 1 MiB: there, the one that was read longest ago goes for the next.
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

    /// Keeps what was read just now, if it is not larger than everything may be.
    pub(super) fn keep(&mut self, name: &str, known: Known, now: Instant) -> Arc<Known> {
        let bytes = size(name, &known);
        let known = Arc::new(known);
        self.drop(name);
        if bytes > MOST {
            return known;
        }
        while self.bytes + bytes > MOST {
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

/// About as many bytes as it takes.
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
    fn what_was_read_longest_ago_goes_first() {
        let begin = Instant::now();
        let mut cache = Cache::default();
        for number in 0..100 {
            cache.keep(&number.to_string(), known(MOST / 10), begin + Duration::from_secs(number));
            assert!(cache.bytes <= MOST);
        }
        let mut kept: Vec<u64> = cache.kept.keys().map(|name| name.parse().unwrap()).collect();
        kept.sort_unstable();
        assert_eq!(kept, (91..100).collect::<Vec<_>>());
        assert_eq!(cache.bytes, cache.kept.iter().map(|(name, kept)| size(name, &kept.known)).sum::<usize>());
    }

    #[test]
    fn what_is_read_again_counts_once_and_what_is_too_large_is_not_kept() {
        let now = Instant::now();
        let mut cache = Cache::default();
        cache.keep("a", known(1000), now);
        cache.keep("a", known(10), now);
        assert_eq!(cache.bytes, size("a", &known(10)));
        assert_eq!(*cache.keep("a", known(MOST), now), known(MOST));
        assert!(cache.get("a").is_none() && cache.bytes == 0);
    }

    #[test]
    fn any_number_of_names_is_bounded() {
        let now = Instant::now();
        let mut cache = Cache::default();
        for number in 0..2 * MOST / ENTRY {
            cache.keep(&number.to_string(), known(0), now);
        }
        assert!(cache.bytes <= MOST && cache.kept.len() < MOST / ENTRY);
    }
}

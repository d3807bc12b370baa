//! What was seen and told of workloads that ask: two numbers for each.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::notice::Notice;
use crate::occasion::Occasion;

/// Some 3 MiB. Nothing is told of more workloads, as who makes so many does not read it.
const MOST: usize = 1 << 16;

/// The workloads of one kind, by a number for the uid. Those that do not ask are not in it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: HashMap<u64, Known>,
    /// Those of before, while everything is listed anew: who is not listed has gone.
    before: HashMap<u64, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    version: u64,
    injected: bool,
}

impl Memory {
    /// Everything is about to be listed.
    pub(super) fn list_begins(&mut self) {
        self.before.extend(self.known.drain());
    }

    /// Everything was listed.
    pub(super) fn list_ends(&mut self) {
        self.before = HashMap::new();
    }

    /// It has gone, or asks no more.
    pub(super) fn forget(&mut self, uid: &str) {
        self.known.remove(&number(&uid));
        self.before.remove(&number(&uid));
    }

    /// Whether it is known, or there is room for one more.
    pub(super) fn has_room_for(&self, uid: &str) -> bool {
        self.known.len() + self.before.len() < MOST || self.known.contains_key(&number(&uid))
    }

    /// Notes this version, of which there is nothing to tell.
    pub(super) fn note(&mut self, uid: &str, version: u64) {
        self.known.insert(number(&uid), Known { version, injected: false });
    }

    /// Whether there is nothing new in this `version` of a workload.
    pub(super) fn has_seen(&mut self, uid: &str, version: u64) -> bool {
        let uid = number(&uid);
        if let Some(known) = self.before.remove(&uid) {
            self.known.insert(uid, known);
        }
        self.known.get(&uid).is_some_and(|known| known.version == version)
    }

    /// Notes this version, and says whether `notice` is worth telling: warnings always, and an injection when it happens. What
    /// was injected before anybody looked (`is_old`) is no news.
    pub(super) fn is_news(&mut self, uid: &str, version: u64, notice: &Notice, is_old: bool) -> bool {
        let injected = notice.occasion == Occasion::Injected;
        let before = self.known.insert(number(&uid), Known { version, injected });
        !injected || before.map_or(!is_old, |before| !before.injected)
    }
}

/// A number for what can be hashed; the same in every replica of a version.
pub(super) fn number(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(occasion: Occasion) -> Notice {
        Notice { occasion, note: "x".to_owned(), generation: None }
    }

    #[test]
    fn an_injection_is_news_when_it_happens() {
        let mut memory = Memory::default();
        let injected = notice(Occasion::Injected);
        assert!(!memory.is_news("old", 1, &injected, true));
        assert!(memory.is_news("new", 1, &injected, false));
        assert!(!memory.is_news("new", 2, &injected, false), "it still is");
        assert!(memory.is_news("new", 3, &notice(Occasion::Skipped), true));
        assert!(memory.is_news("new", 4, &injected, true), "again");
    }

    #[test]
    fn a_version_is_seen_once_and_lists_forget_who_has_gone() {
        let mut memory = Memory::default();
        for uid in ["stays", "goes"] {
            assert!(!memory.has_seen(uid, 1));
            memory.is_news(uid, 1, &notice(Occasion::Missed), false);
            assert!(memory.has_seen(uid, 1) && !memory.has_seen(uid, 2));
        }
        memory.list_begins();
        assert!(memory.has_seen("stays", 1));
        memory.list_ends();
        assert!(memory.has_seen("stays", 1) && !memory.has_seen("goes", 1));
        memory.forget("stays");
        assert!(!memory.has_seen("stays", 1));
    }

    #[test]
    fn no_number_of_workloads_is_kept_for_ever() {
        let mut memory = Memory::default();
        for uid in 0..MOST {
            assert!(memory.has_room_for(&uid.to_string()));
            memory.note(&uid.to_string(), 1);
        }
        for lists in 0..2 {
            assert!(!memory.has_room_for("one more"), "{lists}");
            assert!(memory.has_seen("7", 1) && memory.has_room_for("7"), "{lists}");
            memory.list_begins();
        }
        memory.list_ends();
        assert!(memory.has_room_for("one more"));
    }
}

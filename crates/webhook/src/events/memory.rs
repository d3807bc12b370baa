//! What was seen and told of workloads that ask: a few numbers for each.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::notice::Notice;
use crate::occasion::Occasion;

/// Some 5 MiB. Nothing is told of more workloads, as who makes so many does not read it.
const MOST: usize = 1 << 16;

/// The workloads of one kind, by a number for the uid. Those that do not ask are not in it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: HashMap<u64, Known>,
    /// Those of before, while everything is listed anew: who is not listed has gone.
    before: HashMap<u64, Known>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// A number for the namespace.
    namespace: u64,
    version: u64,
    /// Whether its injection was told, or was there before anybody looked.
    told_injected: bool,
    has_proxy: bool,
}

/// A workload as it was looked at.
pub(super) struct Seen<'a> {
    pub(super) uid: &'a str,
    pub(super) namespace: &'a str,
    pub(super) version: u64,
    pub(super) has_proxy: bool,
    /// Whether it was there before anybody looked.
    pub(super) is_old: bool,
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

    /// Whether the proxy was in it when it was last looked at.
    pub(super) fn had_proxy(&self, uid: &str) -> bool {
        let uid = number(&uid);
        self.known.get(&uid).or_else(|| self.before.get(&uid)).is_some_and(|known| known.has_proxy)
    }

    /// Whether a workload in `namespace` is known.
    pub(super) fn is_in(&self, namespace: &str) -> bool {
        let namespace = number(&namespace);
        self.known.values().chain(self.before.values()).any(|known| known.namespace == namespace)
    }

    /// Whether there is nothing new in this `version` of a workload.
    pub(super) fn has_seen(&mut self, uid: &str, version: u64) -> bool {
        let uid = number(&uid);
        if let Some(known) = self.before.remove(&uid) {
            self.known.insert(uid, known);
        }
        self.known.get(&uid).is_some_and(|known| known.version == version)
    }

    /// Notes what was seen, and returns those of the `notices` that are worth telling: warnings always, and an injection when
    /// it happens. What was injected before anybody looked is no news.
    pub(super) fn news(&mut self, seen: &Seen<'_>, mut notices: Vec<Notice>) -> Vec<Notice> {
        let injected = notices.iter().any(|notice| notice.occasion == Occasion::Injected);
        let known = Known {
            namespace: number(&seen.namespace),
            version: seen.version,
            told_injected: injected,
            has_proxy: seen.has_proxy,
        };
        let before = self.known.insert(number(&seen.uid), known);
        let is_news = before.map_or(!seen.is_old, |before| !before.told_injected);
        notices.retain(|notice| notice.occasion != Occasion::Injected || is_news);
        notices
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

    fn seen(uid: &str, version: u64, is_old: bool) -> Seen<'_> {
        Seen { uid, namespace: "shop", version, has_proxy: true, is_old }
    }

    #[test]
    fn an_injection_is_news_when_it_happens() {
        let mut memory = Memory::default();
        let mut is_news = |uid, version, occasion, is_old| {
            let notices = vec![notice(occasion), notice(Occasion::Bypassed)];
            let news = memory.news(&seen(uid, version, is_old), notices);
            assert_eq!(news.last(), Some(&notice(Occasion::Bypassed)), "a warning always is");
            news.len() == 2
        };
        assert!(!is_news("old", 1, Occasion::Injected, true));
        assert!(is_news("new", 1, Occasion::Injected, false));
        assert!(!is_news("new", 2, Occasion::Injected, false), "it still is");
        assert!(is_news("new", 3, Occasion::Skipped, true));
        assert!(is_news("new", 4, Occasion::Injected, true), "again");
    }

    #[test]
    fn a_version_is_seen_once_and_lists_forget_who_has_gone() {
        let mut memory = Memory::default();
        for uid in ["stays", "goes"] {
            assert!(!memory.has_seen(uid, 1));
            memory.news(&seen(uid, 1, false), vec![notice(Occasion::Missed)]);
            assert!(memory.has_seen(uid, 1) && !memory.has_seen(uid, 2));
        }
        memory.list_begins();
        assert!(memory.had_proxy("goes") && memory.is_in("shop"), "while it is not known whether they have gone");
        assert!(memory.has_seen("stays", 1));
        memory.list_ends();
        assert!(memory.has_seen("stays", 1) && !memory.has_seen("goes", 1));
        assert!(memory.had_proxy("stays") && !memory.had_proxy("goes"));
        memory.forget("stays");
        assert!(!memory.has_seen("stays", 1) && !memory.had_proxy("stays") && !memory.is_in("shop"));
    }

    #[test]
    fn no_number_of_workloads_is_kept_for_ever() {
        let mut memory = Memory::default();
        for uid in 0..MOST {
            assert!(memory.has_room_for(&uid.to_string()));
            memory.news(&seen(&uid.to_string(), 1, false), Vec::new());
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

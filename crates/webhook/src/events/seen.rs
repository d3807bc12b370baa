//! Which versions of workloads have been seen: a few numbers for each workload that asks for the proxy.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::notice::Notice;
use crate::event_reason::EventReason;

/// Workloads; they take some 5 MiB. Workloads beyond this number get no Events.
const MOST: usize = 1 << 16;

/// The workloads of one kind that ask for the proxy, by a hash of their uid.
#[derive(Debug, Default)]
pub(super) struct SeenWorkloads {
    known: HashMap<u64, Known>,
    /// While all workloads are listed again: those seen before that are not listed yet.
    before: HashMap<u64, Known>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// A hash of the namespace.
    namespace: u64,
    version: u64,
    /// Whether its injection had an Event, or happened before the watch began.
    had_injection_event: bool,
    has_proxy: bool,
}

/// A workload as it was read.
pub(super) struct Seen<'a> {
    pub(super) uid: &'a str,
    pub(super) namespace: &'a str,
    pub(super) version: u64,
    pub(super) has_proxy: bool,
    /// Whether it existed before the watch began.
    pub(super) is_old: bool,
}

impl SeenWorkloads {
    /// A list of all workloads begins.
    pub(super) fn list_begins(&mut self) {
        self.before.extend(self.known.drain());
    }

    /// The list is complete. Workloads that are not in it no longer exist.
    pub(super) fn list_ends(&mut self) {
        self.before = HashMap::new();
    }

    /// Removes a workload that no longer exists, or no longer asks.
    pub(super) fn forget(&mut self, uid: &str) {
        self.known.remove(&hash(&uid));
        self.before.remove(&hash(&uid));
    }

    /// Returns whether the workload is known, or one more can be added.
    pub(super) fn has_room_for(&self, uid: &str) -> bool {
        self.known.len() + self.before.len() < MOST || self.known.contains_key(&hash(&uid))
    }

    /// Returns whether the proxy was in it when it was last read.
    pub(super) fn had_proxy(&self, uid: &str) -> bool {
        let uid = hash(&uid);
        self.known.get(&uid).or_else(|| self.before.get(&uid)).is_some_and(|known| known.has_proxy)
    }

    /// Returns whether a workload in `namespace` is known.
    pub(super) fn is_in(&self, namespace: &str) -> bool {
        let namespace = hash(&namespace);
        self.known.values().chain(self.before.values()).any(|known| known.namespace == namespace)
    }

    /// Returns whether this `version` of a workload was seen before.
    pub(super) fn contains(&mut self, uid: &str, version: u64) -> bool {
        let uid = hash(&uid);
        if let Some(known) = self.before.remove(&uid) {
            self.known.insert(uid, known);
        }
        self.known.get(&uid).is_some_and(|known| known.version == version)
    }

    /// Records what was seen, and returns the `notices` that need an Event: each warning does, and an injection when it
    /// happens. A workload that was injected before the watch began needs none.
    pub(super) fn unpublished(&mut self, seen: &Seen<'_>, mut notices: Vec<Notice>) -> Vec<Notice> {
        let injected = notices.iter().any(|notice| notice.reason == EventReason::Injected);
        let known = Known {
            namespace: hash(&seen.namespace),
            version: seen.version,
            had_injection_event: injected,
            has_proxy: seen.has_proxy,
        };
        let before = self.known.insert(hash(&seen.uid), known);
        let is_new = before.map_or(!seen.is_old, |before| !before.had_injection_event);
        notices.retain(|notice| notice.reason != EventReason::Injected || is_new);
        notices
    }
}

/// Returns a hash that is the same in every replica of a version.
pub(super) fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(reason: EventReason) -> Notice {
        Notice { reason, note: "x".to_owned(), generation: None }
    }

    fn now(uid: &str, version: u64, is_old: bool) -> Seen<'_> {
        Seen { uid, namespace: "shop", version, has_proxy: true, is_old }
    }

    #[test]
    fn an_injection_is_published_once_when_it_happens() {
        let mut seen = SeenWorkloads::default();
        let mut is_new = |uid, version, reason, is_old| {
            let notices = vec![notice(reason), notice(EventReason::Bypassed)];
            let unpublished = seen.unpublished(&now(uid, version, is_old), notices);
            assert_eq!(unpublished.last(), Some(&notice(EventReason::Bypassed)), "each warning needs an Event");
            unpublished.len() == 2
        };
        assert!(!is_new("old", 1, EventReason::Injected, true));
        assert!(is_new("new", 1, EventReason::Injected, false));
        assert!(!is_new("new", 2, EventReason::Injected, false), "it still is");
        assert!(is_new("new", 3, EventReason::Skipped, true));
        assert!(is_new("new", 4, EventReason::Injected, true), "again");
    }

    #[test]
    fn a_resource_version_is_considered_once_and_lists_remove_deleted_workloads() {
        let mut seen = SeenWorkloads::default();
        for uid in ["stays", "goes"] {
            assert!(!seen.contains(uid, 1));
            seen.unpublished(&now(uid, 1, false), vec![notice(EventReason::Missed)]);
            assert!(seen.contains(uid, 1) && !seen.contains(uid, 2));
        }
        seen.list_begins();
        assert!(seen.had_proxy("goes") && seen.is_in("shop"), "until the list ends");
        assert!(seen.contains("stays", 1));
        seen.list_ends();
        assert!(seen.contains("stays", 1) && !seen.contains("goes", 1));
        assert!(seen.had_proxy("stays") && !seen.had_proxy("goes"));
        seen.forget("stays");
        assert!(!seen.contains("stays", 1) && !seen.had_proxy("stays") && !seen.is_in("shop"));
    }

    #[test]
    fn the_number_of_workloads_is_bounded() {
        let mut seen = SeenWorkloads::default();
        for uid in 0..MOST {
            assert!(seen.has_room_for(&uid.to_string()));
            seen.unpublished(&now(&uid.to_string(), 1, false), Vec::new());
        }
        for lists in 0..2 {
            assert!(!seen.has_room_for("one more"), "{lists}");
            assert!(seen.contains("7", 1) && seen.has_room_for("7"), "{lists}");
            seen.list_begins();
        }
        seen.list_ends();
        assert!(seen.has_room_for("one more"));
    }
}

//! The labelled pods, and the times since which they have received traffic.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::pod::{Change, Pod, Slice, Uid};

/// How long a pod must have been ready before it counts: nodes need time to route traffic to it.
pub(super) const SETTLING: Duration = Duration::from_secs(3);

/// The labelled pods, by uid.
#[derive(Debug, Default)]
pub(super) struct Roster {
    pods: HashMap<Uid, Member>,
    slices: HashMap<SliceKey, Vec<Uid>>,
    /// The number of slices of a namespace in which a uid is ready.
    ready_in: HashMap<(Arc<str>, Uid), u32>,
    pods_listed: bool,
    slices_listed: bool,
}

type SliceKey = (Arc<str>, Arc<str>);

#[derive(Debug)]
struct Member {
    pod: Pod,
    /// The time since which it has been ready and in a slice.
    takes_traffic_since: Option<Duration>,
}

impl Roster {
    /// Applies a change at the time `now`. Returns the uids of pods that are new, gone, or whose readiness has changed.
    pub(super) fn observe(&mut self, change: Change, now: Duration) -> Vec<Uid> {
        match change {
            Change::Pod(pod) => self.put(pod, now).into_iter().collect(),
            Change::PodGone(uid) => self.remove(&uid).into_iter().collect(),
            Change::Pods(pods) => self.replace_pods(pods, now),
            Change::Slice(slice) => self.put_slice(slice, now),
            Change::SliceGone { namespace, name } => self.remove_slice(&(namespace, name), now),
            Change::Slices(slices) => self.replace_slices(slices, now),
        }
    }

    /// Returns whether both kinds have been listed once. Before that it is unknown which pods receive traffic.
    pub(super) const fn is_complete(&self) -> bool {
        self.pods_listed && self.slices_listed
    }

    /// Returns a labelled pod by its uid.
    pub(super) fn pod(&self, uid: &str) -> Option<&Pod> {
        self.pods.get(uid).map(|member| &member.pod)
    }

    /// Returns all pods.
    pub(super) fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values().map(|member| &member.pod)
    }

    /// Returns the address of a pod's admin port.
    pub(super) fn address(&self, uid: &str) -> Option<IpAddr> {
        self.pods.get(uid)?.pod.address
    }

    /// Returns the time at which a pod settles or settled: [`SETTLING`] after it was ready in the API and in a slice.
    pub(super) fn settles_at(&self, uid: &str) -> Option<Duration> {
        Some(self.pods.get(uid)?.takes_traffic_since?.saturating_add(SETTLING))
    }

    fn put(&mut self, pod: Pod, now: Duration) -> Option<Uid> {
        let uid = Arc::clone(&pod.uid);
        let before = self.pods.remove(&uid);
        let since = before.as_ref().and_then(|before| before.takes_traffic_since);
        let takes_traffic = self.takes_traffic(&pod);
        let changed = before.is_none_or(|before| before.pod.address != pod.address) || since.is_some() != takes_traffic;
        let takes_traffic_since = takes_traffic.then(|| since.unwrap_or_else(|| self.since(now)));
        self.pods.insert(Arc::clone(&uid), Member { pod, takes_traffic_since });
        changed.then_some(uid)
    }

    fn takes_traffic(&self, pod: &Pod) -> bool {
        let key = (Arc::clone(&pod.namespace), Arc::clone(&pod.uid));
        pod.is_ready && pod.address.is_some() && self.ready_in.contains_key(&key)
    }

    /// Returns the start of the settling time. A pod that was ready in the first list may have been ready for long, so
    /// it counts at once.
    fn since(&self, now: Duration) -> Duration {
        if self.is_complete() { now } else { Duration::ZERO }
    }

    fn remove(&mut self, uid: &str) -> Option<Uid> {
        self.pods.remove(uid).map(|member| member.pod.uid)
    }

    fn replace_pods(&mut self, pods: Vec<Pod>, now: Duration) -> Vec<Uid> {
        let listed: BTreeSet<&str> = pods.iter().map(|pod| &*pod.uid).collect();
        let gone: Vec<Uid> = self.pods.keys().filter(|uid| !listed.contains(&***uid)).cloned().collect();
        let mut changed: Vec<Uid> = gone.iter().filter_map(|uid| self.remove(uid)).collect();
        changed.extend(pods.into_iter().filter_map(|pod| self.put(pod, now)));
        self.pods_listed = true;
        changed
    }

    fn put_slice(&mut self, slice: Slice, now: Duration) -> Vec<Uid> {
        let Slice { namespace, name, ready } = slice;
        for uid in &ready {
            *self.ready_in.entry((Arc::clone(&namespace), Arc::clone(uid))).or_default() += 1;
        }
        let before = self.slices.insert((Arc::clone(&namespace), name), ready.clone()).unwrap_or_default();
        self.release(&namespace, &before);
        before.iter().chain(&ready).filter_map(|uid| self.update_traffic(uid, now)).collect()
    }

    fn remove_slice(&mut self, key: &SliceKey, now: Duration) -> Vec<Uid> {
        let before = self.slices.remove(key).unwrap_or_default();
        self.release(&key.0, &before);
        before.iter().filter_map(|uid| self.update_traffic(uid, now)).collect()
    }

    fn replace_slices(&mut self, slices: Vec<Slice>, now: Duration) -> Vec<Uid> {
        let listed: BTreeSet<(&str, &str)> = slices.iter().map(|slice| (&*slice.namespace, &*slice.name)).collect();
        let gone: Vec<SliceKey> = self
            .slices
            .keys()
            .filter(|(namespace, name)| !listed.contains(&(&**namespace, &**name)))
            .cloned()
            .collect();
        // Listed slices are applied before others are removed: a pod that moves between slices receives traffic all the
        // time.
        let mut changed: Vec<Uid> = slices.into_iter().flat_map(|slice| self.put_slice(slice, now)).collect();
        changed.extend(gone.iter().flat_map(|key| self.remove_slice(key, now)));
        self.slices_listed = true;
        changed
    }

    fn release(&mut self, namespace: &Arc<str>, uids: &[Uid]) {
        for uid in uids {
            let key = (Arc::clone(namespace), Arc::clone(uid));
            if let Some(slices) = self.ready_in.get_mut(&key) {
                *slices -= 1;
                if *slices == 0 {
                    self.ready_in.remove(&key);
                }
            }
        }
    }

    /// Updates whether a pod receives traffic. Returns its uid if that has changed.
    fn update_traffic(&mut self, uid: &Uid, now: Duration) -> Option<Uid> {
        let takes_traffic = self.takes_traffic(&self.pods.get(uid)?.pod);
        let start = self.since(now);
        let since = &mut self.pods.get_mut(uid)?.takes_traffic_since;
        if since.is_some() == takes_traffic {
            return None;
        }
        *since = takes_traffic.then_some(start);
        Some(Arc::clone(uid))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn pod(uid: &str) -> Pod {
        Pod {
            uid: uid.into(),
            namespace: "shop".into(),
            name: uid.into(),
            controller: None,
            address: Some(IpAddr::from([10, 0, 0, 1])),
            is_ready: true,
        }
    }

    fn slice(name: &str, ready: &[&str]) -> Slice {
        Slice { namespace: "shop".into(), name: name.into(), ready: ready.iter().map(|uid| (*uid).into()).collect() }
    }

    fn complete() -> Roster {
        let mut roster = Roster::default();
        roster.observe(Change::Pods(Vec::new()), NOW);
        roster.observe(Change::Slices(Vec::new()), NOW);
        roster
    }

    #[test]
    fn a_pod_settles_three_seconds_after_it_and_its_endpoint_are_ready() {
        let mut roster = complete();
        roster.observe(Change::Slice(slice("a", &["1"])), NOW);
        assert_eq!(roster.observe(Change::Pod(pod("1")), NOW), ["1".into()]);
        assert_eq!(roster.settles_at("1"), Some(NOW + SETTLING));
        roster.observe(Change::Pod(pod("2")), NOW);
        assert_eq!(roster.settles_at("2"), None);
        let later = NOW + Duration::from_secs(5);
        assert_eq!(roster.observe(Change::Slice(slice("a", &["1", "2"])), later), ["2".into()]);
        assert_eq!(roster.settles_at("2"), Some(later + SETTLING));
        assert_eq!(roster.settles_at("1"), Some(NOW + SETTLING), "a ready pod settles again");
    }

    #[test]
    fn pods_of_the_first_lists_have_settled() {
        let mut roster = Roster::default();
        roster.observe(Change::Pods(vec![pod("1")]), NOW);
        roster.observe(Change::Slices(vec![slice("a", &["1"])]), NOW);
        assert_eq!(roster.settles_at("1"), Some(SETTLING));
    }

    #[test]
    fn a_pod_without_readiness_address_or_endpoint_has_not_settled() {
        for without in [
            Pod { is_ready: false, ..pod("1") },
            Pod { address: None, ..pod("1") },
            Pod { namespace: "other".into(), ..pod("1") },
        ] {
            let mut roster = complete();
            roster.observe(Change::Slice(slice("a", &["1"])), NOW);
            roster.observe(Change::Pod(without.clone()), NOW);
            assert_eq!(roster.settles_at("1"), None, "{without:?}");
        }
    }

    #[test]
    fn a_pod_that_moves_between_endpoint_slices_stays_settled() {
        let mut roster = complete();
        roster.observe(Change::Pod(pod("1")), NOW);
        roster.observe(Change::Slice(slice("a", &["1"])), NOW);
        let later = NOW + Duration::from_secs(9);
        assert!(roster.observe(Change::Slices(vec![slice("b", &["1"])]), later).is_empty());
        assert_eq!(roster.settles_at("1"), Some(NOW + SETTLING));
        roster.observe(Change::SliceGone { namespace: "shop".into(), name: "b".into() }, later);
        assert_eq!(roster.settles_at("1"), None);
    }

    #[test]
    fn a_list_removes_pods_and_slices_that_it_does_not_have() {
        let mut roster = complete();
        roster.observe(Change::Pod(pod("1")), NOW);
        assert_eq!(roster.observe(Change::Pods(vec![pod("2")]), NOW), ["1".into(), "2".into()]);
        assert_eq!(roster.observe(Change::PodGone("2".into()), NOW), ["2".into()]);
        assert_eq!(roster.pods().count(), 0);
    }

    fn changes() -> impl Strategy<Value = Change> {
        let uid = || (0u8..4).prop_map(|uid| uid.to_string());
        let slice = || {
            (0u8..3, proptest::collection::vec(uid(), 0..4)).prop_map(|(name, ready)| {
                slice(&name.to_string(), &ready.iter().map(String::as_str).collect::<Vec<_>>())
            })
        };
        let pod = || (uid(), any::<bool>()).prop_map(|(uid, is_ready)| Pod { is_ready, ..pod(&uid) });
        prop_oneof![
            pod().prop_map(Change::Pod),
            uid().prop_map(|uid| Change::PodGone(uid.into())),
            proptest::collection::vec(pod(), 0..4).prop_map(Change::Pods),
            slice().prop_map(Change::Slice),
            (0u8..3).prop_map(|name| Change::SliceGone { namespace: "shop".into(), name: name.to_string().into() }),
            proptest::collection::vec(slice(), 0..3).prop_map(Change::Slices),
        ]
    }

    proptest! {
        /// The result depends on the present state alone, not on earlier changes.
        #[test]
        fn settled_pods_depend_only_on_the_present_objects(changes in proptest::collection::vec(changes(), 0..60)) {
            let mut roster = complete();
            let mut pods = BTreeMap::new();
            let mut slices = BTreeMap::new();
            for change in changes {
                match change.clone() {
                    Change::Pod(pod) => _ = pods.insert(pod.uid.clone(), pod),
                    Change::PodGone(uid) => _ = pods.remove(&uid),
                    Change::Pods(all) => pods = all.into_iter().map(|pod| (pod.uid.clone(), pod)).collect(),
                    Change::Slice(slice) => _ = slices.insert(slice.name.clone(), slice.ready),
                    Change::SliceGone { name, .. } => _ = slices.remove(&name),
                    Change::Slices(all) => {
                        slices = all.into_iter().map(|slice| (slice.name, slice.ready)).collect();
                    }
                }
                roster.observe(change, NOW);
                for uid in ["0", "1", "2", "3"] {
                    let ready = pods.get(uid).is_some_and(|pod| pod.is_ready)
                        && slices.values().any(|ready| ready.iter().any(|ready| &**ready == uid));
                    prop_assert_eq!(roster.settles_at(uid).is_some(), ready);
                    prop_assert_eq!(roster.pod(uid).is_some(), pods.contains_key(uid));
                }
            }
            let listed: usize = slices.values().map(Vec::len).sum();
            prop_assert!(roster.ready_in.len() <= listed);
        }
    }
}

//! Changes, reports and time in; whom to ask, and with which instruction, out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use balancing::{KeyId, Report, Workload, WorkloadInstruction};

use super::group::{Group, Summary};
use super::patience::Patience;
use super::pod::{Change, Pod, Uid};
use super::roster::Roster;
use super::siblings::{Controller, Siblings};

/// How often a pod is asked to which workload it belongs, while it does not say.
const FIRST_ANSWER_EVERY: Duration = Duration::from_secs(1);

/// The balancer without its I/O. Times are measured from any point in the past.
///
/// ```text
///              first report                  report for another workload
/// unknown pod ───────────────▶ pod of a workload ───┐
///   ▲  asked for its report        asked in rounds ◀┘
///   └── restart(): what was known is forgotten ──────
/// ```
#[derive(Debug, Default)]
pub struct Balancer {
    roster: Roster,
    groups: BTreeMap<Workload, Group>,
    pods: HashMap<Uid, Known>,
    siblings: Siblings,
    /// Unknown pods, by the time at which each is to be asked.
    unknown: BTreeSet<(Duration, Uid)>,
}

/// What is remembered of a pod.
#[derive(Debug, Default)]
struct Known {
    controller: Option<Controller>,
    workload: Option<Workload>,
    /// What a sibling has reported: until this one does, it is missing there.
    is_expected_by: Option<Workload>,
    patience: Patience,
    /// An answer is still awaited: it is not asked again before.
    is_asked: bool,
    /// Its place in the list of unknown pods.
    planned: Option<Duration>,
}

/// The pods that are to be told or asked the same.
#[derive(Debug, PartialEq)]
pub struct Round {
    /// What they are told; `None` if they are only asked.
    pub instruction: Option<WorkloadInstruction>,
    /// Whom to ask.
    pub pods: Vec<Asked>,
    /// How long after its time the round is begun.
    pub late: Duration,
}

/// A pod that is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its uid, to come back with the answer.
    pub uid: Uid,
    /// Its own address.
    pub address: IpAddr,
    /// Whether it has failed to answer lately, or never has answered: others must not wait for it.
    pub is_doubtful: bool,
}

/// What came of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is a report of the pod's workload.
    Report,
    /// It is about a workload of another namespace than the pod's.
    ForeignNamespace,
    /// The pod is gone.
    Gone,
}

impl Balancer {
    /// Takes a change of the cluster in.
    pub fn observe(&mut self, change: Change, now: Duration) {
        for uid in self.roster.observe(change, now) {
            self.look_at(&uid, now);
        }
    }

    /// Forgets all reports, as somebody else has led in the meantime.
    pub fn restart(&mut self, now: Duration) {
        self.groups.clear();
        self.pods.clear();
        self.siblings.clear();
        self.unknown.clear();
        let all: Vec<Uid> = self.roster.pods().map(|pod| pod.uid.clone()).collect();
        for uid in all {
            self.look_at(&uid, now);
        }
    }

    /// Returns whether both lists have been read: before that there is nobody to ask.
    pub const fn is_complete(&self) -> bool {
        self.roster.is_complete()
    }

    /// Returns whom to ask now. `since_epoch` is the wall clock.
    pub fn due(&mut self, now: Duration, since_epoch: Duration) -> Vec<Round> {
        let mut rounds = Vec::new();
        for group in self.groups.values_mut().filter(|group| group.next_round <= now) {
            let late = now.saturating_sub(group.next_round);
            let instruction = group.round(&self.roster, now, since_epoch);
            let pods = group.members().filter_map(|uid| ask(&mut self.pods, &self.roster, uid, now)).collect();
            rounds.push(Round { instruction, pods, late });
        }
        let mut pods = Vec::new();
        while let Some((_, uid)) = self.unknown.first().filter(|(at, _)| *at <= now).cloned() {
            // It comes back with its answer.
            self.plan(&uid, None);
            pods.extend(ask(&mut self.pods, &self.roster, &uid, now));
        }
        if !pods.is_empty() {
            rounds.push(Round { instruction: None, pods, late: Duration::ZERO });
        }
        rounds
    }

    /// Takes an answer in.
    pub fn answered(&mut self, uid: &Uid, report: Report, now: Duration) -> Taken {
        let (Some(pod), Some(known)) = (self.roster.pod(uid), self.pods.get_mut(uid)) else { return Taken::Gone };
        if report.workload.namespace() != &*pod.namespace {
            self.failed(uid, now);
            return Taken::ForeignNamespace;
        }
        known.is_asked = false;
        known.patience = Patience::default();
        let before = known.workload.replace(report.workload.clone()).or(known.is_expected_by.take());
        let controller = known.controller.clone();
        if let Some(before) = before.filter(|before| *before != report.workload) {
            leave(&mut self.groups, &before, uid);
        }
        let workload = report.workload.clone();
        let group =
            self.groups.entry(workload.clone()).or_insert_with_key(|workload| Group::new(workload.clone(), now));
        group.report(uid.clone(), report, now);
        if let Some(at) = self.roster.settles_at(uid).filter(|at| *at > now) {
            group.hasten(at);
        }
        if let Some(controller) = controller {
            for sibling in self.siblings.report(&controller, uid, &workload) {
                self.expect(&sibling, &workload);
            }
        }
        Taken::Report
    }

    /// Takes in that a pod gave no answer, or none that is a report.
    pub fn failed(&mut self, uid: &Uid, now: Duration) {
        let Some(known) = self.pods.get_mut(uid) else { return };
        known.is_asked = false;
        known.patience = known.patience.failed(now);
        if known.workload.is_none() {
            let at = known.patience.not_before().max(now + FIRST_ANSWER_EVERY);
            self.plan(uid, Some(at));
        }
    }

    /// Returns every workload with what its last round found.
    pub fn summaries(&self) -> impl Iterator<Item = (&Workload, Option<&Summary>)> {
        self.groups.values().map(|group| (group.workload(), group.summary()))
    }

    /// Returns every workload.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// Returns a labelled pod.
    pub fn pod(&self, uid: &str) -> Option<&Pod> {
        self.roster.pod(uid)
    }

    /// Returns how many pods are labelled, and how many of them have not said to which workload they belong.
    pub fn count_pods(&self) -> (usize, usize) {
        let unknown = self.pods.values().filter(|known| known.workload.is_none()).count();
        (self.pods.len(), unknown)
    }

    /// Returns whether every pod that reports knows the key: only then can it sign.
    pub fn is_known_everywhere(&self, key: KeyId) -> bool {
        self.groups.values().flat_map(Group::reports).all(|(_, report)| report.keys.contains(&key))
    }

    /// A pod is new, gone, or takes traffic otherwise than before.
    fn look_at(&mut self, uid: &Uid, now: Duration) {
        let Some(pod) = self.roster.pod(uid) else {
            self.forget(uid, now);
            return;
        };
        // Until it is ready, its proxy may not have started.
        let is_worth_asking = pod.is_ready && pod.address.is_some();
        let known = self.pods.entry(uid.clone()).or_insert_with(|| Known::under(Controller::of(pod)));
        let controller = known.controller.clone();
        match &known.workload {
            Some(workload) => {
                let at = self.roster.settles_at(uid).filter(|at| *at > now).unwrap_or(now);
                hasten(&mut self.groups, workload, at);
            }
            None if known.is_asked => {}
            None => {
                known.patience = Patience::default();
                self.plan(uid, is_worth_asking.then(|| now + spread(uid)));
            }
        }
        let workload = controller.and_then(|controller| self.siblings.add(controller, uid.clone()));
        if let Some(workload) = workload {
            self.expect(uid, &workload);
        }
    }

    /// A sibling of a pod has reported `workload`.
    fn expect(&mut self, uid: &Uid, workload: &Workload) {
        let is_new = |known: &&mut Known| known.workload.is_none() && known.is_expected_by.is_none();
        if let Some(known) = self.pods.get_mut(uid).filter(is_new)
            && let Some(group) = self.groups.get_mut(workload)
        {
            known.is_expected_by = Some(workload.clone());
            group.expect(uid.clone());
        }
    }

    fn forget(&mut self, uid: &Uid, now: Duration) {
        self.plan(uid, None);
        let Some(Known { controller, workload, is_expected_by, .. }) = self.pods.remove(uid) else { return };
        if let Some(controller) = controller {
            self.siblings.remove(&controller, uid);
        }
        if let Some(workload) = workload.or(is_expected_by) {
            leave(&mut self.groups, &workload, uid);
            hasten(&mut self.groups, &workload, now);
        }
    }

    /// Puts an unknown pod on the list of those that are to be asked, in the place of an earlier entry, or takes it off.
    fn plan(&mut self, uid: &Uid, at: Option<Duration>) {
        let Some(known) = self.pods.get_mut(uid) else { return };
        let before = std::mem::replace(&mut known.planned, at);
        if let Some(before) = before {
            self.unknown.remove(&(before, uid.clone()));
        }
        if let Some(at) = at {
            self.unknown.insert((at, uid.clone()));
        }
    }
}

impl Known {
    fn under(controller: Option<Controller>) -> Self {
        Self { controller, ..Self::default() }
    }
}

fn ask(pods: &mut HashMap<Uid, Known>, roster: &Roster, uid: &Uid, now: Duration) -> Option<Asked> {
    let address = roster.address(uid)?;
    let known = pods.get_mut(uid).filter(|known| !known.is_asked && known.patience.allows(now))?;
    known.is_asked = true;
    let is_doubtful = known.patience.is_doubtful() || known.workload.is_none();
    Some(Asked { uid: uid.clone(), address, is_doubtful })
}

fn leave(groups: &mut BTreeMap<Workload, Group>, workload: &Workload, uid: &Uid) {
    if groups.get_mut(workload).is_some_and(|group| !group.remove(uid)) {
        groups.remove(workload);
    }
}

fn hasten(groups: &mut BTreeMap<Workload, Group>, workload: &Workload, at: Duration) {
    if let Some(group) = groups.get_mut(workload) {
        group.hasten(at);
    }
}

/// Up to half a second by uid, so that a new leader does not ask all pods in one moment.
fn spread(uid: &str) -> Duration {
    let hash = uid.bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    Duration::from_millis(u64::from(hash % 500))
}

#[cfg(test)]
mod tests;

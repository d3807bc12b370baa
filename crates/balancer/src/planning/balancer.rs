//! Changes, reports and time in; requests to pods and instructions out.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use balancing::{KeyId, Report, Workload, WorkloadInstruction};

use super::backoff::Backoff;
use super::group::{Group, Summary};
use super::pace;
use super::pod::{Change, Pod, Uid};
use super::roster::Roster;
use super::schedule::Schedule;
use super::siblings::{FamilyName, Siblings};
use super::token_bucket::TokenBucket;

/// How often a pod is asked for its workload until it has reported one.
const FIRST_ANSWER_EVERY: Duration = Duration::from_secs(1);
/// Requests per second to pods of workloads at rest. Workloads that are uneven or have changed do not count.
const QUESTIONS_AT_REST: u32 = 4_000;
/// Requests per second to pods that have not reported their workload.
const FIRST_QUESTIONS: u32 = 4_000;

/// The balancer without its I/O. Times are measured from any point in the past.
///
/// ```text
///              first report                  report for another workload
/// unknown pod ───────────────▶ pod of a workload ───┐
///   ▲  asked for its report        asked in rounds ◀┘
///   └── restart(): what was known is forgotten ──────
/// ```
///
/// Finding what is due takes no time for what is not. Rounds of workloads that are uneven or have changed begin on time. All others share
/// a budget of requests, and a large workload is asked pod by pod.
#[derive(Debug)]
pub struct Balancer {
    roster: Roster,
    groups: BTreeMap<Workload, Group>,
    pods: HashMap<Uid, Known>,
    siblings: Siblings,
    /// Pods without a known workload, by the time of the next request.
    unknown: Schedule<Uid>,
    first_questions: TokenBucket,
    /// Workloads whose next round must be on time.
    urgent: Schedule<Workload>,
    /// All others.
    at_rest: Schedule<Workload>,
    questions_at_rest: TokenBucket,
    /// The round of a workload at rest that has begun.
    begun: Option<Begun>,
}

/// A round with pods that are still to be asked.
#[derive(Debug)]
struct Begun {
    workload: Workload,
    instruction: Option<WorkloadInstruction>,
    pods: VecDeque<Uid>,
}

/// The state of a pod.
#[derive(Debug, Default)]
struct Known {
    family: Option<FamilyName>,
    workload: Option<Workload>,
    /// The workload that a sibling has reported. Until this pod reports, it counts as missing there.
    is_expected_by: Option<Workload>,
    backoff: Backoff,
    /// A request is in flight, so that it is not asked again.
    is_asked: bool,
}

/// Pods that get the same request.
#[derive(Debug, PartialEq)]
pub struct Round {
    /// The instruction for them; `None` if they are only asked for their reports.
    pub instruction: Option<WorkloadInstruction>,
    /// The pods.
    pub pods: Vec<Asked>,
    /// How late the round begins; `None` if it was allowed to wait.
    pub late: Option<Duration>,
}

/// A pod that is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its uid, for the answer.
    pub uid: Uid,
    /// Its own address.
    pub address: IpAddr,
    /// Whether it failed to answer the last request, or never answered: other pods must not wait for it.
    pub is_doubtful: bool,
}

/// The result of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is a report of the pod's workload.
    Report,
    /// It is for a workload of another namespace, or of another controller, than the pod's.
    ForeignWorkload,
    /// The pod is gone.
    Gone,
}

impl Default for Balancer {
    fn default() -> Self {
        Self {
            roster: Roster::default(),
            groups: BTreeMap::new(),
            pods: HashMap::new(),
            siblings: Siblings::default(),
            unknown: Schedule::default(),
            first_questions: TokenBucket::new(FIRST_QUESTIONS),
            urgent: Schedule::default(),
            at_rest: Schedule::default(),
            questions_at_rest: TokenBucket::new(QUESTIONS_AT_REST),
            begun: None,
        }
    }
}

impl Balancer {
    /// Applies a change of the cluster.
    pub fn observe(&mut self, change: Change, now: Duration) {
        for uid in self.roster.observe(change, now) {
            self.look_at(&uid, now);
        }
    }

    /// Drops all reports, because another replica may have led in the meantime.
    pub fn restart(&mut self, now: Duration) {
        self.groups.clear();
        self.pods.clear();
        self.siblings.clear();
        self.unknown.clear();
        self.urgent.clear();
        self.at_rest.clear();
        self.begun = None;
        let all: Vec<Uid> = self.roster.pods().map(|pod| pod.uid.clone()).collect();
        for uid in all {
            self.look_at(&uid, now);
        }
    }

    /// Returns whether both lists have been read. Before that, no pod is asked.
    pub const fn is_complete(&self) -> bool {
        self.roster.is_complete()
    }

    /// Returns the rounds that are due. `since_epoch` is the wall clock.
    pub fn due(&mut self, now: Duration, since_epoch: Duration) -> Vec<Round> {
        let mut rounds = Vec::new();
        while let Some((at, workload)) = self.urgent.pop(now) {
            let Some(Begun { instruction, pods, .. }) = self.begin(workload, now, since_epoch) else { continue };
            let pods = pods.iter().filter_map(|uid| ask(&mut self.pods, &self.roster, uid, now)).collect();
            rounds.push(Round { instruction, pods, late: Some(now.saturating_sub(at)) });
        }
        rounds.extend(self.ask_unknown(now));
        self.questions_at_rest.fill(now);
        while self.questions_at_rest.is_left() {
            let Some(begun) = self.begun.take().or_else(|| self.begin_at_rest(now, since_epoch)) else { break };
            rounds.push(self.go_on(begun, now));
        }
        rounds
    }

    /// Begins a round of a workload.
    fn begin(&mut self, workload: Workload, now: Duration, since_epoch: Duration) -> Option<Begun> {
        let at_rest = pace::at_rest(self.pods.len());
        let group = self.groups.get_mut(&workload)?;
        let instruction = group.round(&self.roster, at_rest, now, since_epoch);
        let pods = group.members().cloned().collect();
        self.arrange(&workload);
        // Pods would refuse an older instruction that is still to be sent.
        self.begun.take_if(|begun| begun.workload == workload);
        Some(Begun { workload, instruction, pods })
    }

    fn begin_at_rest(&mut self, now: Duration, since_epoch: Duration) -> Option<Begun> {
        let (_, workload) = self.at_rest.pop(now)?;
        self.begin(workload, now, since_epoch)
    }

    /// Asks as many pods of a round as the budget allows.
    fn go_on(&mut self, mut begun: Begun, now: Duration) -> Round {
        let mut pods = Vec::new();
        while self.questions_at_rest.is_left()
            && let Some(uid) = begun.pods.pop_front()
        {
            if let Some(asked) = ask(&mut self.pods, &self.roster, &uid, now) {
                self.questions_at_rest.take();
                pods.push(asked);
            }
        }
        let instruction = begun.instruction.clone();
        self.begun = Some(begun).filter(|begun| !begun.pods.is_empty());
        Round { instruction, pods, late: None }
    }

    fn ask_unknown(&mut self, now: Duration) -> Option<Round> {
        self.first_questions.fill(now);
        let mut pods = Vec::new();
        while self.first_questions.is_left()
            && let Some((_, uid)) = self.unknown.pop(now)
        {
            // Its answer schedules it again.
            if let Some(asked) = ask(&mut self.pods, &self.roster, &uid, now) {
                self.first_questions.take();
                pods.push(asked);
            }
        }
        (!pods.is_empty()).then_some(Round { instruction: None, pods, late: None })
    }

    /// Schedules the next round of a workload.
    fn arrange(&mut self, workload: &Workload) {
        match self.groups.get(workload).map(Group::next_round) {
            Some((at, true)) => {
                self.at_rest.remove(workload);
                self.urgent.set(workload, at);
            }
            Some((at, false)) => {
                self.urgent.remove(workload);
                self.at_rest.set(workload, at);
            }
            None => {
                self.urgent.remove(workload);
                self.at_rest.remove(workload);
            }
        }
    }

    /// Applies the answer of a pod.
    pub fn answered(&mut self, uid: &Uid, report: Report, now: Duration) -> Taken {
        let (Some(pod), Some(known)) = (self.roster.pod(uid), self.pods.get_mut(uid)) else { return Taken::Gone };
        let is_of_controller = pod.controller.as_ref().is_none_or(|controller| controller.is_of(&report.workload));
        if report.workload.namespace() != &*pod.namespace || !is_of_controller {
            self.failed(uid, now);
            return Taken::ForeignWorkload;
        }
        known.is_asked = false;
        known.backoff = Backoff::default();
        let before = known.workload.replace(report.workload.clone()).or(known.is_expected_by.take());
        let family = known.family.clone();
        if let Some(before) = before.filter(|before| *before != report.workload) {
            self.leave(&before, uid);
        }
        let workload = report.workload.clone();
        let is_first = !self.groups.contains_key(&workload);
        let group =
            self.groups.entry(workload.clone()).or_insert_with_key(|workload| Group::new(workload.clone(), now));
        group.report(uid.clone(), report, now);
        let settles = self.roster.settles_at(uid).filter(|at| *at > now);
        if let Some(at) = settles {
            group.hasten(at, now);
        }
        if is_first || settles.is_some() {
            self.arrange(&workload);
        }
        if let Some(family) = family {
            for sibling in self.siblings.report(&family, uid, &workload) {
                self.expect(&sibling, &workload);
            }
        }
        Taken::Report
    }

    /// Notes that a pod gave no answer, or none that is a report.
    pub fn failed(&mut self, uid: &Uid, now: Duration) {
        let Some(known) = self.pods.get_mut(uid) else { return };
        known.is_asked = false;
        known.backoff = known.backoff.failed(now);
        if known.workload.is_none() {
            let at = known.backoff.not_before().max(now + FIRST_ANSWER_EVERY);
            self.unknown.set(uid, at);
        }
    }

    /// Returns every workload with the summary of its last round.
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

    /// Returns how many pods are labelled, and how many of them have not reported their workload.
    pub fn count_pods(&self) -> (usize, usize) {
        // A pod that has reported is a member of that workload, and of no other.
        let known: usize = self.groups.values().map(|group| group.members().len()).sum();
        (self.pods.len(), self.pods.len() - known)
    }

    /// Returns whether every pod that reports knows the key, which only then may sign.
    pub fn is_known_everywhere(&self, key: KeyId) -> bool {
        self.groups.values().flat_map(Group::reports).all(|(_, report)| report.keys.contains(&key))
    }

    /// Updates a pod that is new, gone, or whose readiness has changed.
    fn look_at(&mut self, uid: &Uid, now: Duration) {
        let Some(pod) = self.roster.pod(uid) else {
            self.forget(uid, now);
            return;
        };
        // Until it is ready, its proxy may not have started.
        let is_worth_asking = pod.is_ready && pod.address.is_some();
        let known = self.pods.entry(uid.clone()).or_insert_with(|| Known::in_family(FamilyName::of(pod)));
        let family = known.family.clone();
        match &known.workload {
            Some(workload) => {
                let at = self.roster.settles_at(uid).filter(|at| *at > now).unwrap_or(now);
                let workload = workload.clone();
                self.hasten(&workload, at, now);
            }
            None if known.is_asked => {}
            None => {
                known.backoff = Backoff::default();
                if is_worth_asking {
                    self.unknown.set(uid, now + spread(uid));
                } else {
                    self.unknown.remove(uid);
                }
            }
        }
        let workload = family.and_then(|family| self.siblings.add(family, uid.clone()));
        if let Some(workload) = workload {
            self.expect(uid, &workload);
        }
    }

    /// Notes that a sibling of a pod has reported `workload`.
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
        self.unknown.remove(uid);
        let Some(Known { family, workload, is_expected_by, .. }) = self.pods.remove(uid) else { return };
        if let Some(family) = family {
            self.siblings.remove(&family, uid);
        }
        if let Some(workload) = workload.or(is_expected_by) {
            self.leave(&workload, uid);
            self.hasten(&workload, now, now);
        }
    }

    fn leave(&mut self, workload: &Workload, uid: &Uid) {
        if self.groups.get_mut(workload).is_some_and(|group| !group.remove(uid)) {
            self.groups.remove(workload);
            self.arrange(workload);
        }
    }

    fn hasten(&mut self, workload: &Workload, at: Duration, now: Duration) {
        if let Some(group) = self.groups.get_mut(workload) {
            group.hasten(at, now);
            self.arrange(workload);
        }
    }
}

impl Known {
    fn in_family(family: Option<FamilyName>) -> Self {
        Self { family, ..Self::default() }
    }
}

fn ask(pods: &mut HashMap<Uid, Known>, roster: &Roster, uid: &Uid, now: Duration) -> Option<Asked> {
    let address = roster.address(uid)?;
    let known = pods.get_mut(uid).filter(|known| !known.is_asked && known.backoff.allows(now))?;
    known.is_asked = true;
    let is_doubtful = known.backoff.is_doubtful() || known.workload.is_none();
    Some(Asked { uid: uid.clone(), address, is_doubtful })
}

/// Returns up to half a second by uid, so that a new leader does not ask all pods at once.
fn spread(uid: &str) -> Duration {
    let hash = uid.bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    Duration::from_millis(u64::from(hash % 500))
}

#[cfg(test)]
mod tests;

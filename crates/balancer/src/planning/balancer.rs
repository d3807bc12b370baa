//! Schedules requests to pods, and applies changes of the cluster and reports.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use balancing::{KeyId, Report, Workload, WorkloadInstruction};

use super::backoff::Backoff;
use super::controllers::{ControllerKey, PodsByController};
use super::group::{Group, Summary};
use super::pace;
use super::pod::{Change, Pod, Uid};
use super::roster::Roster;
use super::schedule::Schedule;
use super::token_bucket::TokenBucket;

/// How often a pod is polled until it has reported its workload.
const UNKNOWN_POD_INTERVAL: Duration = Duration::from_secs(1);
/// Requests per second to pods of workloads at rest. Workloads that are uneven or have changed do not count.
const AT_REST_REQUESTS_PER_SECOND: u32 = 4_000;
/// Requests per second to pods that have not reported their workload.
const UNKNOWN_POD_REQUESTS_PER_SECOND: u32 = 4_000;

/// The state of the balancer, without I/O. Times are measured from any point in the past.
///
/// ```text
///              first report                  report for another workload
/// unknown pod ───────────────▶ pod of a workload ───┐
///   ▲  polled alone               polled in rounds ◀┘
///   └────────── restart() drops all reports ─────────
/// ```
///
/// The cost of a tick depends on the number of due pods and workloads alone. Rounds of workloads that are uneven or
/// have changed begin on time. All others share a budget of requests, so that a round of a large workload takes several
/// ticks.
#[derive(Debug)]
pub struct Balancer {
    roster: Roster,
    groups: BTreeMap<Workload, Group>,
    pods: HashMap<Uid, PodState>,
    by_controller: PodsByController,
    /// Pods without a known workload, by the time of the next request.
    unknown: Schedule<Uid>,
    unknown_budget: TokenBucket,
    /// Workloads whose next round must begin on time.
    urgent: Schedule<Workload>,
    /// All other workloads.
    at_rest: Schedule<Workload>,
    at_rest_budget: TokenBucket,
    /// The round of a workload at rest that has round and has pods left.
    active: Option<ActiveRound>,
}

/// A round with pods that have not been sent their request yet.
#[derive(Debug)]
struct ActiveRound {
    workload: Workload,
    instruction: Option<WorkloadInstruction>,
    pods: VecDeque<Uid>,
}

/// The state of a pod.
#[derive(Debug, Default)]
struct PodState {
    controller: Option<ControllerKey>,
    workload: Option<Workload>,
    /// The workload that another pod of its controller has reported. Until this pod reports, it counts as missing
    /// there.
    expected_by: Option<Workload>,
    backoff: Backoff,
    /// Whether a request to it is in flight, so that it gets no second one.
    is_in_flight: bool,
}

/// Pods of a workload that get the same request, or pods without a known workload.
#[derive(Debug, PartialEq)]
pub struct Round {
    /// The instruction for them; `None` if they are only polled.
    pub instruction: Option<WorkloadInstruction>,
    /// The pods.
    pub pods: Vec<Target>,
    /// The delay of the round; `None` if it need not be on time.
    pub late: Option<Duration>,
}

/// A pod to which a request is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its uid, for the answer.
    pub uid: Uid,
    /// Its address.
    pub address: IpAddr,
    /// Whether it did not answer the last request, or has never answered. Requests to other pods must not wait for it.
    pub is_unresponsive: bool,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportOutcome {
    /// It was stored.
    Accepted,
    /// It was ignored: its workload has another namespace or another controller than the pod.
    ForeignWorkload,
    /// It was ignored: the pod no longer exists.
    PodGone,
}

impl Default for Balancer {
    fn default() -> Self {
        Self {
            roster: Roster::default(),
            groups: BTreeMap::new(),
            pods: HashMap::new(),
            by_controller: PodsByController::default(),
            unknown: Schedule::default(),
            unknown_budget: TokenBucket::new(UNKNOWN_POD_REQUESTS_PER_SECOND),
            urgent: Schedule::default(),
            at_rest: Schedule::default(),
            at_rest_budget: TokenBucket::new(AT_REST_REQUESTS_PER_SECOND),
            active: None,
        }
    }
}

impl Balancer {
    /// Applies a change of the cluster.
    pub fn observe(&mut self, change: Change, now: Duration) {
        for uid in self.roster.observe(change, now) {
            self.update_pod(&uid, now);
        }
    }

    /// Drops all reports, because another replica may have led in the meantime.
    pub fn restart(&mut self, now: Duration) {
        self.groups.clear();
        self.pods.clear();
        self.by_controller.clear();
        self.unknown.clear();
        self.urgent.clear();
        self.at_rest.clear();
        self.active = None;
        let all: Vec<Uid> = self.roster.pods().map(|pod| pod.uid.clone()).collect();
        for uid in all {
            self.update_pod(&uid, now);
        }
    }

    /// Returns whether both kinds have been listed. Before that, no request is to be sent.
    pub const fn is_complete(&self) -> bool {
        self.roster.is_complete()
    }

    /// Returns the rounds that are due at the time `now`. `since_epoch` is the wall clock.
    pub fn due(&mut self, now: Duration, since_epoch: Duration) -> Vec<Round> {
        let mut rounds = Vec::new();
        while let Some((at, workload)) = self.urgent.pop(now) {
            let Some(ActiveRound { instruction, pods, .. }) = self.begin(workload, now, since_epoch) else { continue };
            let pods = pods.iter().filter_map(|uid| target(&mut self.pods, &self.roster, uid, now)).collect();
            rounds.push(Round { instruction, pods, late: Some(now.saturating_sub(at)) });
        }
        rounds.extend(self.poll_unknown(now));
        self.at_rest_budget.fill(now);
        while self.at_rest_budget.has_token() {
            let Some(round) = self.active.take().or_else(|| self.begin_at_rest(now, since_epoch)) else { break };
            rounds.push(self.continue_round(round, now));
        }
        rounds
    }

    /// Begins a round of a workload.
    fn begin(&mut self, workload: Workload, now: Duration, since_epoch: Duration) -> Option<ActiveRound> {
        let at_rest = pace::at_rest(self.pods.len());
        let group = self.groups.get_mut(&workload)?;
        let instruction = group.round(&self.roster, at_rest, now, since_epoch);
        let pods = group.members().cloned().collect();
        self.schedule(&workload);
        // Pods would refuse an older instruction that is still to be sent.
        self.active.take_if(|round| round.workload == workload);
        Some(ActiveRound { workload, instruction, pods })
    }

    fn begin_at_rest(&mut self, now: Duration, since_epoch: Duration) -> Option<ActiveRound> {
        let (_, workload) = self.at_rest.pop(now)?;
        self.begin(workload, now, since_epoch)
    }

    /// Sends requests to as many pods of a round as the budget allows.
    fn continue_round(&mut self, mut round: ActiveRound, now: Duration) -> Round {
        let mut pods = Vec::new();
        while self.at_rest_budget.has_token()
            && let Some(uid) = round.pods.pop_front()
        {
            if let Some(target) = target(&mut self.pods, &self.roster, &uid, now) {
                self.at_rest_budget.take();
                pods.push(target);
            }
        }
        let instruction = round.instruction.clone();
        self.active = Some(round).filter(|round| !round.pods.is_empty());
        Round { instruction, pods, late: None }
    }

    fn poll_unknown(&mut self, now: Duration) -> Option<Round> {
        self.unknown_budget.fill(now);
        let mut pods = Vec::new();
        while self.unknown_budget.has_token()
            && let Some((_, uid)) = self.unknown.pop(now)
        {
            // Its answer schedules it again.
            if let Some(target) = target(&mut self.pods, &self.roster, &uid, now) {
                self.unknown_budget.take();
                pods.push(target);
            }
        }
        (!pods.is_empty()).then_some(Round { instruction: None, pods, late: None })
    }

    /// Schedules the next round of a workload.
    fn schedule(&mut self, workload: &Workload) {
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

    /// Applies the report of a pod.
    pub fn answered(&mut self, uid: &Uid, report: Report, now: Duration) -> ReportOutcome {
        let (Some(pod), Some(known)) = (self.roster.pod(uid), self.pods.get_mut(uid)) else {
            return ReportOutcome::PodGone;
        };
        let is_of_controller = pod.controller.as_ref().is_none_or(|controller| controller.is_of(&report.workload));
        if report.workload.namespace() != &*pod.namespace || !is_of_controller {
            self.failed(uid, now);
            return ReportOutcome::ForeignWorkload;
        }
        known.is_in_flight = false;
        known.backoff = Backoff::default();
        let before = known.workload.replace(report.workload.clone()).or(known.expected_by.take());
        let controller = known.controller.clone();
        if let Some(before) = before.filter(|before| *before != report.workload) {
            self.remove_from(&before, uid);
        }
        let workload = report.workload.clone();
        let is_first = !self.groups.contains_key(&workload);
        let group =
            self.groups.entry(workload.clone()).or_insert_with_key(|workload| Group::new(workload.clone(), now));
        group.report(uid.clone(), report, now);
        let settles = self.roster.settles_at(uid).filter(|at| *at > now);
        if let Some(at) = settles {
            group.bring_forward(at, now);
        }
        if is_first || settles.is_some() {
            self.schedule(&workload);
        }
        if let Some(controller) = controller {
            for other in self.by_controller.report(&controller, uid, &workload) {
                self.expect(&other, &workload);
            }
        }
        ReportOutcome::Accepted
    }

    /// Records that a pod gave no valid report.
    pub fn failed(&mut self, uid: &Uid, now: Duration) {
        let Some(known) = self.pods.get_mut(uid) else { return };
        known.is_in_flight = false;
        known.backoff = known.backoff.failed(now);
        if known.workload.is_none() {
            let at = known.backoff.not_before().max(now + UNKNOWN_POD_INTERVAL);
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

    /// Returns whether every pod that has reported has the key. Only then may the key sign.
    pub fn is_known_everywhere(&self, key: KeyId) -> bool {
        self.groups.values().flat_map(Group::reports).all(|(_, report)| report.keys.contains(&key))
    }

    /// Updates a pod that is new, gone, or whose readiness has changed.
    fn update_pod(&mut self, uid: &Uid, now: Duration) {
        let Some(pod) = self.roster.pod(uid) else {
            self.remove(uid, now);
            return;
        };
        // The proxy may not have started before the pod is ready.
        let may_answer = pod.is_ready && pod.address.is_some();
        let known = self.pods.entry(uid.clone()).or_insert_with(|| PodState::of_controller(ControllerKey::of(pod)));
        let controller = known.controller.clone();
        match &known.workload {
            Some(workload) => {
                let at = self.roster.settles_at(uid).filter(|at| *at > now).unwrap_or(now);
                let workload = workload.clone();
                self.bring_forward(&workload, at, now);
            }
            None if known.is_in_flight => {}
            None => {
                known.backoff = Backoff::default();
                if may_answer {
                    self.unknown.set(uid, now + first_delay(uid));
                } else {
                    self.unknown.remove(uid);
                }
            }
        }
        let workload = controller.and_then(|controller| self.by_controller.add(controller, uid.clone()));
        if let Some(workload) = workload {
            self.expect(uid, &workload);
        }
    }

    /// Records that another pod of the same controller has reported `workload`.
    fn expect(&mut self, uid: &Uid, workload: &Workload) {
        let is_new = |known: &&mut PodState| known.workload.is_none() && known.expected_by.is_none();
        if let Some(known) = self.pods.get_mut(uid).filter(is_new)
            && let Some(group) = self.groups.get_mut(workload)
        {
            known.expected_by = Some(workload.clone());
            group.expect(uid.clone());
        }
    }

    fn remove(&mut self, uid: &Uid, now: Duration) {
        self.unknown.remove(uid);
        let Some(PodState { controller, workload, expected_by, .. }) = self.pods.remove(uid) else { return };
        if let Some(controller) = controller {
            self.by_controller.remove(&controller, uid);
        }
        if let Some(workload) = workload.or(expected_by) {
            self.remove_from(&workload, uid);
            self.bring_forward(&workload, now, now);
        }
    }

    fn remove_from(&mut self, workload: &Workload, uid: &Uid) {
        if self.groups.get_mut(workload).is_some_and(|group| !group.remove(uid)) {
            self.groups.remove(workload);
            self.schedule(workload);
        }
    }

    fn bring_forward(&mut self, workload: &Workload, at: Duration, now: Duration) {
        if let Some(group) = self.groups.get_mut(workload) {
            group.bring_forward(at, now);
            self.schedule(workload);
        }
    }
}

impl PodState {
    fn of_controller(controller: Option<ControllerKey>) -> Self {
        Self { controller, ..Self::default() }
    }
}

fn target(pods: &mut HashMap<Uid, PodState>, roster: &Roster, uid: &Uid, now: Duration) -> Option<Target> {
    let address = roster.address(uid)?;
    let known = pods.get_mut(uid).filter(|known| !known.is_in_flight && known.backoff.allows(now))?;
    known.is_in_flight = true;
    let is_unresponsive = known.backoff.is_unresponsive() || known.workload.is_none();
    Some(Target { uid: uid.clone(), address, is_unresponsive })
}

/// Returns the delay of the first request to a pod: up to half a second by its uid, so that a new leader does not poll
/// all pods at once.
fn first_delay(uid: &str) -> Duration {
    let hash = uid.bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    Duration::from_millis(u64::from(hash % 500))
}

#[cfg(test)]
mod tests;

//! One workload: the reports of its pods, and the instruction that follows from them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use balancing::{Interval, Report, Sequence, Workload, WorkloadInstruction};
use retirement::Tolerance;

use super::numbering::last_taken;
use super::pace::{Activity, interval};
use super::pod::Uid;
use super::roster::Roster;

/// A report counts for three intervals, and for at least this long: a pod that is starved of CPU answers late.
const REPORT_COUNTS: Duration = Duration::from_secs(5);
/// Of a long interval it counts until the next answer is late, and not for three times as long.
const LATE_ANSWERS: Duration = Duration::from_secs(10);
/// In a long interval pods are asked so long before they are told: they answer within a second.
const ASKED_BEFORE: Duration = Duration::from_secs(1);
/// After a round that a change has hastened, none is hastened for so long: pods that come and go do not multiply questions.
const HASTENED_ROUNDS_APART: Duration = Duration::from_secs(1);
/// After the first report of a workload the others of its pods are waited for, as after a change of leader.
const FIRST_REPORTS: Duration = Duration::from_secs(2);
/// More connections than a pod retires between two reports. A pod reports what it wants, and the sum of many must not overflow.
const MOST_RETIRED: u64 = u32::MAX as u64;
/// Below this sum of remembered requests a workload has no load: the last one was minutes ago.
const LEAST_REQUESTS: f64 = 1.0;

/// Why a workload gets no instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Withheld {
    /// Its first report is too recent: others are still to come.
    Starting,
    /// Fewer than two of its pods have settled.
    FewPods,
    /// More than a third of its settled pods do not report.
    Missing,
    /// No higher sequence number is left, or the sum of the loads is no number.
    Exhausted,
}

impl Withheld {
    /// Every reason, in the order in which they are checked.
    pub const ALL: &[Self] = &[Self::Starting, Self::FewPods, Self::Missing, Self::Exhausted];

    /// Returns the word for it in metrics and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::FewPods => "few_pods",
            Self::Missing => "reports_missing",
            Self::Exhausted => "exhausted",
        }
    }
}

/// A report, and until when it counts.
#[derive(Clone, Debug)]
struct Reported {
    report: Report,
    until: Duration,
}

/// What is remembered of a workload.
///
/// While its interval is 5 s or less, each round tells the mean of what the round before has asked. Of a longer interval that mean
/// would be of another time, and pods would retire connections because all have more load than then: a round asks, and another
/// tells a second later.
///
/// ```text
///            interval ≤ 5 s: ask and tell
///              ┌───┐
///              ▼   │      interval > 5 s        ask
///            resting ──────────────────────────────▶ asked
///              ▲                                       │
///              └───────────── ask and tell ────────────┘ a second later
/// ```
#[derive(Debug)]
pub struct Group {
    workload: Workload,
    /// The pods that have said to belong to it.
    members: BTreeMap<Uid, Reported>,
    /// Siblings of these that have not reported yet.
    expected: BTreeSet<Uid>,
    first_report_at: Duration,
    /// In order.
    settled: Vec<Uid>,
    /// How many of those that are expected have settled.
    silent: usize,
    changed_at: Duration,
    /// That of the last instruction.
    last_sequence: Option<Sequence>,
    /// See [`Group::retired`].
    retired: u64,
    interval: Interval,
    /// Whether the last round has asked, and the next one tells.
    has_asked: bool,
    /// When its pods were asked last.
    asked_at: Duration,
    next_round: Duration,
    /// Whether a change has brought the next round forward.
    is_hastened: bool,
    /// No change hastens a round before this time.
    hastened_from: Duration,
    last: Option<Summary>,
}

/// What a round found.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Pods that have settled.
    pub settled: usize,
    /// Those of them whose report counts.
    pub reporting: usize,
    /// The mean load of these, in requests per second.
    pub mean: f64,
    /// The highest load of these, in requests per second.
    pub highest: f64,
    /// The mean rate of a connection, in requests per second.
    pub connection_rate: f64,
    /// The connections of all pods that report, and those of them that are marked.
    pub connections: u64,
    /// See `connections`.
    pub marked: u64,
    /// The time since the settled pods have changed.
    pub since_change: Duration,
    /// How often the pods are asked.
    pub interval: Interval,
    /// Why there is no instruction; `None` if there is one.
    pub withheld: Option<Withheld>,
}

impl Group {
    /// Returns the state of a workload of which the first report has come at the time `now`.
    pub(super) fn new(workload: Workload, now: Duration) -> Self {
        Self {
            workload,
            members: BTreeMap::new(),
            expected: BTreeSet::new(),
            first_report_at: now,
            settled: Vec::new(),
            silent: 0,
            changed_at: Duration::ZERO,
            last_sequence: None,
            retired: 0,
            interval: Interval::AT_REST,
            has_asked: false,
            asked_at: now,
            next_round: now + FIRST_REPORTS,
            is_hastened: false,
            hastened_from: now + FIRST_REPORTS,
            last: None,
        }
    }

    /// Returns its workload.
    pub fn workload(&self) -> &Workload {
        &self.workload
    }

    /// Returns its pods.
    pub(super) fn members(&self) -> impl ExactSizeIterator<Item = &Uid> {
        self.members.keys()
    }

    /// Returns what the last round found.
    pub fn summary(&self) -> Option<&Summary> {
        self.last.as_ref()
    }

    /// Returns the reports of its pods that have come, old ones too.
    pub fn reports(&self) -> impl Iterator<Item = (&Uid, &Report)> {
        self.members.iter().map(|(uid, reported)| (uid, &reported.report))
    }

    /// Returns how many connections balancing has retired in all pods since this replica leads. What a pod says in its first report may
    /// be of a time before, and does not count.
    pub fn retired(&self) -> u64 {
        self.retired
    }

    /// Returns its pods in the order of their uids: what each has reported last, and whether that counts at the time `now`.
    pub fn pods(&self, now: Duration) -> impl Iterator<Item = (&Uid, &Report, bool)> {
        self.members.iter().map(move |(uid, reported)| (uid, &reported.report, reported.until >= now))
    }

    /// Returns whether a pod had settled in the last round.
    pub fn has_settled(&self, uid: &Uid) -> bool {
        // They are taken from the members, in order.
        self.settled.binary_search(uid).is_ok()
    }

    /// Takes in what a pod reports.
    pub(super) fn report(&mut self, uid: Uid, report: Report, now: Duration) {
        let until = now + self.interval.validity().min(self.interval.get() + LATE_ANSWERS).max(REPORT_COUNTS);
        self.expected.remove(&uid);
        let retired = report.retired;
        if let Some(before) = self.members.insert(uid, Reported { report, until }) {
            let more = retired.saturating_sub(before.report.retired).min(MOST_RETIRED);
            self.retired = self.retired.saturating_add(more);
        }
    }

    /// Takes in a pod that has not reported yet, but of which a sibling has: until it does, it is missing.
    pub(super) fn expect(&mut self, uid: Uid) {
        self.expected.insert(uid);
    }

    /// Forgets a pod; returns whether any is left.
    pub(super) fn remove(&mut self, uid: &Uid) -> bool {
        self.members.remove(uid);
        self.expected.remove(uid);
        !(self.members.is_empty() && self.expected.is_empty())
    }

    /// Returns when its pods are to be asked next, and whether that must not wait for the questions of workloads at rest.
    pub(super) fn next_round(&self) -> (Duration, bool) {
        (self.next_round, self.is_hastened || self.interval == Interval::IN_A_WAVE)
    }

    /// Returns the instruction for its pods by the reports that count at the time `now`, if there is to be one, and plans the next
    /// round. `since_epoch` is the wall clock, of which sequence numbers are made; `at_rest` is the interval of workloads at rest.
    pub(super) fn round(
        &mut self,
        roster: &Roster,
        at_rest: Interval,
        now: Duration,
        since_epoch: Duration,
    ) -> Option<WorkloadInstruction> {
        self.settle(roster, now);
        self.has_asked = self.asks_first(now);
        self.asked_at = now;
        if self.has_asked {
            self.next_round = now + ASKED_BEFORE;
            return None;
        }
        let mut summary = self.summarize(at_rest, now);
        let instruction = match summary.withheld {
            Some(_) => None,
            None => self.instruct(&summary, since_epoch),
        };
        if summary.withheld.is_none() && instruction.is_none() {
            summary.withheld = Some(Withheld::Exhausted);
        }
        self.interval = summary.interval;
        self.last = Some(summary);
        self.plan(roster, now);
        instruction
    }

    fn settle(&mut self, roster: &Roster, now: Duration) {
        let has_settled = |uid: &&Uid| roster.settles_at(uid).is_some_and(|at| at <= now);
        self.silent = self.expected.iter().filter(has_settled).count();
        let settled: Vec<Uid> = self.members.keys().filter(has_settled).cloned().collect();
        if settled == self.settled {
            return;
        }
        // By when they have settled, not by when we have heard of them: a new leader hears of all within seconds.
        let new = settled.iter().filter(|uid| self.settled.binary_search(uid).is_err());
        let newest = new.filter_map(|uid| roster.settles_at(uid)).max().unwrap_or_default();
        let is_any_gone = self.settled.iter().any(|uid| settled.binary_search(uid).is_err());
        self.changed_at = if is_any_gone { now } else { self.changed_at.max(newest) };
        self.settled = settled;
    }

    /// One pod is never told anything.
    fn asks_first(&self, now: Duration) -> bool {
        let is_recent = self.has_asked || now.saturating_sub(self.asked_at) <= Interval::AT_REST.get();
        self.interval > Interval::AT_REST && self.settled.len() > 1 && !is_recent
    }

    /// How long before the time at which pods are to be told they are asked.
    fn ahead(&self) -> Duration {
        if self.interval > Interval::AT_REST { ASKED_BEFORE } else { Duration::ZERO }
    }

    /// The next round is an interval from now, or when another pod settles: that is a change, which is to be told at once.
    fn plan(&mut self, roster: &Roster, now: Duration) {
        if std::mem::take(&mut self.is_hastened) {
            self.hastened_from = now + HASTENED_ROUNDS_APART;
        }
        self.next_round = now + self.interval.get().saturating_sub(self.ahead());
        let settles = self.members.keys().filter_map(|uid| roster.settles_at(uid)).filter(|at| *at > now).min();
        if let Some(at) = settles {
            self.hasten(at, now);
        }
    }

    fn summarize(&self, at_rest: Interval, now: Duration) -> Summary {
        let reports: Vec<&Report> = self.settled.iter().filter_map(|uid| self.counts(uid, now)).collect();
        let sum = |part: fn(&Report) -> f64| reports.iter().map(|report| part(report)).sum::<f64>();
        let count = |part: fn(&Report) -> u32| reports.iter().map(|report| u64::from(part(report))).sum::<u64>();
        let requests = sum(|report| report.recent.requests.get());
        let seconds = sum(|report| report.recent.seconds.get());
        let mean = if reports.is_empty() { 0.0 } else { sum(|report| report.load.get()) / number(reports.len()) };
        let highest = reports.iter().map(|report| report.load.get()).fold(0.0, f64::max);
        let since_change = now.saturating_sub(self.changed_at);
        let connection_rate = if seconds > 0.0 { requests / seconds } else { 0.0 };
        let withheld = self.withheld(reports.len(), now);
        let activity = Activity {
            has_load: requests >= LEAST_REQUESTS && self.count_settled() > 1,
            is_uneven: highest > mean * (1.0 + Tolerance::after(since_change, connection_rate).fraction()),
            since_change,
        };
        Summary {
            settled: self.count_settled(),
            reporting: reports.len(),
            mean,
            highest,
            connection_rate,
            connections: count(|report| report.connections),
            marked: count(|report| report.marked),
            since_change,
            interval: if withheld == Some(Withheld::Starting) {
                Interval::IN_A_WAVE
            } else {
                interval(activity, at_rest)
            },
            withheld,
        }
    }

    fn count_settled(&self) -> usize {
        self.settled.len() + self.silent
    }

    fn withheld(&self, reporting: usize, now: Duration) -> Option<Withheld> {
        let settled = self.count_settled();
        let missing = settled - reporting;
        if now < self.first_report_at + FIRST_REPORTS {
            Some(Withheld::Starting)
        } else if settled < 2 {
            Some(Withheld::FewPods)
        } else if missing * 3 > settled || reporting < 2 {
            Some(Withheld::Missing)
        } else {
            None
        }
    }

    fn counts(&self, uid: &Uid, now: Duration) -> Option<&Report> {
        let reported = self.members.get(uid)?;
        (reported.until >= now).then_some(&reported.report)
    }

    fn instruct(&mut self, summary: &Summary, since_epoch: Duration) -> Option<WorkloadInstruction> {
        let reported = last_taken(self.members.values().map(|reported| reported.report.sequence), since_epoch);
        let sequence = Sequence::next(since_epoch, self.last_sequence.max(reported))?;
        let rates = [summary.mean, summary.connection_rate];
        let (since_change, interval) = (summary.since_change, summary.interval);
        let instruction =
            WorkloadInstruction::new(self.workload.clone(), sequence, rates, since_change, interval).ok()?;
        self.last_sequence = Some(sequence);
        Some(instruction)
    }

    /// Has the pods told at the time `at`, or before.
    pub(super) fn hasten(&mut self, at: Duration, now: Duration) {
        let ahead = Some(self.ahead()).filter(|ahead| now + *ahead <= at).unwrap_or_default();
        let at = at.saturating_sub(ahead).max(now).max(self.hastened_from);
        if self.has_asked {
            // The answers are to come first.
            self.is_hastened = true;
        } else if at < self.next_round {
            self.next_round = at;
            self.is_hastened = true;
        }
    }
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

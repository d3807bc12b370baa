//! One workload: the reports of its pods, and the instruction that follows from them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use balancing::{Interval, Report, Sequence, Workload, WorkloadInstruction};
use retirement::{PodChange, Tolerance};

use super::numbering::last_taken;
use super::pace::{Activity, interval};
use super::pod::Uid;
use super::roster::Roster;

/// The least time for which a report counts. A pod that is short of CPU time answers late.
const MIN_REPORT_VALIDITY: Duration = Duration::from_secs(5);
/// How long after a long interval a report counts. Three long intervals would be minutes.
const LATE_REPORT_ALLOWANCE: Duration = Duration::from_secs(10);
/// How long before an instruction pods are polled, if the interval is long. They answer within a second.
const POLL_LEAD_TIME: Duration = Duration::from_secs(1);
/// The least time between two early rounds, so that pods that come and go do not multiply requests.
const EARLY_ROUND_INTERVAL: Duration = Duration::from_secs(1);
/// How long after the first report of a workload there is no instruction: its other pods report within this time.
const STARTING_FOR: Duration = Duration::from_secs(2);
/// The most retired connections that count between two reports of a pod. Reports are not trusted, and their sum must
/// not overflow.
const MAX_RETIRED_PER_REPORT: u64 = u32::MAX as u64;
/// The sum of recent requests (`Report::recent`) below which a workload has no load: its last request was minutes ago.
const MIN_REQUESTS: f64 = 1.0;

/// Why a workload gets no instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Withheld {
    /// Its first report is less than two seconds old, and other reports are missing yet.
    Starting,
    /// Fewer than two of its pods have settled.
    FewPods,
    /// More than a third of its settled pods do not report.
    Missing,
    /// There is no higher sequence number, or the sum of the loads is not a finite number.
    Exhausted,
}

impl Withheld {
    /// Every reason, in the order in which they are checked.
    pub const ALL: &[Self] = &[Self::Starting, Self::FewPods, Self::Missing, Self::Exhausted];

    /// Returns its value in metrics and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::FewPods => "few_pods",
            Self::Missing => "reports_missing",
            Self::Exhausted => "exhausted",
        }
    }
}

/// A report, and the time until which it counts.
#[derive(Clone, Debug)]
struct Reported {
    report: Report,
    until: Duration,
}

/// The state of a workload.
///
/// With an interval of 5 s or less, each round sends an instruction with the mean of the reports that the last round
/// requested. With a longer interval that mean would be outdated: if load rises everywhere, every pod would be above
/// it, and would retire connections. So one round polls the pods, and another sends the instruction a second later.
///
/// ```text
///            interval ≤ 5 s: instruction (each answer is a report)
///              ┌───┐
///              ▼   │      interval > 5 s: poll
///             idle ──────────────────────────────▶ polled
///              ▲                                      │
///              └────────────── instruction ───────────┘ a second later
/// ```
#[derive(Debug)]
pub struct Group {
    workload: Workload,
    /// The pods that have reported it, with their last reports.
    members: BTreeMap<Uid, Reported>,
    /// Other pods of the controllers of its members, which have not reported yet.
    expected: BTreeSet<Uid>,
    first_report_at: Duration,
    /// The members that had settled in the last round, sorted.
    settled: Vec<Uid>,
    /// How many of the expected pods had settled in the last round.
    expected_settled: usize,
    changed_at: Duration,
    /// The number of the last instruction.
    last_sequence: Option<Sequence>,
    /// See [`Group::retired`].
    retired: u64,
    interval: Interval,
    /// Whether the last round polled the pods, so that the next one sends the instruction.
    has_polled: bool,
    /// The time of the last round.
    polled_at: Duration,
    next_round: Duration,
    /// Whether a change brought the next round forward.
    is_early: bool,
    /// The earliest time of the next early round.
    early_from: Duration,
    summary: Option<Summary>,
}

/// The figures of a workload in a round.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Pods that have settled.
    pub settled: usize,
    /// Settled pods whose report counts.
    pub reporting: usize,
    /// The mean load of the reporting pods, in requests per second.
    pub mean: f64,
    /// The highest load of a reporting pod, in requests per second.
    pub highest: f64,
    /// The mean rate of a connection, in requests per second.
    pub connection_rate: f64,
    /// The connections of the reporting pods.
    pub connections: u64,
    /// The marked connections of the reporting pods.
    pub marked: u64,
    /// The time since the settled pods changed.
    pub since_change: Duration,
    /// The interval between instructions.
    pub interval: Interval,
    /// Why there is no instruction; `None` if there is one.
    pub withheld: Option<Withheld>,
}

impl Group {
    /// Returns the state of a workload whose first report arrived at the time `now`.
    pub(super) fn new(workload: Workload, now: Duration) -> Self {
        Self {
            workload,
            members: BTreeMap::new(),
            expected: BTreeSet::new(),
            first_report_at: now,
            settled: Vec::new(),
            expected_settled: 0,
            changed_at: Duration::ZERO,
            last_sequence: None,
            retired: 0,
            interval: Interval::AT_REST,
            has_polled: false,
            polled_at: now,
            next_round: now + STARTING_FOR,
            is_early: false,
            early_from: now + STARTING_FOR,
            summary: None,
        }
    }

    /// Returns its workload.
    pub fn workload(&self) -> &Workload {
        &self.workload
    }

    /// Returns the pods that have reported it.
    pub(super) fn members(&self) -> impl ExactSizeIterator<Item = &Uid> {
        self.members.keys()
    }

    /// Returns the figures of the last round.
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }

    /// Returns the last report of each pod, including those that no longer count.
    pub fn reports(&self) -> impl Iterator<Item = (&Uid, &Report)> {
        self.members.iter().map(|(uid, reported)| (uid, &reported.report))
    }

    /// Returns how many connections balancing has retired in all pods since this replica leads. The number in a pod's
    /// first report does not count, because it includes earlier ones.
    pub fn retired(&self) -> u64 {
        self.retired
    }

    /// Returns its pods in the order of their uids, each with its last report and whether that counts at the time
    /// `now`.
    pub fn pods(&self, now: Duration) -> impl Iterator<Item = (&Uid, &Report, bool)> {
        self.members.iter().map(move |(uid, reported)| (uid, &reported.report, reported.until >= now))
    }

    /// Returns whether a pod had settled in the last round.
    pub fn has_settled(&self, uid: &Uid) -> bool {
        // `settled` is sorted: it is filtered from the keys of a BTreeMap.
        self.settled.binary_search(uid).is_ok()
    }

    /// Stores the report of a pod that arrived at the time `now`.
    pub(super) fn report(&mut self, uid: Uid, report: Report, now: Duration) {
        let until =
            now + self.interval.validity().min(self.interval.get() + LATE_REPORT_ALLOWANCE).max(MIN_REPORT_VALIDITY);
        self.expected.remove(&uid);
        let retired = report.retired;
        if let Some(before) = self.members.insert(uid, Reported { report, until }) {
            let more = retired.saturating_sub(before.report.retired).min(MAX_RETIRED_PER_REPORT);
            self.retired = self.retired.saturating_add(more);
        }
    }

    /// Adds a pod that has not reported yet, but belongs to the controller of one that has. Until it reports, it counts
    /// as missing.
    pub(super) fn expect(&mut self, uid: Uid) {
        self.expected.insert(uid);
    }

    /// Removes a pod. Returns whether the workload has others.
    pub(super) fn remove(&mut self, uid: &Uid) -> bool {
        self.members.remove(uid);
        self.expected.remove(uid);
        !(self.members.is_empty() && self.expected.is_empty())
    }

    /// Returns the time of the next round, and whether it must be on time, before the rounds of workloads at rest.
    pub(super) fn next_round(&self) -> (Duration, bool) {
        (self.next_round, self.is_early || self.interval == Interval::WHILE_LEVELLING)
    }

    /// Begins a round at the time `now`, and schedules the next. Returns the instruction that follows from the reports
    /// that count; `None` if the round polls, or the instruction is [withheld](Withheld). `since_epoch` is the wall
    /// clock, from which sequence numbers are made; `at_rest` is the interval of workloads at rest.
    pub(super) fn round(
        &mut self,
        roster: &Roster,
        at_rest: Interval,
        now: Duration,
        since_epoch: Duration,
    ) -> Option<WorkloadInstruction> {
        self.update_settled(roster, now);
        self.has_polled = self.polls_first(now);
        self.polled_at = now;
        if self.has_polled {
            self.next_round = now + POLL_LEAD_TIME;
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
        self.summary = Some(summary);
        self.schedule_next(roster, now);
        instruction
    }

    fn update_settled(&mut self, roster: &Roster, now: Duration) {
        let has_settled = |uid: &&Uid| roster.settles_at(uid).is_some_and(|at| at <= now);
        self.expected_settled = self.expected.iter().filter(has_settled).count();
        let settled: Vec<Uid> = self.members.keys().filter(has_settled).cloned().collect();
        if settled == self.settled {
            return;
        }
        // A change counts from the time at which pods settled, not from their first report: a new leader gets all
        // reports within seconds.
        let new = settled.iter().filter(|uid| self.settled.binary_search(uid).is_err());
        let newest = new.filter_map(|uid| roster.settles_at(uid)).max().unwrap_or_default();
        let is_any_gone = self.settled.iter().any(|uid| settled.binary_search(uid).is_err());
        self.changed_at = if is_any_gone { now } else { self.changed_at.max(newest) };
        self.settled = settled;
    }

    /// Returns whether the round only polls. A single pod gets no instruction, and needs no poll before it.
    fn polls_first(&self, now: Duration) -> bool {
        let is_recent = self.has_polled || now.saturating_sub(self.polled_at) <= Interval::AT_REST.get();
        self.interval > Interval::AT_REST && self.settled.len() > 1 && !is_recent
    }

    /// Returns how long before an instruction the pods are polled.
    fn poll_lead_time(&self) -> Duration {
        if self.interval > Interval::AT_REST { POLL_LEAD_TIME } else { Duration::ZERO }
    }

    /// Schedules the next round an interval from now, or when another pod settles: the new pod changes the mean at
    /// once.
    fn schedule_next(&mut self, roster: &Roster, now: Duration) {
        if std::mem::take(&mut self.is_early) {
            self.early_from = now + EARLY_ROUND_INTERVAL;
        }
        self.next_round = now + self.interval.get().saturating_sub(self.poll_lead_time());
        let settles = self.members.keys().filter_map(|uid| roster.settles_at(uid)).filter(|at| *at > now).min();
        if let Some(at) = settles {
            self.bring_forward(at, now);
        }
    }

    fn summarize(&self, at_rest: Interval, now: Duration) -> Summary {
        let reports: Vec<&Report> = self.settled.iter().filter_map(|uid| self.valid_report(uid, now)).collect();
        let sum = |part: fn(&Report) -> f64| reports.iter().map(|report| part(report)).sum::<f64>();
        let count = |part: fn(&Report) -> u32| reports.iter().map(|report| u64::from(part(report))).sum::<u64>();
        let requests = sum(|report| report.recent.requests.get());
        let seconds = sum(|report| report.recent.seconds.get());
        let mean = if reports.is_empty() { 0.0 } else { sum(|report| report.load.get()) / number(reports.len()) };
        let highest = reports.iter().map(|report| report.load.get()).fold(0.0, f64::max);
        let change = pod_change(now.saturating_sub(self.changed_at), self.count_settled());
        let connection_rate = if seconds > 0.0 { requests / seconds } else { 0.0 };
        let withheld = self.withheld(reports.len(), now);
        let activity = Activity {
            has_load: requests >= MIN_REQUESTS && self.count_settled() > 1,
            is_uneven: highest > mean * (1.0 + Tolerance::after(change, connection_rate).fraction()),
            since_change: change.ago,
        };
        Summary {
            settled: self.count_settled(),
            reporting: reports.len(),
            mean,
            highest,
            connection_rate,
            connections: count(|report| report.connections),
            marked: count(|report| report.marked),
            since_change: change.ago,
            interval: if withheld == Some(Withheld::Starting) {
                Interval::WHILE_LEVELLING
            } else {
                interval(activity, at_rest)
            },
            withheld,
        }
    }

    fn count_settled(&self) -> usize {
        self.settled.len() + self.expected_settled
    }

    fn withheld(&self, reporting: usize, now: Duration) -> Option<Withheld> {
        let settled = self.count_settled();
        let missing = settled - reporting;
        if now < self.first_report_at + STARTING_FOR {
            Some(Withheld::Starting)
        } else if settled < 2 {
            Some(Withheld::FewPods)
        } else if missing * 3 > settled || reporting < 2 {
            Some(Withheld::Missing)
        } else {
            None
        }
    }

    fn valid_report(&self, uid: &Uid, now: Duration) -> Option<&Report> {
        let reported = self.members.get(uid)?;
        (reported.until >= now).then_some(&reported.report)
    }

    fn instruct(&mut self, summary: &Summary, since_epoch: Duration) -> Option<WorkloadInstruction> {
        let reported = last_taken(self.members.values().map(|reported| reported.report.sequence), since_epoch);
        let sequence = Sequence::next(since_epoch, self.last_sequence.max(reported))?;
        let rates = [summary.mean, summary.connection_rate];
        let instruction =
            WorkloadInstruction::new(self.workload.clone(), sequence, rates, summary.change(), summary.interval)
                .ok()?;
        self.last_sequence = Some(sequence);
        Some(instruction)
    }

    /// Brings the next round forward, so that the pods get an instruction at the time `at` or before.
    pub(super) fn bring_forward(&mut self, at: Duration, now: Duration) {
        let lead = Some(self.poll_lead_time()).filter(|lead| now + *lead <= at).unwrap_or_default();
        let at = at.saturating_sub(lead).max(now).max(self.early_from);
        if self.has_polled {
            // The pods have been polled, and the instruction waits for their reports.
            self.is_early = true;
        } else if at < self.next_round {
            self.next_round = at;
            self.is_early = true;
        }
    }
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

impl Summary {
    /// Returns the last change of the settled pods.
    pub(crate) fn change(&self) -> PodChange {
        pod_change(self.since_change, self.settled)
    }
}

fn pod_change(ago: Duration, settled: usize) -> PodChange {
    PodChange { ago, pods: u32::try_from(settled).unwrap_or(u32::MAX) }
}

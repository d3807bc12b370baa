//! The balancer with a simulated cluster: changes and answers in, rounds out.

mod large_cluster;
mod missing_reports;
mod untrusted_reports;

use balancing::{BalanceState, Quantity, Recent, Sequence};
use proptest::prelude::*;

use super::super::group::Withheld;
use super::super::pod::{Controller, Pod, Slice};
use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// A wall clock of the year 2026.
const EPOCH: Duration = Duration::from_secs(1_790_000_000);

/// A cluster with some pods of one workload, which answer with a load each.
struct TestCluster {
    balancer: Balancer,
    now: Duration,
    /// The difference of the wall clock to `EPOCH + now`, in seconds.
    skew: i64,
    pods: BTreeMap<Uid, FakePod>,
}

#[derive(Clone)]
struct FakePod {
    load: f64,
    workload: &'static str,
    is_silent: bool,
    sequence: Option<Sequence>,
    /// The sequence number that it reports instead of its own.
    false_sequence: Option<Sequence>,
}

/// An instruction, and the pods to which it was sent.
#[derive(Debug)]
struct Sent {
    at: Duration,
    instruction: WorkloadInstruction,
    to: Vec<Uid>,
}

impl TestCluster {
    fn new() -> Self {
        let mut balancer = Balancer::default();
        balancer.observe(Change::Pods(Vec::new()), Duration::ZERO);
        balancer.observe(Change::Slices(Vec::new()), Duration::ZERO);
        Self { balancer, now: Duration::from_secs(1000), skew: 0, pods: BTreeMap::new() }
    }

    fn with(loads: &[f64]) -> Self {
        let mut cluster = Self::new();
        for (n, load) in loads.iter().enumerate() {
            cluster.add(&n.to_string(), *load);
        }
        cluster
    }

    /// A pod becomes ready.
    fn add(&mut self, uid: &str, load: f64) {
        let pod =
            FakePod { load, workload: "shop/Deployment/web", is_silent: false, sequence: None, false_sequence: None };
        self.pods.insert(uid.into(), pod);
        self.balancer.observe(Change::Pod(pod_of(uid)), self.now);
        self.publish();
    }

    fn remove(&mut self, uid: &str) {
        self.pods.remove(uid);
        self.balancer.observe(Change::PodGone(uid.into()), self.now);
        self.publish();
    }

    fn publish(&mut self) {
        let ready = self.pods.keys().cloned().collect();
        let slice = Slice { namespace: "shop".into(), name: "web-1".into(), ready };
        self.balancer.observe(Change::Slice(slice), self.now);
    }

    fn pod(&mut self, uid: &str) -> &mut FakePod {
        self.pods.get_mut(uid).unwrap()
    }

    /// Lets time pass in steps of 100 ms; every pod that is not silent answers at once.
    fn run(&mut self, duration: Duration) -> Vec<Sent> {
        let end = self.now + duration;
        let mut sent = Vec::new();
        while self.now < end {
            self.now += Duration::from_millis(100);
            for round in self.due() {
                let to = round.pods.iter().map(|asked| asked.uid.clone()).collect();
                for asked in round.pods {
                    self.answer(&asked.uid, round.instruction.as_ref());
                }
                sent.extend(round.instruction.map(|instruction| Sent { at: self.now, instruction, to }));
            }
        }
        sent
    }

    fn due(&mut self) -> Vec<Round> {
        let clock = EPOCH.as_secs().saturating_add_signed(self.skew);
        self.balancer.due(self.now, Duration::from_secs(clock) + self.now)
    }

    fn answer(&mut self, uid: &Uid, instruction: Option<&WorkloadInstruction>) {
        let Some(pod) = self.pods.get_mut(uid) else { return };
        if pod.is_silent {
            self.balancer.failed(uid, self.now);
            return;
        }
        if let Some(instruction) = instruction {
            assert!(pod.sequence < Some(instruction.sequence()), "a proxy would refuse {instruction:?}");
            pod.sequence = Some(instruction.sequence());
        }
        let report = report(pod);
        self.balancer.answered(uid, report, self.now);
    }

    fn summary(&self) -> &Summary {
        self.balancer.summaries().next().unwrap().1.unwrap()
    }
}

fn pod_of(uid: &str) -> Pod {
    let address = Some(IpAddr::from([10, 0, 0, 1]));
    Pod { uid: uid.into(), namespace: "shop".into(), name: uid.into(), controller: None, address, is_ready: true }
}

fn report(pod: &FakePod) -> Report {
    let mut report = Report::new(pod.workload.parse().unwrap());
    report.load = Quantity::new(pod.load).unwrap();
    report.connections = 10;
    let seconds = Quantity::new(300.0).unwrap();
    report.recent = Recent { requests: Quantity::new(pod.load * 30.0).unwrap(), seconds };
    report.state = BalanceState::InForce;
    report.sequence = pod.false_sequence.or(pod.sequence);
    report
}

fn means(sent: &[Sent]) -> Vec<f64> {
    sent.iter().map(|sent| sent.instruction.rule().mean()).collect()
}

#[test]
fn the_pods_of_a_workload_receive_their_mean() {
    let mut cluster = TestCluster::with(&[30.0, 10.0, 20.0]);
    let sent = cluster.run(10 * SECOND);
    let first = &sent[0];
    assert!((first.instruction.rule().mean() - 20.0).abs() < 1e-9);
    assert!((first.instruction.rule().connection_rate() - 2.0).abs() < 1e-9);
    assert_eq!(first.to.len(), 3);
    assert!(first.at <= Duration::from_secs(1004), "{:?}", first.at);
}

#[test]
fn a_new_pod_counts_three_seconds_after_it_is_ready() {
    let mut cluster = TestCluster::with(&[20.0, 20.0]);
    cluster.run(20 * SECOND);
    let ready_at = cluster.now;
    cluster.add("new", 0.0);
    let sent = cluster.run(5 * SECOND);
    let (before, after): (Vec<_>, Vec<_>) = sent.into_iter().partition(|sent| sent.at < ready_at + 3 * SECOND);
    assert!(means(&before).iter().all(|mean| (mean - 20.0).abs() < 1e-9));
    assert!(means(&after).iter().all(|mean| (mean - 40.0 / 3.0).abs() < 1e-9), "{after:?}");
    assert!(after[0].at <= ready_at + Duration::from_millis(3100), "not at once: {:?}", after[0].at);
    assert_eq!(after[0].instruction.change().ago, Duration::ZERO);
    assert_eq!(after[0].instruction.interval().get(), SECOND);
}

#[test]
fn a_deleted_pod_is_no_part_of_the_mean() {
    let mut cluster = TestCluster::with(&[20.0, 20.0, 80.0]);
    cluster.run(20 * SECOND);
    let gone_at = cluster.now;
    cluster.remove("2");
    let sent = cluster.run(2 * SECOND);
    assert!((sent[0].instruction.rule().mean() - 20.0).abs() < 1e-9);
    assert!(sent[0].at <= gone_at + Duration::from_millis(100));
}

#[test]
fn the_interval_follows_load_and_changes_of_the_workload() {
    for (loads, settled_for, apart) in [
        ([20.0, 20.0], 20, 1),
        ([20.0, 20.0], 90, 5),
        // Above the widest tolerance.
        ([31.0, 9.0], 90, 1),
        ([0.0, 0.0], 90, 15),
    ] {
        let mut cluster = TestCluster::with(&loads);
        cluster.run(settled_for * SECOND);
        let sent = cluster.run(45 * SECOND);
        let gap = sent[1].at.saturating_sub(sent[0].at);
        assert_eq!(gap.as_secs(), apart, "{loads:?} {gap:?}");
        assert_eq!(sent[1].instruction.interval().get().as_secs(), apart);
    }
}

#[test]
fn a_workload_of_one_pod_gets_no_instruction() {
    let mut cluster = TestCluster::with(&[20.0]);
    assert!(cluster.run(60 * SECOND).is_empty());
    assert_eq!(cluster.summary().withheld, Some(Withheld::FewPods));
}

#[test]
fn another_workload_of_the_namespace_has_its_own_mean() {
    let mut cluster = TestCluster::with(&[10.0, 30.0, 100.0, 300.0]);
    for uid in ["2", "3"] {
        cluster.pod(uid).workload = "shop/Deployment/api";
    }
    let sent = cluster.run(10 * SECOND);
    for sent in sent {
        let mean = if sent.instruction.workload().name() == "api" { 200.0 } else { 20.0 };
        assert!((sent.instruction.rule().mean() - mean).abs() < 1e-9, "{sent:?}");
        assert_eq!(sent.to.len(), 2);
    }
}

#[test]
fn sequence_numbers_rise_though_the_clock_is_set_back_and_another_replica_has_led() {
    let mut cluster = TestCluster::with(&[10.0, 10.0]);
    cluster.run(10 * SECOND);
    for skew in [3600, -3600, 0] {
        cluster.skew = skew;
        // The simulated proxies refuse an instruction that is not newer.
        assert!(!cluster.run(10 * SECOND).is_empty());
    }
    cluster.skew = -7200;
    cluster.balancer.restart(cluster.now);
    assert!(!cluster.run(10 * SECOND).is_empty());
}

#[test]
fn a_restarted_balancer_sends_instructions_within_three_seconds() {
    let mut cluster = TestCluster::with(&[10.0, 30.0, 20.0]);
    cluster.run(30 * SECOND);
    cluster.balancer.restart(cluster.now);
    let sent = cluster.run(3 * SECOND);
    assert!((sent[0].instruction.rule().mean() - 20.0).abs() < 1e-9);
    assert_eq!(sent[0].to.len(), 3);
}

#[test]
fn the_report_of_a_deleted_pod_is_ignored() {
    let mut cluster = TestCluster::with(&[10.0, 10.0]);
    cluster.run(10 * SECOND);
    let report = report(cluster.pod("1"));
    cluster.remove("1");
    assert_eq!(cluster.balancer.answered(&"1".into(), report, cluster.now), ReportOutcome::PodGone);
    assert_eq!(cluster.balancer.count_pods(), (1, 0));
}

#[test]
fn an_unready_pod_is_not_polled() {
    let mut cluster = TestCluster::new();
    cluster.balancer.observe(Change::Pod(Pod { is_ready: false, ..pod_of("1") }), cluster.now);
    cluster.balancer.observe(Change::Pod(Pod { address: None, ..pod_of("2") }), cluster.now);
    cluster.now += 30 * SECOND;
    assert_eq!(cluster.due(), []);
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8),
    Remove(u8),
    Silence(u8, bool),
    Load(u8, u16),
    Move(u8),
    Skew(i16),
    Restart,
    Wait(u8),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..6).prop_map(Step::Add),
        (0u8..6).prop_map(Step::Remove),
        (0u8..6, any::<bool>()).prop_map(|(uid, is_silent)| Step::Silence(uid, is_silent)),
        (0u8..6, any::<u16>()).prop_map(|(uid, load)| Step::Load(uid, load)),
        (0u8..6).prop_map(Step::Move),
        any::<i16>().prop_map(Step::Skew),
        Just(Step::Restart),
        (1u8..8).prop_map(Step::Wait),
    ]
}

proptest! {
    /// After any changes, sequence numbers rise, requests go to existing pods alone and never twice at a time, a mean is
    /// at most the highest reported load, and a pod belongs to one workload.
    #[test]
    fn invariants_hold_for_any_sequence_of_changes(steps in proptest::collection::vec(steps(), 1..40)) {
        let mut cluster = TestCluster::new();
        let mut highest: f64 = 0.0;
        for step in steps {
            match step {
                Step::Add(uid) => cluster.add(&uid.to_string(), 1.0),
                Step::Remove(uid) => cluster.remove(&uid.to_string()),
                Step::Silence(uid, is_silent) => {
                    if let Some(pod) = cluster.pods.get_mut(&*uid.to_string()) { pod.is_silent = is_silent }
                }
                Step::Load(uid, load) => {
                    if let Some(pod) = cluster.pods.get_mut(&*uid.to_string()) { pod.load = f64::from(load) }
                    highest = highest.max(f64::from(load));
                }
                Step::Move(uid) => {
                    if let Some(pod) = cluster.pods.get_mut(&*uid.to_string()) { pod.workload = "shop/Deployment/api" }
                }
                Step::Skew(skew) => cluster.skew = i64::from(skew),
                Step::Restart => cluster.balancer.restart(cluster.now),
                Step::Wait(seconds) => {
                    let sent = cluster.run(u32::from(seconds) * SECOND);
                    for Sent { instruction, to, .. } in sent {
                        prop_assert!(instruction.rule().mean() <= highest.max(1.0));
                        prop_assert!(to.iter().all(|uid| cluster.pods.contains_key(uid)));
                    }
                }
            }
            let members: Vec<Uid> = cluster.balancer.groups().flat_map(|group| group.members().cloned()).collect();
            let mut once = members.clone();
            once.sort();
            once.dedup();
            prop_assert_eq!(once.len(), members.len(), "a pod belongs to two workloads");
            prop_assert!(cluster.balancer.unknown.len() <= cluster.balancer.pods.len());
            prop_assert!(cluster.balancer.groups().all(|group| group.members().next().is_some()));
        }
    }
}

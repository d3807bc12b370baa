//! When instructions are followed, on a paused clock.

use balancing::{Interval, PodChange, Sequence, SigningKey, WorkloadInstruction};
use ring::rand::SystemRandom;
use tokio::time::advance;

use super::*;
use crate::retire::connections::Retirable;

const SECOND: Duration = Duration::from_secs(1);
const WEB: &str = "shop/Deployment/web";

/// A pod with connections of one request a second each, and its balancer.
struct Stage {
    key: SigningKey,
    balance: Arc<Balance>,
    connections: Arc<Connections>,
    drain: Arc<Drain>,
    open: Vec<Retirable>,
}

fn key() -> SigningKey {
    SigningKey::from_pem(&SigningKey::generate(&SystemRandom::new()).unwrap()).unwrap()
}

impl Stage {
    async fn with(connections: usize) -> Self {
        let (key, mut registry) = (key(), Registry::default());
        let all = Arc::<Connections>::default();
        let drain = Drain::register(Duration::from_secs(20), &mut registry);
        let settings = BalanceSettings {
            keys: key.public().to_string().parse().unwrap(),
            workload: "Deployment/web".parse().unwrap(),
            max_requests_is_set: false,
        };
        let totals = Totals::reading(|| [0, 0]);
        let (known, namespace) = (Arc::clone(&all), "shop".parse().unwrap());
        let balance =
            Balance::register(&settings, &namespace, known, Arc::clone(&drain), totals, &mut registry).unwrap();
        let open = (0..connections).map(|_| all.retirable(Instant::now())).collect();
        let stage = Self { key, balance, connections: all, drain, open };
        for _ in 0..60 {
            stage.second().await;
        }
        stage
    }

    /// A second with a request on each connection, and the tick at its end.
    async fn second(&self) {
        self.open.iter().for_each(Retirable::request);
        advance(SECOND).await;
        self.balance.tick(Instant::now(), |n| n / 2);
    }

    fn signed(&self, sequence: u64, mean: f64) -> String {
        self.key.sign(&instruction(WEB, sequence, mean))
    }

    fn instruct(&self, body: &str) -> Result<(), Refusal> {
        self.balance.instruct(body.as_bytes(), Instant::now())
    }

    fn marked(&self) -> usize {
        self.open.iter().filter(|connection| connection.is_marked()).count()
    }

    fn state(&self) -> BalanceState {
        self.balance.report(Instant::now(), None).state
    }
}

fn instruction(workload: &str, sequence: u64, mean: f64) -> WorkloadInstruction {
    let sequence = Sequence::new(sequence).unwrap();
    let interval = Interval::new(SECOND).unwrap();
    WorkloadInstruction::new(workload.parse().unwrap(), sequence, [mean, 1.0], PodChange::default(), interval).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_pod_above_the_mean_retires_only_its_excess() {
    let stage = Stage::with(40).await;
    for (sequence, mean, marked) in
        [(1, 100.0, 0), (2, 40.0, 0), (3, 35.0, 0), (4, 30.0, 8), (5, 30.0, 9), (6, 30.0, 9), (7, 0.0, 9)]
    {
        // A fifth of 40 in a second; the tolerance is 15 %.
        stage.instruct(&stage.signed(sequence, mean)).unwrap();
        stage.second().await;
        let found = stage.marked();
        assert!(found.abs_diff(marked) <= 1, "{found} marked after instruction {sequence}");
    }
    assert!(stage.marked() >= 8);
}

#[tokio::test(start_paused = true)]
async fn no_connection_is_retired_without_a_fresh_instruction() {
    let stage = Stage::with(40).await;
    stage.second().await;
    assert_eq!((stage.marked(), stage.state()), (0, BalanceState::NoInstruction));
    stage.instruct(&stage.signed(1, 40.0)).unwrap();
    assert!(stage.balance.is_in_force());
    assert_eq!(stage.state(), BalanceState::InForce);
    for state in [BalanceState::InForce, BalanceState::InForce, BalanceState::Expired, BalanceState::Expired] {
        stage.second().await;
        assert_eq!((stage.state(), stage.balance.is_in_force()), (state, state == BalanceState::InForce));
    }
    // The pod would be above the mean now.
    for _ in 0..40 {
        stage.second().await;
    }
    assert_eq!(stage.marked(), 0);
    stage.instruct(&stage.signed(2, 20.0)).unwrap();
    stage.second().await;
    assert!(stage.marked() > 0, "and is told so again");
}

#[tokio::test(start_paused = true)]
async fn a_draining_pod_does_not_balance() {
    let stage = Stage::with(40).await;
    stage.drain.begin();
    stage.instruct(&stage.signed(1, 1.0)).unwrap();
    stage.second().await;
    assert_eq!((stage.marked(), stage.state()), (0, BalanceState::Draining));
}

#[tokio::test(start_paused = true)]
async fn a_refused_instruction_changes_nothing() {
    let stage = Stage::with(40).await;
    let good = stage.signed(7, 40.0);
    stage.instruct(&good).unwrap();
    let forged = key().sign(&instruction(WEB, 9, 1.0));
    let foreign = stage.key.sign(&instruction("shop/Deployment/other", 9, 1.0));
    let other_namespace = stage.key.sign(&instruction("test/Deployment/web", 9, 1.0));
    for (body, refusal) in [
        (good, Refusal::OldSequence),
        (stage.signed(6, 1.0), Refusal::OldSequence),
        (forged, Refusal::BadSignature),
        (foreign, Refusal::ForeignWorkload),
        (other_namespace, Refusal::ForeignWorkload),
        (String::new(), Refusal::Malformed),
        ("a.b.c".to_owned(), Refusal::Malformed),
    ] {
        assert_eq!(stage.instruct(&body), Err(refusal));
        let report = stage.balance.report(Instant::now(), Some(refusal));
        assert_eq!((report.sequence.unwrap().get(), report.refused), (7, Some(refusal)));
    }
    stage.second().await;
    assert_eq!(stage.marked(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_report_follows_connections_that_open_and_close() {
    let mut stage = Stage::with(4).await;
    let report = |stage: &Stage| stage.balance.report(Instant::now(), None);
    let load = |stage: &Stage| report(stage).load.get().round();
    assert!((load(&stage) - 4.0).abs() < f64::EPSILON);
    // Of what it saw itself, since nobody has told the rate of a connection.
    assert!((report(&stage).recent.requests.get() / report(&stage).recent.seconds.get() - 1.0).abs() < 0.01);
    stage.open.push(stage.connections.retirable(Instant::now()));
    stage.open[0].announced();
    advance(FRESH).await;
    assert_eq!((report(&stage).connections, report(&stage).marked), (5, 1));
    assert!(
        (load(&stage) - 5.0).abs() < f64::EPSILON,
        "a new one counts as an average one, a marked one until it has left"
    );
    stage.open.clear();
    advance(FRESH).await;
    assert_eq!((report(&stage).connections, report(&stage).marked), (0, 0));
    assert!(load(&stage).abs() < f64::EPSILON);
}

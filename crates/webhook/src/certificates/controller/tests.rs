//! Replicas in a cluster in memory.

use std::sync::Mutex;

use futures_util::stream;
use tokio::sync::mpsc;

use super::*;
use crate::certificates::Stored;
use crate::certificates::verification::is_trusted;

const HOUR: Duration = Duration::from_hours(1);
const NAME: &str = "evenkeel-webhook.evenkeel.svc";

/// A cluster in memory, with a clock that tests set.
#[derive(Clone)]
struct FakeCluster(Arc<Mutex<State>>);

struct State {
    now: SystemTime,
    data: Option<AuthorityData>,
    version: usize,
    identity: &'static str,
    bundle: String,
    conflicts: usize,
    reachable: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("nobody answers")]
struct Unreachable;

impl FakeCluster {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            now: SystemTime::UNIX_EPOCH + 480_000 * HOUR,
            data: None,
            version: 0,
            identity: "first",
            bundle: String::new(),
            conflicts: 0,
            reachable: true,
        })))
    }

    fn set<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    fn call<T>(&self, call: impl FnOnce(&mut State) -> T) -> Result<T, Unreachable> {
        self.set(|state| if state.reachable { Ok(call(state)) } else { Err(Unreachable) })
    }

    fn pass(&self, time: Duration) {
        self.set(|state| state.now += time);
    }

    fn replica(&self) -> CertificateController<Self> {
        let clock = self.clone();
        let clock = Clock::new(move || clock.set(|state| state.now));
        let served = Arc::new(ServedLeaf::default());
        let lifetimes = Lifetimes { authority: 300 * HOUR, leaf: 24 * HOUR, settle: HOUR };
        CertificateController::new(self.clone(), NAME.to_owned(), lifetimes, clock, served, Trusted::default())
    }

    /// Whether an API server would call this replica.
    fn calls(&self, replica: &CertificateController<Self>) -> bool {
        let Some(leaf) = replica.served.current() else { return false };
        self.set(|state| is_trusted(&leaf, &state.bundle, NAME, state.now))
    }
}

impl TrustStore for FakeCluster {
    type Error = Unreachable;

    async fn read(&self) -> Result<Stored, Unreachable> {
        let stored = self.call(|state| Stored {
            data: state.data.clone(),
            version: state.version.to_string(),
            identity: state.identity.to_owned(),
        });
        // Lets another replica read too before this one writes.
        tokio::task::yield_now().await;
        stored
    }

    async fn write(&self, data: &AuthorityData, version: &str) -> Result<StoreOutcome, Unreachable> {
        self.call(|state| {
            if version != state.version.to_string() {
                state.conflicts += 1;
                return StoreOutcome::Conflict;
            }
            state.data = Some(data.clone());
            state.version += 1;
            StoreOutcome::Written
        })
    }

    async fn trusts(&self, bundle_pem: &str) -> Result<bool, Unreachable> {
        self.call(|state| state.bundle == bundle_pem)
    }

    async fn publish(&self, bundle_pem: &str) -> Result<(), Unreachable> {
        self.call(|state| bundle_pem.clone_into(&mut state.bundle))
    }
}

#[tokio::test]
async fn two_replicas_that_start_at_once_share_one_authority() {
    let cluster = FakeCluster::new();
    let (mut one, mut two) = (cluster.replica(), cluster.replica());
    let (first, second) = tokio::join!(one.reconcile(), two.reconcile());
    first.unwrap();
    second.unwrap();
    assert_eq!(cluster.set(|state| (state.version, state.conflicts)), (1, 1));
    let known =
        |replica: &CertificateController<FakeCluster>| replica.known.as_ref().map(|known| known.authorities.clone());
    assert_eq!(known(&one), known(&two));
    assert!(cluster.calls(&one) && cluster.calls(&two));
}

#[tokio::test]
async fn reconciling_is_idempotent() {
    let cluster = FakeCluster::new();
    let mut replica = cluster.replica();
    replica.reconcile().await.unwrap();
    let before = (cluster.set(|state| (state.version, state.bundle.clone())), replica.served.validity());
    cluster.pass(HOUR);
    replica.reconcile().await.unwrap();
    assert_eq!((cluster.set(|state| (state.version, state.bundle.clone())), replica.served.validity()), before);
}

#[tokio::test]
async fn no_rotation_fails_a_call() {
    // Hour by hour, the replicas act one after the other; after each single act an API server can call both.
    let cluster = FakeCluster::new();
    let mut replicas = [cluster.replica(), cluster.replica()];
    for replica in &mut replicas {
        replica.reconcile().await.unwrap();
    }
    let mut bundles = vec![cluster.set(|state| state.bundle.clone())];
    for hour in 0..1000 {
        cluster.pass(HOUR);
        let first = hour % 2;
        for actor in [first, 1 - first] {
            replicas[actor].reconcile().await.unwrap();
            assert!(replicas.iter().all(|replica| cluster.calls(replica)), "hour {hour}, replica {actor}");
        }
        let bundle = cluster.set(|state| state.bundle.clone());
        if bundles.last() != Some(&bundle) {
            bundles.push(bundle);
        }
    }
    assert_eq!(bundles.len(), 1 + 2 * 4, "each rotation adds an authority and takes one away");
}

#[tokio::test]
async fn an_emptied_or_damaged_store_gets_the_known_authorities() {
    let cluster = FakeCluster::new();
    let mut replica = cluster.replica();
    replica.reconcile().await.unwrap();
    let before = cluster.set(|state| state.data.clone());
    let damaged = AuthorityData { certificates_pem: "x".to_owned(), keys_pem: "y".to_owned() };
    for data in [None, Some(damaged)] {
        cluster.set(|state| state.data = data);
        replica.reconcile().await.unwrap();
        assert_eq!(cluster.set(|state| state.data.clone()), before);
    }
    assert!(cluster.calls(&replica));
}

#[tokio::test]
async fn a_deleted_store_gets_the_known_authorities() {
    let cluster = FakeCluster::new();
    let (mut one, mut restarted) = (cluster.replica(), cluster.replica());
    one.reconcile().await.unwrap();
    let before = cluster.set(|state| {
        state.identity = "";
        state.data.take()
    });
    one.reconcile().await.unwrap();
    assert_eq!(cluster.set(|state| std::mem::replace(&mut state.identity, "second")), "");
    restarted.reconcile().await.unwrap();
    one.reconcile().await.unwrap();
    assert_eq!(cluster.set(|state| state.data.clone()), before);
    assert!(cluster.calls(&one) && cluster.calls(&restarted));
}

#[tokio::test]
async fn a_replica_that_restarts_without_the_store_is_trusted() {
    let cluster = FakeCluster::new();
    cluster.set(|state| state.identity = "");
    let mut replica = cluster.replica();
    replica.reconcile().await.unwrap();
    assert!(cluster.calls(&replica));
}

#[tokio::test]
async fn expired_authorities_and_clock_jumps_are_repaired_at_once() {
    let cluster = FakeCluster::new();
    let mut replicas = [cluster.replica(), cluster.replica()];
    for jump in [0, 10_000, 1, 500] {
        cluster.pass(HOUR * jump);
        for replica in &mut replicas {
            replica.reconcile().await.unwrap();
        }
        for replica in &mut replicas {
            replica.reconcile().await.unwrap();
        }
        assert!(replicas.iter().all(|replica| cluster.calls(replica)), "after {jump} hours");
    }
    // And back again: by less than certificates are dated back, by hours, and by years.
    for jump in [0.5, 5.0, 10_000.0] {
        cluster.set(|state| state.now -= HOUR.mul_f64(jump));
        for _ in 0..2 {
            for replica in &mut replicas {
                replica.reconcile().await.unwrap();
            }
        }
        assert!(replicas.iter().all(|replica| cluster.calls(replica)), "after {jump} hours back");
    }
}

#[tokio::test]
async fn a_replica_with_a_wrong_clock_does_not_affect_the_others() {
    for wrong in [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + 500_000 * HOUR] {
        let cluster = FakeCluster::new();
        let begin = cluster.set(|state| state.now);
        let mut right = cluster.replica();
        right.reconcile().await.unwrap();
        let right_clock = right.clock.clone();
        let clock = Clock::new(move || wrong + right_clock.now().duration_since(begin).unwrap());
        let mut replicas = [CertificateController { clock, ..cluster.replica() }, right];
        for hour in 0..120 {
            cluster.pass(HOUR);
            let mut bundles = Vec::new();
            for _ in 0..3 {
                for replica in &mut replicas {
                    replica.reconcile().await.unwrap();
                }
                assert!(cluster.calls(&replicas[1]), "hour {hour}");
                bundles.push(cluster.set(|state| state.bundle.clone()));
            }
            assert_eq!(bundles[1], bundles[2], "one undoes what the other writes, hour {hour}");
        }
    }
}

#[tokio::test]
async fn a_recreated_store_gets_new_authorities() {
    let cluster = FakeCluster::new();
    let mut replicas = [cluster.replica(), cluster.replica()];
    for replica in &mut replicas {
        replica.reconcile().await.unwrap();
    }
    let before = cluster.set(|state| {
        state.identity = "second";
        state.data.take()
    });
    for replica in &mut replicas {
        replica.reconcile().await.unwrap();
    }
    assert_ne!(cluster.set(|state| state.data.clone()), before);
    assert!(replicas.iter().all(|replica| cluster.calls(replica)));
}

#[tokio::test]
async fn a_leaf_is_renewed_while_the_store_is_unreachable() {
    let cluster = FakeCluster::new();
    let mut replica = cluster.replica();
    replica.reconcile().await.unwrap();
    cluster.set(|state| state.reachable = false);
    for _ in 0..100 {
        cluster.pass(HOUR);
        assert!(matches!(replica.reconcile().await, Err(ControllerError::Store(Unreachable))));
        assert!(cluster.calls(&replica));
    }
}

#[tokio::test]
async fn a_certificate_is_trusted_once_its_authority_is_published() {
    let cluster = FakeCluster::new();
    let mut replica = cluster.replica();
    cluster.set(|state| state.reachable = false);
    replica.reconcile().await.unwrap_err();
    assert!(!replica.trusted.get());
    cluster.set(|state| state.reachable = true);
    replica.reconcile().await.unwrap();
    assert!(replica.trusted.get());
}

#[tokio::test(start_paused = true)]
async fn a_removed_bundle_is_restored_within_a_second_of_a_trigger() {
    let cluster = FakeCluster::new();
    let (trigger, triggers) = mpsc::channel(1);
    let triggers = stream::unfold(triggers, |mut triggers| async { triggers.recv().await.map(|()| ((), triggers)) });
    let controller = tokio::spawn(cluster.replica().run(triggers));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let bundle = cluster.set(|state| std::mem::take(&mut state.bundle));
    assert!(!bundle.is_empty());
    trigger.send(()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.set(|state| state.bundle.clone()), bundle);
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn a_removed_bundle_is_restored_within_two_minutes_without_a_trigger() {
    let cluster = FakeCluster::new();
    let controller = tokio::spawn(cluster.replica().run(stream::empty()));
    tokio::time::sleep(Duration::from_secs(10)).await;
    cluster.set(|state| state.bundle.clear());
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(!cluster.set(|state| state.bundle.is_empty()));
    controller.abort();
}

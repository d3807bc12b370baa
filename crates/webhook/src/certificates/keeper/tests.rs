//! Replicas in a cluster in memory.

use std::sync::Mutex;

use futures_util::stream;
use tokio::sync::mpsc;

use super::*;
use crate::certificates::Stored;
use crate::certificates::trust::is_trusted;

const HOUR: Duration = Duration::from_hours(1);
const NAME: &str = "evenkeel-webhook.evenkeel.svc";

/// A cluster in memory, with a clock that tests set.
#[derive(Clone)]
struct World(Arc<Mutex<State>>);

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

impl World {
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

    fn replica(&self) -> Keeper<Self> {
        let clock = self.clone();
        let clock = Clock::new(move || clock.set(|state| state.now));
        let served = Arc::new(ServedLeaf::default());
        let lifetimes = Lifetimes { authority: 300 * HOUR, leaf: 24 * HOUR, settle: HOUR };
        Keeper::new(self.clone(), NAME.to_owned(), lifetimes, clock, served, Trusted::default())
    }

    /// Whether an API server would call this replica.
    fn calls(&self, replica: &Keeper<Self>) -> bool {
        let Some(leaf) = replica.served.current() else { return false };
        self.set(|state| is_trusted(&leaf, &state.bundle, NAME, state.now))
    }
}

impl TrustStore for World {
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
async fn of_two_that_start_at_once_one_is_first_and_both_are_called() {
    let world = World::new();
    let (mut one, mut two) = (world.replica(), world.replica());
    let (first, second) = tokio::join!(one.round(), two.round());
    first.unwrap();
    second.unwrap();
    assert_eq!(world.set(|state| (state.version, state.conflicts)), (1, 1));
    let known = |replica: &Keeper<World>| replica.known.as_ref().map(|known| known.authorities.clone());
    assert_eq!(known(&one), known(&two));
    assert!(world.calls(&one) && world.calls(&two));
}

#[tokio::test]
async fn a_second_round_changes_nothing() {
    let world = World::new();
    let mut replica = world.replica();
    replica.round().await.unwrap();
    let before = (world.set(|state| (state.version, state.bundle.clone())), replica.served.validity());
    world.pass(HOUR);
    replica.round().await.unwrap();
    assert_eq!((world.set(|state| (state.version, state.bundle.clone())), replica.served.validity()), before);
}

#[tokio::test]
async fn rotations_are_noticed_by_nobody() {
    // Hour by hour, the replicas act one after the other; after each single act an API server can call both.
    let world = World::new();
    let mut replicas = [world.replica(), world.replica()];
    for replica in &mut replicas {
        replica.round().await.unwrap();
    }
    let mut bundles = vec![world.set(|state| state.bundle.clone())];
    for hour in 0..1000 {
        world.pass(HOUR);
        let first = hour % 2;
        for actor in [first, 1 - first] {
            replicas[actor].round().await.unwrap();
            assert!(replicas.iter().all(|replica| world.calls(replica)), "hour {hour}, replica {actor}");
        }
        let bundle = world.set(|state| state.bundle.clone());
        if bundles.last() != Some(&bundle) {
            bundles.push(bundle);
        }
    }
    assert_eq!(bundles.len(), 1 + 2 * 4, "each rotation adds an authority and takes one away");
}

#[tokio::test]
async fn an_emptied_or_damaged_store_gets_back_what_is_in_use() {
    let world = World::new();
    let mut replica = world.replica();
    replica.round().await.unwrap();
    let before = world.set(|state| state.data.clone());
    let damaged = AuthorityData { certificates_pem: "x".to_owned(), keys_pem: "y".to_owned() };
    for data in [None, Some(damaged)] {
        world.set(|state| state.data = data);
        replica.round().await.unwrap();
        assert_eq!(world.set(|state| state.data.clone()), before);
    }
    assert!(world.calls(&replica));
}

#[tokio::test]
async fn a_store_that_was_deleted_gets_back_what_is_in_use() {
    let world = World::new();
    let (mut one, mut restarted) = (world.replica(), world.replica());
    one.round().await.unwrap();
    let before = world.set(|state| {
        state.identity = "";
        state.data.take()
    });
    one.round().await.unwrap();
    assert_eq!(world.set(|state| std::mem::replace(&mut state.identity, "second")), "");
    restarted.round().await.unwrap();
    one.round().await.unwrap();
    assert_eq!(world.set(|state| state.data.clone()), before);
    assert!(world.calls(&one) && world.calls(&restarted));
}

#[tokio::test]
async fn a_replica_that_restarts_where_the_store_was_deleted_is_called() {
    let world = World::new();
    world.set(|state| state.identity = "");
    let mut replica = world.replica();
    replica.round().await.unwrap();
    assert!(world.calls(&replica));
}

#[tokio::test]
async fn an_authority_that_has_ended_and_a_clock_that_jumps_are_overcome_in_a_round() {
    let world = World::new();
    let mut replicas = [world.replica(), world.replica()];
    for jump in [0, 10_000, 1, 500] {
        world.pass(HOUR * jump);
        for replica in &mut replicas {
            replica.round().await.unwrap();
        }
        for replica in &mut replicas {
            replica.round().await.unwrap();
        }
        assert!(replicas.iter().all(|replica| world.calls(replica)), "after {jump} hours");
    }
    // Back again, by less than certificates are dated back.
    world.set(|state| state.now -= HOUR / 2);
    for replica in &mut replicas {
        replica.round().await.unwrap();
    }
    assert!(replicas.iter().all(|replica| world.calls(replica)), "half an hour before");
}

#[tokio::test]
async fn a_store_that_is_made_again_begins_anew() {
    let world = World::new();
    let mut replicas = [world.replica(), world.replica()];
    for replica in &mut replicas {
        replica.round().await.unwrap();
    }
    let before = world.set(|state| {
        state.identity = "second";
        state.data.take()
    });
    for replica in &mut replicas {
        replica.round().await.unwrap();
    }
    assert_ne!(world.set(|state| state.data.clone()), before);
    assert!(replicas.iter().all(|replica| world.calls(replica)));
}

#[tokio::test]
async fn a_leaf_is_renewed_even_while_nobody_answers() {
    let world = World::new();
    let mut replica = world.replica();
    replica.round().await.unwrap();
    world.set(|state| state.reachable = false);
    for _ in 0..100 {
        world.pass(HOUR);
        assert!(matches!(replica.round().await, Err(KeeperError::Store(Unreachable))));
        assert!(world.calls(&replica));
    }
}

#[tokio::test]
async fn it_is_trusted_once_its_authority_is_published() {
    let world = World::new();
    let mut replica = world.replica();
    world.set(|state| state.reachable = false);
    replica.round().await.unwrap_err();
    assert!(!replica.trusted.get());
    world.set(|state| state.reachable = true);
    replica.round().await.unwrap();
    assert!(replica.trusted.get());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_bundle_is_back_within_a_second_of_a_nudge() {
    let world = World::new();
    let (nudge, nudges) = mpsc::channel(1);
    let nudges = stream::unfold(nudges, |mut nudges| async { nudges.recv().await.map(|()| ((), nudges)) });
    let keeper = tokio::spawn(world.replica().run(nudges));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let bundle = world.set(|state| std::mem::take(&mut state.bundle));
    assert!(!bundle.is_empty());
    nudge.send(()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.set(|state| state.bundle.clone()), bundle);
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn without_a_nudge_it_is_back_within_two_minutes() {
    let world = World::new();
    let keeper = tokio::spawn(world.replica().run(stream::empty()));
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.set(|state| state.bundle.clear());
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(!world.set(|state| state.bundle.is_empty()));
    keeper.abort();
}

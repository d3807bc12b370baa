//! Keeps Secret, `caBundle` and the served leaf right, for as long as the process lives.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{Stream, StreamExt};
use tracing::{info, warn};

use super::{Authorities, AuthorityData, CertificateError, Leaf, Lifetimes, ServedLeaf, StoreOutcome, TrustStore};
use crate::clock::Clock;
use crate::health::Health;

/// How often everything is looked at where nothing calls for it.
const ROUND_EVERY: Duration = Duration::from_mins(1);
/// How soon after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How soon after a round at the earliest, so that somebody who keeps undoing our work costs little.
const REST: Duration = Duration::from_millis(500);
/// How long a round may take: an API server that hangs is tried again.
const ROUND_AT_MOST: Duration = Duration::from_secs(30);
/// Every conflict means that another replica has just written; a handful in a row means something else is wrong.
const TRIES: usize = 5;

/// One replica's part in keeping certificates right. There is no leader: whoever finds something to do tries, and of
/// two that try at once the store takes one, whose result the other reads.
#[derive(Debug)]
pub struct Keeper<S> {
    store: S,
    server_name: String,
    lifetimes: Lifetimes,
    clock: Clock,
    served: Arc<ServedLeaf>,
    health: Arc<Health>,
    /// What the store held when it was last read.
    known: Option<Authorities>,
    /// The certificate of the authority that signed the served leaf.
    signed_by: Option<String>,
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError<E> {
    /// The store refused, or could not be reached.
    #[error(transparent)]
    Store(E),
    /// Every try met somebody else's write.
    #[error("the authorities changed under each of {TRIES} tries to store them")]
    Contended,
    /// A certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Nothing was heard for too long.
    #[error("no answer within {} s", ROUND_AT_MOST.as_secs())]
    TimedOut,
}

impl<S: TrustStore> Keeper<S> {
    /// Keeps `served` and what API servers trust in step, for a server that is called by `server_name`.
    pub fn new(
        store: S,
        server_name: String,
        lifetimes: Lifetimes,
        clock: Clock,
        served: Arc<ServedLeaf>,
        health: Arc<Health>,
    ) -> Self {
        Self { store, server_name, lifetimes, clock, served, health, known: None, signed_by: None }
    }

    /// Does round after round: at once, whenever `nudges` says that something was touched, and from time to time.
    pub async fn run(mut self, nudges: impl Stream<Item = ()>) {
        let mut nudges = pin!(nudges.fuse());
        loop {
            let pause =
                match tokio::time::timeout(ROUND_AT_MOST, self.round()).await.unwrap_or(Err(KeeperError::TimedOut)) {
                    Ok(()) => ROUND_EVERY,
                    Err(error) => {
                        warn!(%error, "certificates could not be looked after; trying again");
                        RETRY_AFTER
                    }
                };
            tokio::time::sleep(REST).await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Some(()) = nudges.next() => {}
            }
        }
    }

    /// Brings everything to where it should be now. Doing it again changes nothing.
    pub async fn round(&mut self) -> Result<(), KeeperError<S::Error>> {
        let now = self.clock.now();
        let trust = self.agree_and_publish(now).await;
        // Also when the store cannot be reached: a leaf can be renewed from what is known.
        let signed = self.renew(now);
        trust?;
        signed?;
        Ok(())
    }

    async fn agree_and_publish(&mut self, now: SystemTime) -> Result<(), KeeperError<S::Error>> {
        let bundle = self.agree(now).await?.bundle_pem();
        if !self.store.trusts(&bundle).await.map_err(KeeperError::Store)? {
            self.health.set_trusted(false);
            self.store.publish(&bundle).await.map_err(KeeperError::Store)?;
            info!("told the API server which authorities to trust");
        }
        self.health.set_trusted(true);
        Ok(())
    }

    /// Reads the shared authorities; stores what is to follow them, or the first.
    async fn agree(&mut self, now: SystemTime) -> Result<&Authorities, KeeperError<S::Error>> {
        for _ in 0..TRIES {
            let stored = self.store.read().await.map_err(KeeperError::Store)?;
            let shared = stored.data.as_ref().and_then(readable);
            let next = match &shared {
                Some(shared) => shared.next(now, &self.lifetimes)?,
                // Somebody emptied the store: what others still trust and serve comes back.
                None if self.known.is_some() => self.known.clone(),
                None => Some(Authorities::first(now, &self.lifetimes)?),
            };
            let agreed = match next {
                None => shared,
                Some(next) => {
                    let data = AuthorityData::from(&next);
                    match self.store.write(&data, &stored.version).await.map_err(KeeperError::Store)? {
                        StoreOutcome::Written => {
                            info!("stored the authorities");
                            Some(next)
                        }
                        StoreOutcome::Conflict => continue,
                    }
                }
            };
            if let Some(agreed) = agreed {
                return Ok(self.known.insert(agreed));
            }
        }
        Err(KeeperError::Contended)
    }

    /// Signs a leaf where there is none, where the old one has had a third of its life, or where another authority
    /// signs now.
    fn renew(&mut self, now: SystemTime) -> Result<(), CertificateError> {
        let Some(authorities) = &self.known else { return Ok(()) };
        let signer = authorities.signer(now, &self.lifetimes);
        let fresh = self.served.validity().is_some_and(|leaf| !Lifetimes::needs_renewal(leaf, now));
        if fresh && self.signed_by.as_deref() == Some(signer.certificate_pem()) {
            return Ok(());
        }
        let leaf: Leaf = signer.sign(&self.server_name, now, self.lifetimes.leaf)?;
        self.served.serve(leaf);
        self.signed_by = Some(signer.certificate_pem().to_owned());
        info!(name = %self.server_name, "serving a new certificate");
        Ok(())
    }
}

/// Damaged authorities are as good as none: the store is ours alone, and a webhook that waits for a person helps nobody.
fn readable(data: &AuthorityData) -> Option<Authorities> {
    Authorities::try_from(data)
        .map_err(|error| warn!(%error, "the stored authorities cannot be read and are replaced"))
        .ok()
}

#[cfg(test)]
mod tests {
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
            let health = Arc::new(Health::new(Arc::clone(&served)));
            let lifetimes = Lifetimes { authority: 300 * HOUR, leaf: 24 * HOUR, settle: HOUR };
            Keeper::new(self.clone(), NAME.to_owned(), lifetimes, clock, served, health)
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
            let stored = self.call(|state| Stored { data: state.data.clone(), version: state.version.to_string() });
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
        assert_eq!(one.known, two.known);
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
    async fn readiness_waits_for_trust() {
        let world = World::new();
        let mut replica = world.replica();
        let now = world.set(|state| {
            state.reachable = false;
            state.now
        });
        replica.round().await.unwrap_err();
        assert!(replica.health.readiness(now).is_err());
        world.set(|state| state.reachable = true);
        replica.round().await.unwrap();
        assert_eq!(replica.health.readiness(now), Ok(()));
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
}

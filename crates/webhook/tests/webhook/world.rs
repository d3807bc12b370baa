//! A cluster in memory, with a clock that the test sets: what replicas share, and what API servers are told.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use webhook::certificates::{AuthorityData, StoreOutcome, Stored, TrustStore};
use webhook::clock::Clock;

/// Whoever reads it, reads the same.
#[derive(Clone, Debug)]
pub(crate) struct World(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    now: SystemTime,
    data: Option<AuthorityData>,
    version: u64,
    conflicts: u64,
    /// What was published, and what was before the clock was last set.
    bundle: String,
    earlier_bundle: String,
}

#[derive(Debug, thiserror::Error)]
#[error("nothing can go wrong in memory")]
pub(crate) enum Nothing {}

impl World {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            now: SystemTime::UNIX_EPOCH + Duration::from_hours(480_000),
            data: None,
            version: 0,
            conflicts: 0,
            bundle: String::new(),
            earlier_bundle: String::new(),
        })))
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    pub(crate) fn clock(&self) -> Clock {
        let world = self.clone();
        Clock::new(move || world.now())
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.state(|state| state.now)
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.state(|state| {
            state.now += time;
            state.earlier_bundle.clone_from(&state.bundle);
        });
    }

    /// What an API server trusts that has heard of everything.
    pub(crate) fn bundle(&self) -> String {
        self.state(|state| state.bundle.clone())
    }

    /// What an API server trusts that has heard of nothing since the clock was set.
    pub(crate) fn earlier_bundle(&self) -> String {
        self.state(|state| state.earlier_bundle.clone())
    }

    /// Writes that met somebody else's.
    pub(crate) fn conflicts(&self) -> u64 {
        self.state(|state| state.conflicts)
    }
}

impl TrustStore for World {
    type Error = Nothing;

    async fn read(&self) -> Result<Stored, Nothing> {
        let (data, version) = self.state(|state| (state.data.clone(), state.version));
        // Lets another replica read too before this one writes.
        tokio::task::yield_now().await;
        Ok(Stored { data, version: version.to_string(), identity: "one".to_owned() })
    }

    async fn write(&self, data: &AuthorityData, version: &str) -> Result<StoreOutcome, Nothing> {
        Ok(self.state(|state| {
            if version != state.version.to_string() {
                state.conflicts += 1;
                return StoreOutcome::Conflict;
            }
            state.data = Some(data.clone());
            state.version += 1;
            StoreOutcome::Written
        }))
    }

    async fn trusts(&self, bundle_pem: &str) -> Result<bool, Nothing> {
        Ok(self.state(|state| state.bundle == bundle_pem))
    }

    async fn publish(&self, bundle_pem: &str) -> Result<(), Nothing> {
        self.state(|state| bundle_pem.clone_into(&mut state.bundle));
        Ok(())
    }
}

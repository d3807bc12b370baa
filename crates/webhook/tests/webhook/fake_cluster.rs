//! A cluster in memory, with a clock that the test sets: the store that replicas share, and the published bundle.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use daemon::Clock;
use webhook::certificates::{AuthorityData, StoreOutcome, Stored, TrustStore};

/// Clones share the state.
#[derive(Clone, Debug)]
pub(crate) struct FakeCluster(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    now: SystemTime,
    data: Option<AuthorityData>,
    version: u64,
    conflicts: u64,
    /// The published bundle, and the one before the clock was last set.
    bundle: String,
    earlier_bundle: String,
}

#[derive(Debug, thiserror::Error)]
#[error("no request fails in memory")]
pub(crate) enum NoError {}

impl FakeCluster {
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

    fn state<T>(&self, access: impl FnOnce(&mut State) -> T) -> T {
        access(&mut self.0.lock().unwrap())
    }

    pub(crate) fn clock(&self) -> Clock {
        let cluster = self.clone();
        Clock::new(move || cluster.now())
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.state(|state| state.now)
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.state(|state| {
            state.now += time;
            state.earlier_bundle.clone_from(&state.bundle);
        });
    }

    /// Returns the bundle that an up-to-date API server trusts.
    pub(crate) fn bundle(&self) -> String {
        self.state(|state| state.bundle.clone())
    }

    /// Returns the bundle that an API server trusts which has received nothing since the clock was set.
    pub(crate) fn earlier_bundle(&self) -> String {
        self.state(|state| state.earlier_bundle.clone())
    }

    /// Returns the number of conflicting writes.
    pub(crate) fn conflicts(&self) -> u64 {
        self.state(|state| state.conflicts)
    }
}

impl TrustStore for FakeCluster {
    type Error = NoError;

    async fn read(&self) -> Result<Stored, NoError> {
        let (data, version) = self.state(|state| (state.data.clone(), state.version));
        // Lets another replica read too before this one writes.
        tokio::task::yield_now().await;
        Ok(Stored { data, version: version.to_string(), identity: "one".to_owned() })
    }

    async fn write(&self, data: &AuthorityData, version: &str) -> Result<StoreOutcome, NoError> {
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

    async fn trusts(&self, bundle_pem: &str) -> Result<bool, NoError> {
        Ok(self.state(|state| state.bundle == bundle_pem))
    }

    async fn publish(&self, bundle_pem: &str) -> Result<(), NoError> {
        self.state(|state| bundle_pem.clone_into(&mut state.bundle));
        Ok(())
    }
}

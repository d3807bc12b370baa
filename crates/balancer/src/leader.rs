//! Leader election: the replica that holds the Lease leads.

use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use daemon::in_one_sentence;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use crate::metrics::Metrics;

const FIELD_MANAGER: &str = "evenkeel-balancer";
/// How often a leader renews the Lease, and other replicas read it.
const RENEW_INTERVAL: Duration = Duration::from_secs(1);
/// The time without a change after which another replica takes the Lease. An instruction at the shortest interval is in
/// force for as long.
const LEASE_DURATION: Duration = Duration::from_secs(3);
/// How long a leader that cannot reach the API server keeps leading. No other replica can take the Lease in the
/// meantime, unless this replica alone is cut off. Two leaders for a while do no harm, because proxies accept only
/// higher sequence numbers.
const MAX_UNREACHED: Duration = Duration::from_mins(2);
const TIMEOUT: Duration = Duration::from_secs(2);
const CONFLICT: u16 = 409;
const NOT_FOUND: u16 = 404;

/// What a candidate does after it has read the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It holds the Lease, and renews it.
    Renew,
    /// No replica holds it, or its holder no longer renews it.
    Take,
    /// Another holds it.
    Wait,
}

/// A candidate's view of the Lease. It never compares the clocks of two machines: the Lease is expired if it has not
/// changed for 3 s by the candidate's own clock. Times in which the candidate could not read the Lease do not count:
/// the holder could not renew it either, and keeps leading.
///
/// ```text
/// Wait ── unchanged for 3 s, or released ──▶ Take ── written ──▶ Renew ── another holds it ──▶ Wait
/// ```
#[derive(Debug)]
struct Candidate {
    identity: String,
    version: String,
    seen_at: Duration,
}

impl Candidate {
    fn new(identity: String) -> Self {
        Self { identity, version: String::new(), seen_at: Duration::ZERO }
    }

    fn step(&mut self, holder: &str, version: &str, now: Duration) -> Step {
        if self.version != version {
            version.clone_into(&mut self.version);
            self.seen_at = now;
        }
        if holder == self.identity {
            Step::Renew
        } else if holder.is_empty() || now.saturating_sub(self.seen_at) >= LEASE_DURATION {
            Step::Take
        } else {
            Step::Wait
        }
    }

    /// Forgets the version that was read last, because the Lease cannot be read.
    fn forget_version(&mut self) {
        self.version.clear();
    }
}

/// Takes part in the election while [`run`](Self::run) is polled; [`release`](Self::release) releases the Lease.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    candidate: Candidate,
    clock: Clock,
    metrics: Arc<Metrics>,
    start: Instant,
    /// The version of the Lease that this replica wrote last; `None` if it does not hold the Lease.
    held: Option<String>,
    reached_at: Duration,
    is_unreachable: bool,
}

impl Election {
    /// Returns the candidate `identity` for the Lease `name`. The account needs `get`, `patch` and `create` on it.
    pub fn new(
        client: Client,
        namespace: &str,
        name: String,
        identity: String,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name,
            candidate: Candidate::new(identity),
            clock,
            metrics,
            start: Instant::now(),
            held: None,
            reached_at: Duration::ZERO,
            is_unreachable: false,
        }
    }

    /// Takes or renews the Lease every second, and sends to `leads` whether this replica leads. Cancel safe.
    pub async fn run(&mut self, leads: &watch::Sender<bool>) {
        let mut times = interval(RENEW_INTERVAL);
        times.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            times.tick().await;
            let round = timeout(TIMEOUT, self.round()).await;
            let leads_now = match round {
                Ok(Ok(leads)) => {
                    self.reached();
                    leads
                }
                Ok(Err(error)) => self.failed(&in_one_sentence(&error), *leads.borrow()),
                Err(_) => self.failed("no answer", *leads.borrow()),
            };
            if leads.send_if_modified(|before| std::mem::replace(before, leads_now) != leads_now) {
                info!(leads = leads_now, identity = self.candidate.identity, "leadership has changed");
            }
            self.metrics.leads(leads_now);
        }
    }

    fn reached(&mut self) {
        if std::mem::take(&mut self.is_unreachable) {
            info!(lease = self.name, "the Lease can be read and written again");
        }
        self.reached_at = self.start.elapsed();
        self.metrics.lease(true, self.clock.since_epoch().as_secs_f64());
    }

    /// Returns whether this replica leads although it cannot reach the Lease.
    fn failed(&mut self, error: &str, led: bool) -> bool {
        if !std::mem::replace(&mut self.is_unreachable, true) {
            warn!(lease = self.name, error, "cannot read or write the Lease");
        }
        self.metrics.lease(false, 0.0);
        self.candidate.forget_version();
        led && keeps_leading(self.start.elapsed().saturating_sub(self.reached_at))
    }

    /// Releases the Lease, so that another replica leads within a second.
    pub async fn release(&mut self) {
        if let Some(version) = self.held.take() {
            let released = timeout(TIMEOUT, self.write("", &version, 0)).await;
            info!(released = matches!(released, Ok(Ok(Some(_)))), "releasing the Lease");
        }
    }

    async fn round(&mut self) -> Result<bool, kube::Error> {
        // A leader writes without reading first. A conflict means that another replica has written.
        if let Some(version) = self.held.take() {
            let identity = self.candidate.identity.clone();
            self.held = self.write(&identity, &version, 0).await?;
            if self.held.is_some() {
                return Ok(true);
            }
        }
        let lease = self.read().await?;
        let spec = lease.spec.unwrap_or_default();
        let version = lease.metadata.resource_version.unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        let now = self.start.elapsed();
        let transitions = spec.lease_transitions.unwrap_or_default();
        let identity = self.candidate.identity.clone();
        self.held = match self.candidate.step(&holder, &version, now) {
            Step::Wait => None,
            Step::Renew => self.write(&identity, &version, transitions).await?,
            Step::Take => self.write(&identity, &version, transitions.saturating_add(1)).await?,
        };
        Ok(self.held.is_some())
    }

    async fn read(&self) -> Result<Lease, kube::Error> {
        match self.leases.get(&self.name).await {
            Err(kube::Error::Api(status)) if status.code == NOT_FOUND => {
                // By server-side apply: RBAC cannot restrict `create` to a name, but it can restrict `patch`.
                let empty = json!({
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": { "name": self.name },
                });
                self.leases.patch(&self.name, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(empty)).await
            }
            read => read,
        }
    }

    /// Writes the Lease if it is still at `version`. Returns its new version, or `None` if another replica has written
    /// it.
    async fn write(&self, holder: &str, version: &str, transitions: i32) -> Result<Option<String>, kube::Error> {
        let now = i64::try_from(self.clock.since_epoch().as_micros()).unwrap_or(i64::MAX);
        let now = MicroTime(Timestamp::from_microsecond(now).unwrap_or_default());
        let mut spec = json!({
            "holderIdentity": holder,
            "leaseDurationSeconds": LEASE_DURATION.as_secs(),
            "renewTime": now,
        });
        if transitions > 0 {
            spec["leaseTransitions"] = transitions.into();
            spec["acquireTime"] = spec["renewTime"].clone();
        }
        let patch = json!({ "metadata": { "resourceVersion": version }, "spec": spec });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match self.leases.patch(&self.name, &params, &Patch::Merge(patch)).await {
            Ok(lease) => Ok(lease.metadata.resource_version),
            Err(kube::Error::Api(status)) if status.code == CONFLICT => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Returns whether a leader that has not reached the API server for this time keeps leading.
fn keeps_leading(unreached_for: Duration) -> bool {
    unreached_for < MAX_UNREACHED
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_holder_that_renews_keeps_the_lease() {
        let mut candidate = Candidate::new("me".to_owned());
        for second in 0..60 {
            let step = candidate.step("other", &second.to_string(), second * SECOND);
            assert_eq!(step, Step::Wait, "{second}");
        }
    }

    #[test]
    fn a_holder_that_does_not_renew_loses_the_lease_after_three_seconds() {
        let mut candidate = Candidate::new("me".to_owned());
        let start = 1000 * SECOND;
        assert_eq!(candidate.step("other", "1", start), Step::Wait, "it may have been renewed just now");
        assert_eq!(candidate.step("other", "1", start + 2 * SECOND), Step::Wait);
        assert_eq!(candidate.step("other", "1", start + 3 * SECOND), Step::Take);
        assert_eq!(candidate.step("other", "2", start + 4 * SECOND), Step::Wait, "another was faster");
        assert_eq!(candidate.step("me", "3", start + 5 * SECOND), Step::Renew);
    }

    #[test]
    fn after_an_outage_the_holder_has_the_full_time_to_renew() {
        let mut candidate = Candidate::new("me".to_owned());
        assert_eq!(candidate.step("other", "1", SECOND), Step::Wait);
        candidate.forget_version();
        let back = 61 * SECOND;
        assert_eq!(candidate.step("other", "1", back), Step::Wait);
        assert_eq!(candidate.step("other", "2", back + SECOND), Step::Wait, "it goes on");
        candidate.forget_version();
        assert_eq!(candidate.step("other", "2", 2 * back), Step::Wait);
        assert_eq!(candidate.step("other", "2", 2 * back + 3 * SECOND), Step::Take, "it has died meanwhile");
    }

    #[test]
    fn a_leader_without_the_api_server_leads_for_two_minutes() {
        for (seconds, expected) in [(0, true), (60, true), (119, true), (120, false)] {
            assert_eq!(keeps_leading(seconds * SECOND), expected, "{seconds} s");
        }
    }

    #[test]
    fn a_lease_without_a_holder_is_acquired_at_once() {
        let mut candidate = Candidate::new("me".to_owned());
        assert_eq!(candidate.step("", "1", SECOND), Step::Take);
    }
}

//! The controller that reconciles Secret, `caBundle` and the served leaf.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use daemon::Clock;
use futures_util::{Stream, StreamExt};
use tracing::{info, warn};

use super::{
    Authorities, AuthorityData, CertificateError, Leaf, Lifetimes, ServedLeaf, StoreOutcome, TrustStore, Trusted,
};

/// How often it reconciles without a trigger.
const RESYNC_EVERY: Duration = Duration::from_mins(1);
/// How soon it reconciles after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// The least time between two reconciliations, so that another writer who reverts ours costs little.
const MIN_PAUSE: Duration = Duration::from_millis(500);
/// How long a reconciliation may take before it counts as failed.
const RECONCILE_WITHIN: Duration = Duration::from_secs(30);
/// Each conflict means that another replica has written. Five in a row mean another fault.
const TRIES: usize = 5;

/// The controller of one replica. There is no leader: every replica reconciles, and of two that write at once the store
/// accepts one, whose result the other reads.
#[derive(Debug)]
pub struct CertificateController<S> {
    store: S,
    server_name: String,
    lifetimes: Lifetimes,
    clock: Clock,
    served: Arc<ServedLeaf>,
    trusted: Trusted,
    /// What the store held when it was last read.
    known: Option<Known>,
    /// The certificate of the authority that signed the served leaf.
    signed_by: Option<String>,
}

/// Authorities, and the identity of the store that held them.
#[derive(Debug)]
struct Known {
    identity: String,
    authorities: Authorities,
}

/// Why a reconciliation failed.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError<E> {
    /// A request to the store failed.
    #[error(transparent)]
    Store(E),
    /// Every attempt conflicted with another write.
    #[error("each of {TRIES} attempts to store the authorities conflicted with another write")]
    Contended,
    /// A certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The store did not answer in time.
    #[error("no answer within {} s", RECONCILE_WITHIN.as_secs())]
    TimedOut,
}

impl<S: TrustStore> CertificateController<S> {
    /// Returns a controller of `served` and `trusted` for a server with the name `server_name`.
    pub fn new(
        store: S,
        server_name: String,
        lifetimes: Lifetimes,
        clock: Clock,
        served: Arc<ServedLeaf>,
        trusted: Trusted,
    ) -> Self {
        Self { store, server_name, lifetimes, clock, served, trusted, known: None, signed_by: None }
    }

    /// Reconciles at once, whenever `triggers` yields, and every minute, for ever.
    pub async fn run(mut self, triggers: impl Stream<Item = ()>) {
        let mut triggers = pin!(triggers.fuse());
        loop {
            let pause = match tokio::time::timeout(RECONCILE_WITHIN, self.reconcile())
                .await
                .unwrap_or(Err(ControllerError::TimedOut))
            {
                Ok(()) => RESYNC_EVERY,
                Err(error) => {
                    warn!(%error, "cannot reconcile certificates; trying again");
                    RETRY_AFTER
                }
            };
            tokio::time::sleep(MIN_PAUSE).await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Some(()) = triggers.next() => {}
            }
        }
    }

    /// Reconciles once. It is idempotent.
    pub async fn reconcile(&mut self) -> Result<(), ControllerError<S::Error>> {
        let now = self.clock.now();
        let trust = self.publish_trust(now).await;
        // Even if the store cannot be reached: a leaf can be renewed with the authorities that are known.
        let signed = self.renew(now);
        trust?;
        signed?;
        Ok(())
    }

    async fn publish_trust(&mut self, now: SystemTime) -> Result<(), ControllerError<S::Error>> {
        let bundle = self.sync_authorities(now).await?.bundle_pem();
        if !self.store.trusts(&bundle).await.map_err(ControllerError::Store)? {
            self.trusted.set(false);
            self.store.publish(&bundle).await.map_err(ControllerError::Store)?;
            info!("published the caBundle");
        }
        self.trusted.set(true);
        Ok(())
    }

    /// Returns the shared authorities. Stores the next ones if a rotation is due, or the first ones.
    async fn sync_authorities(&mut self, now: SystemTime) -> Result<&Authorities, ControllerError<S::Error>> {
        for _ in 0..TRIES {
            let stored = self.store.read().await.map_err(ControllerError::Store)?;
            let shared = stored.data.as_ref().and_then(readable);
            let next = match &shared {
                Some(shared) => shared.next(now, &self.lifetimes)?,
                None => Some(self.for_empty_store(&stored.identity, now)?),
            };
            if let Some(next) = &next {
                let data = AuthorityData::from(next);
                match self.store.write(&data, &stored.version).await.map_err(ControllerError::Store)? {
                    StoreOutcome::Written => info!("stored the authorities"),
                    StoreOutcome::Conflict => continue,
                }
            }
            if let Some(authorities) = next.or(shared) {
                return Ok(&self.known.insert(Known { identity: stored.identity, authorities }).authorities);
            }
        }
        Err(ControllerError::Contended)
    }

    /// Returns the authorities for an empty store: the known ones if the store lost them, because API servers still
    /// trust these.
    fn for_empty_store(&self, identity: &str, now: SystemTime) -> Result<Authorities, CertificateError> {
        match &self.known {
            Some(known) if identity.is_empty() || known.identity == identity => Ok(known.authorities.clone()),
            Some(_) | None => Authorities::first(now, &self.lifetimes),
        }
    }

    /// Signs a leaf if there is none, if a third of the old one's lifetime has passed, or if another authority signs
    /// now.
    fn renew(&mut self, now: SystemTime) -> Result<(), CertificateError> {
        let Some(Known { authorities, .. }) = &self.known else { return Ok(()) };
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

/// Returns the authorities, or `None` if they are damaged: the store is ours alone, so they are replaced without an
/// operator.
fn readable(data: &AuthorityData) -> Option<Authorities> {
    Authorities::try_from(data)
        .map_err(|error| warn!(%error, "the stored authorities cannot be read and are replaced"))
        .ok()
}

#[cfg(test)]
mod tests;

//! Keeps Secret, `caBundle` and the served leaf right, for as long as the process lives.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{Stream, StreamExt};
use tracing::{info, warn};

use super::{
    Authorities, AuthorityData, CertificateError, Leaf, Lifetimes, ServedLeaf, StoreOutcome, TrustStore, Trusted,
};
use crate::clock::Clock;

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
    trusted: Trusted,
    /// What the store held when it was last read.
    known: Option<Known>,
    /// The certificate of the authority that signed the served leaf.
    signed_by: Option<String>,
}

/// Authorities and the store that they are of.
#[derive(Debug)]
struct Known {
    identity: String,
    authorities: Authorities,
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
        trusted: Trusted,
    ) -> Self {
        Self { store, server_name, lifetimes, clock, served, trusted, known: None, signed_by: None }
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
            self.trusted.set(false);
            self.store.publish(&bundle).await.map_err(KeeperError::Store)?;
            info!("told the API server which authorities to trust");
        }
        self.trusted.set(true);
        Ok(())
    }

    /// Reads the shared authorities; stores what is to follow them, or the first.
    async fn agree(&mut self, now: SystemTime) -> Result<&Authorities, KeeperError<S::Error>> {
        for _ in 0..TRIES {
            let stored = self.store.read().await.map_err(KeeperError::Store)?;
            let shared = stored.data.as_ref().and_then(readable);
            let next = match &shared {
                Some(shared) => shared.next(now, &self.lifetimes)?,
                None => Some(self.in_place_of_none(&stored.identity, now)?),
            };
            if let Some(next) = &next {
                let data = AuthorityData::from(next);
                match self.store.write(&data, &stored.version).await.map_err(KeeperError::Store)? {
                    StoreOutcome::Written => info!("stored the authorities"),
                    StoreOutcome::Conflict => continue,
                }
            }
            if let Some(authorities) = next.or(shared) {
                return Ok(&self.known.insert(Known { identity: stored.identity, authorities }).authorities);
            }
        }
        Err(KeeperError::Contended)
    }

    /// What goes into an empty store. Where somebody emptied or deleted it, what others still trust and serve comes back.
    fn in_place_of_none(&self, identity: &str, now: SystemTime) -> Result<Authorities, CertificateError> {
        match &self.known {
            Some(known) if identity.is_empty() || known.identity == identity => Ok(known.authorities.clone()),
            Some(_) | None => Authorities::first(now, &self.lifetimes),
        }
    }

    /// Signs a leaf where there is none, where the old one has had a third of its life, or where another authority
    /// signs now.
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

/// Damaged authorities are as good as none: the store is ours alone, and a webhook that waits for a person helps nobody.
fn readable(data: &AuthorityData) -> Option<Authorities> {
    Authorities::try_from(data)
        .map_err(|error| warn!(%error, "the stored authorities cannot be read and are replaced"))
        .ok()
}

#[cfg(test)]
mod tests;

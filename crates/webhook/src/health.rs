//! Readiness of this replica.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::certificates::{Lifetimes, ServedLeaf, Trusted, Validity};

/// The state that decides readiness.
#[derive(Debug)]
pub struct Health {
    served: Arc<ServedLeaf>,
    trusted: Trusted,
    /// Why the certificate files cannot be used, while nothing else is served.
    unusable: Mutex<Option<String>>,
    draining: AtomicBool,
}

/// Why a replica is not ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// It is shutting down.
    #[error("shutting down")]
    Draining,
    /// It has no certificate for handshakes.
    #[error("no certificate yet")]
    NoCertificate,
    /// The files that somebody else writes hold no certificate that it can serve.
    #[error("no certificate yet: {0}")]
    Unusable(String),
    /// API servers do not trust its certificate.
    #[error("the caBundle of the webhook configuration is not published yet")]
    Untrusted,
    /// The clock was set back, or the certificate is for a time to come.
    #[error("the certificate is not valid yet by this machine's clock")]
    NotYetValid,
    /// Renewal must have failed. Readiness fails before the certificate expires.
    #[error("the certificate expires soon and was not renewed")]
    Expiring,
}

impl Health {
    /// Returns the state of a replica that serves `served`, which no API server trusts yet.
    pub fn new(served: Arc<ServedLeaf>) -> Self {
        Self { served, trusted: Trusted::default(), unusable: Mutex::default(), draining: AtomicBool::new(false) }
    }

    /// Returns whether API servers trust the certificate; the certificate controller sets it.
    pub fn trusted(&self) -> Trusted {
        self.trusted.clone()
    }

    /// Sets why the certificate files cannot be used, which is the reason as long as no certificate is served. Returns
    /// whether it is a new one.
    pub fn set_unusable(&self, why: String) -> bool {
        let why = Some(why);
        let mut unusable = self.unusable.lock().unwrap_or_else(PoisonError::into_inner);
        let new = *unusable != why;
        *unusable = why;
        new
    }

    /// Makes the replica unready for good: it shuts down.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Returns whether the replica shuts down.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Returns when the served certificate is valid.
    pub fn certificate(&self) -> Option<Validity> {
        self.served.validity()
    }

    /// Returns whether API servers should send reviews here.
    pub fn readiness(&self, now: SystemTime) -> Result<(), NotReady> {
        if self.is_draining() {
            return Err(NotReady::Draining);
        }
        let certificate = self.certificate().ok_or_else(|| self.without_certificate())?;
        if !certificate.has_begun(now) {
            return Err(NotReady::NotYetValid);
        }
        if Lifetimes::nears_expiry(certificate, now) {
            return Err(NotReady::Expiring);
        }
        if self.trusted.get() { Ok(()) } else { Err(NotReady::Untrusted) }
    }

    fn without_certificate(&self) -> NotReady {
        let unusable = self.unusable.lock().unwrap_or_else(PoisonError::into_inner).clone();
        unusable.map_or(NotReady::NoCertificate, NotReady::Unusable)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::certificates::Authority;

    #[test]
    fn ready_only_with_a_trusted_certificate_that_does_not_expire_soon() {
        let made = SystemTime::UNIX_EPOCH + Duration::from_hours(480_000);
        let day = Duration::from_hours(24);
        let served = Arc::new(ServedLeaf::default());
        let health = Health::new(Arc::clone(&served));
        assert_eq!(health.readiness(made), Err(NotReady::NoCertificate));
        assert!(health.set_unusable("of another key".to_owned()));
        assert_eq!(health.readiness(made), Err(NotReady::Unusable("of another key".to_owned())));
        served.serve(Authority::generate(made, 10 * day).unwrap().sign("x.y.svc", made, day).unwrap());
        assert_eq!(health.readiness(made), Err(NotReady::Untrusted));
        health.trusted().set(true);
        assert_eq!(health.readiness(made), Ok(()));
        assert_eq!(health.readiness(made + Duration::from_hours(21)), Err(NotReady::Expiring));
        assert_eq!(health.readiness(made - Duration::from_hours(2)), Err(NotReady::NotYetValid));
        health.trusted().set(false);
        assert_eq!(health.readiness(made), Err(NotReady::Untrusted));
        health.trusted().set(true);
        health.drain();
        assert_eq!(health.readiness(made), Err(NotReady::Draining));
    }
}

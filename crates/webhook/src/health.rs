//! Readiness of this replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use crate::certificates::{Lifetimes, ServedLeaf, Trusted, Validity};

/// The state that decides readiness.
#[derive(Debug)]
pub struct Health {
    served: Arc<ServedLeaf>,
    trusted: Trusted,
    draining: AtomicBool,
}

/// Why a replica is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// It is shutting down.
    #[error("shutting down")]
    Draining,
    /// It has no certificate for handshakes.
    #[error("no certificate yet")]
    NoCertificate,
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
        Self { served, trusted: Trusted::default(), draining: AtomicBool::new(false) }
    }

    /// Returns whether API servers trust the certificate; the certificate controller sets it.
    pub fn trusted(&self) -> Trusted {
        self.trusted.clone()
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
        let certificate = self.certificate().ok_or(NotReady::NoCertificate)?;
        if !certificate.has_begun(now) {
            return Err(NotReady::NotYetValid);
        }
        if Lifetimes::nears_expiry(certificate, now) {
            return Err(NotReady::Expiring);
        }
        if self.trusted.get() { Ok(()) } else { Err(NotReady::Untrusted) }
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

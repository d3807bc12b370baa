//! Whether this replica lives, and whether it should be sent reviews.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use crate::certificates::{Lifetimes, ServedLeaf, Trusted, Validity};

/// What readiness is judged by.
#[derive(Debug)]
pub struct Health {
    served: Arc<ServedLeaf>,
    trusted: Trusted,
    draining: AtomicBool,
}

/// Why a replica should be sent nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// It is about to end.
    #[error("shutting down")]
    Draining,
    /// It cannot shake hands.
    #[error("no certificate yet")]
    NoCertificate,
    /// API servers would refuse its certificate.
    #[error("the caBundle of the webhook configuration is not in place")]
    Untrusted,
    /// Renewal must have failed; red before it is over, not after.
    #[error("the certificate nears its end and was not renewed")]
    Expiring,
}

impl Health {
    /// Of a replica that serves `served` and that nobody is known to trust.
    pub fn new(served: Arc<ServedLeaf>) -> Self {
        Self { served, trusted: Trusted::default(), draining: AtomicBool::new(false) }
    }

    /// Returns the state of trust, which whoever publishes the authorities sets.
    pub fn trusted(&self) -> Trusted {
        self.trusted.clone()
    }

    /// From now on, it wants no new connections.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether it is about to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// When the served certificate holds.
    pub fn certificate(&self) -> Option<Validity> {
        self.served.validity()
    }

    /// Whether API servers should send it reviews.
    pub fn readiness(&self, now: SystemTime) -> Result<(), NotReady> {
        if self.is_draining() {
            return Err(NotReady::Draining);
        }
        let certificate = self.certificate().ok_or(NotReady::NoCertificate)?;
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
    fn green_only_with_a_trusted_certificate_that_is_not_about_to_end() {
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
        health.trusted().set(false);
        assert_eq!(health.readiness(made), Err(NotReady::Untrusted));
        health.trusted().set(true);
        health.drain();
        assert_eq!(health.readiness(made), Err(NotReady::Draining));
    }
}

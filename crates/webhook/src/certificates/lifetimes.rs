//! How long certificates are valid, and when they are replaced: pure functions of time.

use std::time::{Duration, SystemTime};

use super::Validity;

/// The lifetimes of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// How long an authority is valid.
    pub authority: Duration,
    /// How long a leaf is valid.
    pub leaf: Duration,
    /// How long an authority is published before it signs leaves. In this time every API server receives the bundle,
    /// and every replica reads the Secret.
    pub settle: Duration,
}

impl Default for Lifetimes {
    /// A year for authorities, a day for leaves. Five minutes to settle is hundreds of times what a watch takes.
    fn default() -> Self {
        Self {
            authority: Duration::from_hours(365 * 24),
            leaf: Duration::from_hours(24),
            settle: Duration::from_mins(5),
        }
    }
}

impl Lifetimes {
    /// Returns whether an authority needs a successor: less than a third of its lifetime is left.
    pub fn needs_successor(validity: Validity, now: SystemTime) -> bool {
        validity.left(now) < validity.life() / 3
    }

    /// Returns whether a leaf is to be renewed: less than two thirds of its lifetime are left, so that renewal can fail
    /// for hours before readiness does; or it is not valid yet, because the clock was set back.
    pub fn needs_renewal(validity: Validity, now: SystemTime) -> bool {
        !validity.has_begun(now) || validity.left(now) < validity.life() / 3 * 2
    }

    /// Returns whether renewal must have failed: less than a sixth of the lifetime is left, and less than four hours
    /// (certificates from files are valid for months). Readiness fails from then on, before the certificate expires.
    pub fn nears_expiry(validity: Validity, now: SystemTime) -> bool {
        validity.left(now) < (validity.life() / 6).min(Duration::from_hours(4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_renewed_long_before_readiness_fails() {
        let made = SystemTime::UNIX_EPOCH + Duration::from_hours(1000);
        let leaf = Validity::beginning(made, Duration::from_hours(24));
        for (hours, renew, red) in [
            (0, false, false),
            (8, false, false),
            (9, true, false),
            (20, true, false),
            (21, true, true),
            (25, true, true),
        ] {
            let now = made + Duration::from_hours(hours);
            assert_eq!(Lifetimes::needs_renewal(leaf, now), renew, "{hours}");
            assert_eq!(Lifetimes::nears_expiry(leaf, now), red, "{hours}");
        }
        assert!(Lifetimes::needs_renewal(leaf, made - Duration::from_hours(2)), "it is not valid yet");
    }

    #[test]
    fn a_certificate_of_months_is_ready_until_its_last_hours() {
        let made = SystemTime::UNIX_EPOCH + Duration::from_hours(1000);
        let bought = Validity::beginning(made, Duration::from_hours(90 * 24));
        assert!(!Lifetimes::nears_expiry(bought, made + Duration::from_hours(89 * 24)));
        assert!(Lifetimes::nears_expiry(bought, made + Duration::from_hours(90 * 24 - 3)));
    }

    #[test]
    fn an_authority_gets_a_successor_in_its_last_third() {
        let made = SystemTime::UNIX_EPOCH + Duration::from_hours(1000);
        let authority = Validity::beginning(made, Duration::from_hours(300));
        assert!(!Lifetimes::needs_successor(authority, made + Duration::from_hours(200)));
        assert!(Lifetimes::needs_successor(authority, made + Duration::from_hours(201)));
    }
}

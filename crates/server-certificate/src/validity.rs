//! The time during which a certificate is valid.

use std::time::{Duration, SystemTime};

use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use super::CertificateError;

/// When a certificate is valid, in whole seconds as in X.509.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Validity {
    /// How far issued certificates are backdated, for clients whose clocks are behind.
    pub const BACKDATED: Duration = Duration::from_hours(1);

    /// Returns the validity of a certificate that is issued `now` for `life`, [`Self::BACKDATED`] included before.
    pub fn beginning(now: SystemTime, life: Duration) -> Self {
        Self { not_before: now - Self::BACKDATED, not_after: now + life }
    }

    /// Returns the same validity, which ends with `other` at the latest.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self { not_after: self.not_after.min(other.not_after), ..self }
    }

    /// Returns the validity of a certificate in DER.
    pub fn of_certificate(der: &[u8]) -> Result<Self, CertificateError> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|_| CertificateError::Expected("an X.509 certificate"))?;
        let validity = certificate.validity();
        Ok(Self { not_before: instant(validity.not_before), not_after: instant(validity.not_after) })
    }

    /// Returns when it begins.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// Returns when it ends.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Returns the time since the certificate was issued; zero if `now` is earlier.
    pub fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.not_before + Self::BACKDATED).unwrap_or_default()
    }

    /// Returns the time that is left; zero after the end.
    pub fn left(&self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }

    /// Returns the lifetime, without the backdated part.
    pub fn life(&self) -> Duration {
        self.left(self.not_before + Self::BACKDATED)
    }

    /// Returns whether it has begun. It has not if the clock was set back since the issue.
    pub fn has_begun(&self, now: SystemTime) -> bool {
        now >= self.not_before
    }

    /// Returns whether it has begun and not ended.
    pub fn is_valid(&self, now: SystemTime) -> bool {
        self.has_begun(now) && !self.left(now).is_zero()
    }
}

/// Converts a time. Times before 1970 count as 1970: such a certificate has expired either way.
fn instant(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_and_remaining_time_count_from_the_issue() {
        let made = SystemTime::UNIX_EPOCH + Duration::from_hours(1000);
        let validity = Validity::beginning(made, Duration::from_hours(24));
        assert_eq!(validity.life(), Duration::from_hours(24));
        for (hours, age, left, valid) in [(0, 0, 24, true), (23, 23, 1, true), (24, 24, 0, false), (99, 99, 0, false)] {
            let now = made + Duration::from_hours(hours);
            assert_eq!(validity.age(now), Duration::from_hours(age), "{hours}");
            assert_eq!(validity.left(now), Duration::from_hours(left), "{hours}");
            assert_eq!(validity.is_valid(now), valid, "{hours}");
        }
    }

    #[test]
    fn an_age_is_never_negative() {
        let made = SystemTime::UNIX_EPOCH + Duration::from_hours(1000);
        let validity = Validity::beginning(made, Duration::from_hours(24));
        for (behind, has_begun) in [(Duration::from_hours(3), false), (Validity::BACKDATED, true)] {
            let now = made - behind;
            assert_eq!(validity.age(now), Duration::ZERO);
            assert_eq!((validity.has_begun(now), validity.is_valid(now)), (has_begun, has_begun));
        }
    }

    #[test]
    fn data_that_is_no_certificate_is_refused() {
        assert!(Validity::of_certificate(b"x").is_err());
    }
}

//! A certificate authority.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{CertificateError, Leaf, Validity, leaf};

/// A certificate that API servers trust, and the key that signs leaves with it.
pub struct Authority {
    certificate_pem: String,
    validity: Validity,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Generates an authority with a new key (ECDSA P-256).
    pub fn generate(now: SystemTime, life: Duration) -> Result<Self, CertificateError> {
        let validity = Validity::beginning(now, life);
        let mut params = CertificateParams::default();
        params.not_before = validity.not_before().into();
        params.not_after = validity.not_after().into();
        params.distinguished_name.push(DnType::CommonName, "evenkeel-webhook");
        // It signs leaves and no further authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        // Parsed again, so that a new authority equals the same one from the Secret.
        Self::new(certificate.der(), key)
    }

    /// Reads one certificate and its key.
    pub fn from_der(certificate: &CertificateDer<'_>, key: &PrivateKeyDer<'_>) -> Result<Self, CertificateError> {
        Self::new(certificate, KeyPair::try_from(key)?)
    }

    fn new(certificate: &CertificateDer<'_>, key: KeyPair) -> Result<Self, CertificateError> {
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|_| CertificateError::Expected("an X.509 certificate"))?;
        // An uncompressed point, as rcgen gives it.
        if *parsed.public_key().subject_public_key.data != *key.public_key_raw() {
            let mismatch = rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch);
            return Err(server_certificate::CertificateError::Key(mismatch).into());
        }
        let validity = Validity::of_certificate(certificate)?;
        let pem = pem::Pem::new("CERTIFICATE", certificate.to_vec());
        let certificate_pem = pem::encode_config(&pem, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF));
        let issuer = Issuer::from_ca_cert_der(certificate, key)?;
        Ok(Self { certificate_pem, validity, issuer })
    }

    /// Signs a leaf with a new key for the server name `name`. It expires with this authority at the latest.
    pub fn sign(&self, name: &str, now: SystemTime, life: Duration) -> Result<Leaf, CertificateError> {
        leaf::sign(&self.issuer, name, Validity::beginning(now, life).within(self.validity))
    }

    /// Returns when the certificate is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Returns the certificate in PEM. It identifies the authority.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Returns the private key in PEM (PKCS #8).
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is never shown.
        f.debug_struct("Authority").field("validity", &self.validity).finish_non_exhaustive()
    }
}

impl PartialEq for Authority {
    fn eq(&self, other: &Self) -> bool {
        self.certificate_pem == other.certificate_pem
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::verification::is_trusted;

    const HOUR: Duration = Duration::from_hours(1);
    const NAME: &str = "evenkeel-webhook.evenkeel.svc";

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + 480_000 * HOUR
    }

    #[test]
    fn a_leaf_is_valid_for_its_name_and_time_alone() {
        let authority = Authority::generate(now(), 1000 * HOUR).unwrap();
        let leaf = authority.sign(NAME, now(), 24 * HOUR).unwrap();
        assert_eq!(leaf.validity().life(), 24 * HOUR);
        for (what, name, time, good) in [
            ("now", NAME, now(), true),
            ("on a machine whose clock is behind", NAME, now() - HOUR / 2, true),
            ("in its last hour", NAME, now() + 23 * HOUR, true),
            ("when it is over", NAME, now() + 25 * HOUR, false),
            ("by another name", "evenkeel-webhook.other.svc", now(), false),
        ] {
            assert_eq!(is_trusted(&leaf, authority.certificate_pem(), name, time), good, "{what}");
        }
        let other = Authority::generate(now(), 1000 * HOUR).unwrap();
        assert!(!is_trusted(&leaf, other.certificate_pem(), NAME, now()));
    }

    #[test]
    fn a_leaf_expires_no_later_than_its_authority() {
        let authority = Authority::generate(now(), 10 * HOUR).unwrap();
        let leaf = authority.sign(NAME, now() + HOUR, 24 * HOUR).unwrap();
        assert_eq!(leaf.validity().not_after(), authority.validity().not_after());
    }
}

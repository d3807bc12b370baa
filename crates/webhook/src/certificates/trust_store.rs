//! Where authorities are stored and published: the I/O of the certificate controller.

use std::error::Error;
use std::future::Future;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Authorities, Authority, CertificateError};

/// A store that replicas share. In a cluster it is a Secret and the `caBundle` of a webhook configuration.
pub trait TrustStore: Send + Sync {
    /// Why a request to the store failed.
    type Error: Error + Send + Sync + 'static;

    /// Reads what is stored.
    fn read(&self) -> impl Future<Output = Result<Stored, Self::Error>> + Send;

    /// Stores `data`, unless another write has happened since `version` was read.
    fn write(
        &self,
        data: &AuthorityData,
        version: &str,
    ) -> impl Future<Output = Result<StoreOutcome, Self::Error>> + Send;

    /// Returns whether API servers are configured to trust exactly `bundle_pem`.
    fn trusts(&self, bundle_pem: &str) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Configures API servers to trust exactly `bundle_pem`.
    fn publish(&self, bundle_pem: &str) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// The content of the store.
#[derive(Clone, Debug)]
pub struct Stored {
    /// `None` if nothing is stored yet.
    pub data: Option<AuthorityData>,
    /// Changes with every write.
    pub version: String,
    /// The identity of the store. It changes if an operator deletes and recreates the store, which asks for new
    /// authorities. It is empty if the store did not exist and this replica has created it, which does not.
    pub identity: String,
}

/// The outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// The data is stored.
    Written,
    /// Another write came first, and its data is stored.
    Conflict,
}

/// Authorities as text: certificates and their keys in PEM, the newest first, in the same order.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityData {
    /// The certificates: the very bundle that is published.
    pub certificates_pem: String,
    /// The private keys.
    pub keys_pem: String,
}

impl std::fmt::Debug for AuthorityData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The keys are never shown.
        f.debug_struct("AuthorityData").field("certificates_pem", &self.certificates_pem).finish_non_exhaustive()
    }
}

impl From<&Authorities> for AuthorityData {
    fn from(authorities: &Authorities) -> Self {
        Self {
            certificates_pem: authorities.bundle_pem(),
            keys_pem: authorities.iter().map(Authority::key_pem).collect(),
        }
    }
}

impl TryFrom<&AuthorityData> for Authorities {
    type Error = CertificateError;

    fn try_from(data: &AuthorityData) -> Result<Self, CertificateError> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(data.certificates_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::Expected("certificates in PEM"))?;
        let keys: Vec<_> = PrivateKeyDer::pem_slice_iter(data.keys_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::Expected("private keys in PEM"))?;
        if certificates.len() != keys.len() {
            return Err(CertificateError::Expected("as many private keys as certificates"));
        }
        let pairs = certificates.into_iter().zip(&keys);
        let authorities: Vec<_> =
            pairs.map(|(certificate, key)| Authority::from_der(&certificate, key)).collect::<Result<_, _>>()?;
        Self::from_newest_first(authorities).ok_or(CertificateError::Expected("one or two authorities"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::certificates::Lifetimes;

    fn data() -> AuthorityData {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(480_000);
        AuthorityData::from(&Authorities::first(now, &Lifetimes::default()).unwrap())
    }

    #[test]
    fn stored_authorities_survive_a_round_trip() {
        let (old, new) = (data(), data());
        for stored in [
            old.clone(),
            AuthorityData {
                certificates_pem: new.certificates_pem + &old.certificates_pem,
                keys_pem: new.keys_pem + &old.keys_pem,
            },
        ] {
            let authorities = Authorities::try_from(&stored).unwrap();
            assert_eq!(AuthorityData::from(&authorities), stored);
        }
    }

    #[test]
    fn damaged_data_is_refused() {
        let good = data();
        let damaged = |certificates: &str, keys: &str| {
            let data = AuthorityData { certificates_pem: certificates.to_owned(), keys_pem: keys.to_owned() };
            Authorities::try_from(&data).unwrap_err().to_string()
        };
        assert!(damaged("", "").contains("one or two"));
        assert!(damaged("x", "y").contains("one or two"));
        assert!(damaged(&good.certificates_pem, "").contains("as many"));
        let half = good.certificates_pem.len() / 2;
        assert!(damaged(&good.certificates_pem[..half], &good.keys_pem).contains("certificates in PEM"));
        assert!(damaged(&good.certificates_pem, &data().keys_pem).contains("does not fit"));
    }

    #[test]
    fn debug_output_has_no_private_key() {
        let data = data();
        assert!(!format!("{data:?}").contains("PRIVATE"), "{data:?}");
        let authorities = Authorities::try_from(&data).unwrap();
        assert!(!format!("{authorities:?}").contains("PRIVATE"), "{authorities:?}");
    }
}

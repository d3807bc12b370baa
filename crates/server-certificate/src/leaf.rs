//! A server's certificate and its key.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{CertificateError, Validity};

/// A server certificate, its key, and when it is valid.
#[derive(Clone, Debug)]
pub struct Leaf {
    key: Arc<CertifiedKey>,
    validity: Validity,
}

impl Leaf {
    /// Reads a chain, the server's own certificate first, and its key from PEM.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::Expected("certificates in PEM"))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| CertificateError::Expected("a private key in PEM (PKCS #8, PKCS #1 or SEC 1)"))?;
        Self::new(chain, key)
    }

    /// Returns the leaf of a chain, the server's own certificate first, and its key.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, CertificateError> {
        let own = chain.first().ok_or(CertificateError::Expected("at least one certificate in PEM"))?;
        let validity = Validity::of_certificate(own)?;
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider())?;
        Ok(Self { key: Arc::new(key), validity })
    }

    /// Returns the certificate and key for a TLS server.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// Returns when the certificate is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }
}

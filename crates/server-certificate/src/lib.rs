//! The certificate of a TLS server: read from files, replaced while it is served, with its validity.
//!
//! ```text
//!  cert + key files ──read──▶ CertificateReloader ──▶ Leaf ──▶ ServedLeaf ──▶ every new handshake
//! ```
//!
//! Webhook and recycling proxy both serve such a certificate. Replacing it affects no open connection.

mod files;
mod leaf;
mod served;
mod validity;

pub use files::{CertificateReloader, FilesError};
pub use leaf::Leaf;
pub use served::ServedLeaf;
pub use validity::Validity;

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Text in another form than expected.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The key does not belong to the certificate, or its kind is not supported.
    #[error("the private key does not fit the certificate: {0}")]
    Key(#[from] rustls::Error),
}

//! The certificate that a TLS server shows: read from files, replaced while it is served, and what it says of its time.
//!
//! ```text
//!  cert + key files ──read──▶ FilesKeeper ──▶ Leaf ──▶ ServedLeaf ──▶ every new handshake
//! ```
//!
//! Webhook and recycling proxy both serve such a certificate. Replacing it touches no connection that is there.

mod files;
mod leaf;
mod served;
mod validity;

pub use files::{FilesError, FilesKeeper};
pub use leaf::Leaf;
pub use served::ServedLeaf;
pub use validity::Validity;

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Text that is not what it should be.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The key does not belong to the certificate, or its kind is not supported.
    #[error("the private key does not fit the certificate: {0}")]
    Key(#[from] rustls::Error),
}

//! Certificates: the authorities that API servers trust, and the leaf that is served to them.
//!
//! ```text
//! self mode                                          files mode
//!   Secret ──▶ Authorities ──▶ caBundle                 cert + key files
//!                  │ sign          │ in place                 │ read
//!                  ▼               ▼                          ▼
//!                Leaf ────────▶ ServedLeaf ◀──────────────── Leaf
//! ```
//!
//! In self mode ([`CertificateController`]) a Secret holds the authorities, and each replica signs a leaf of its own in
//! memory, valid for a day. In files mode ([`CertificateReloader`]) the certificate comes from files, and nothing is
//! written to the cluster.

mod authorities;
mod authority;
mod controller;
mod kubernetes;
mod leaf;
mod lifetimes;
mod trust_store;
mod trusted;
#[cfg(test)]
mod verification;

pub use authorities::Authorities;
pub use authority::Authority;
pub use controller::{CertificateController, ControllerError};
pub use kubernetes::{KubernetesError, KubernetesStore, Names};
pub use lifetimes::Lifetimes;
pub use server_certificate::{CertificateReloader, FilesError, Leaf, ServedLeaf, Validity};
pub use trust_store::{AuthorityData, StoreOutcome, Stored, TrustStore};
pub use trusted::Trusted;

/// A certificate or key that cannot be used, made or read.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Text in another form than expected.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A certificate that is to be served, or its key.
    #[error(transparent)]
    Served(#[from] server_certificate::CertificateError),
    /// Signing or generating failed.
    #[error("cannot make a certificate: {0}")]
    Making(#[from] rcgen::Error),
}

//! Certificates: what the API server trusts, and what is served to it.
//!
//! ```text
//! self mode                                          files mode
//!   Secret ──▶ Authorities ──▶ caBundle                 cert + key files
//!                  │ sign          │ in place                 │ read
//!                  ▼               ▼                          ▼
//!                Leaf ────────▶ ServedLeaf ◀──────────────── Leaf
//! ```
//!
//! In self mode ([`Keeper`]) a Secret holds the authorities and nothing else is stored: each replica signs a leaf of
//! its own in memory, good for hours. In files mode ([`FilesKeeper`]) somebody else issues the certificate, and
//! nothing of Kubernetes is touched.

mod authorities;
mod authority;
mod keeper;
mod kubernetes;
mod leaf;
mod lifetimes;
#[cfg(test)]
mod trust;
mod trust_store;
mod trusted;

pub use authorities::Authorities;
pub use authority::Authority;
pub use keeper::{Keeper, KeeperError};
pub use kubernetes::{KubernetesError, KubernetesStore, Names};
pub use lifetimes::Lifetimes;
pub use server_certificate::{FilesError, FilesKeeper, Leaf, ServedLeaf, Validity};
pub use trust_store::{AuthorityData, StoreOutcome, Stored, TrustStore};
pub use trusted::Trusted;

/// A certificate or key that cannot be used, made or read.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Text that is not what it should be.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A certificate that is to be served, or its key.
    #[error(transparent)]
    Served(#[from] server_certificate::CertificateError),
    /// Signing or generating failed.
    #[error("cannot make a certificate: {0}")]
    Making(#[from] rcgen::Error),
}

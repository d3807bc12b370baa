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
mod files;
mod keeper;
mod kubernetes;
mod leaf;
mod lifetimes;
mod served;
#[cfg(test)]
mod trust;
mod trust_store;
mod validity;

pub use authorities::Authorities;
pub use authority::Authority;
pub use files::{FilesError, FilesKeeper};
pub use keeper::{Keeper, KeeperError};
pub use kubernetes::{KubernetesError, KubernetesStore, Names};
pub use leaf::Leaf;
pub use lifetimes::Lifetimes;
pub use served::ServedLeaf;
pub use trust_store::{AuthorityData, StoreOutcome, Stored, TrustStore};
pub use validity::Validity;

/// A certificate or key that cannot be used, made or read.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Text that is not what it should be.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The key does not belong to the certificate, or its kind is not supported.
    #[error("the private key does not fit the certificate: {0}")]
    Key(#[from] rustls::Error),
    /// Signing or generating failed.
    #[error("cannot make a certificate: {0}")]
    Making(#[from] rcgen::Error),
}

//! The leaf that is served now.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Leaf, Validity};

/// Holds the leaf for new handshakes. Replacing it affects no open connection.
#[derive(Debug, Default)]
pub struct ServedLeaf {
    leaf: RwLock<Option<Leaf>>,
}

impl ServedLeaf {
    /// Serves `leaf` from now on.
    pub fn serve(&self, leaf: Leaf) {
        // Only assignments happen under the lock, so a poisoned one holds a whole leaf.
        *self.leaf.write().unwrap_or_else(PoisonError::into_inner) = Some(leaf);
    }

    /// Returns when the served leaf is valid; `None` if there is none yet.
    pub fn validity(&self) -> Option<Validity> {
        self.current().map(|leaf| leaf.validity())
    }

    /// Returns the served leaf.
    pub fn current(&self) -> Option<Leaf> {
        self.leaf.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for ServedLeaf {
    /// Returns the leaf for any server name: the client checks the name.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current().map(|leaf| Arc::clone(leaf.certified_key()))
    }
}

//! The leaf that is served now.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Leaf, Validity};

/// Holds the leaf that new handshakes are given; replacing it touches no connection that is there.
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

    /// When the served leaf holds; `None` where there is none yet.
    pub fn validity(&self) -> Option<Validity> {
        self.current().map(|leaf| leaf.validity())
    }

    /// The leaf itself.
    pub fn current(&self) -> Option<Leaf> {
        self.leaf.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for ServedLeaf {
    /// Whatever name the client asks for: it is the client that checks that it got the one that it meant.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current().map(|leaf| Arc::clone(leaf.certified_key()))
    }
}

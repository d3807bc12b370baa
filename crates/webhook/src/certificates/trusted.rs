//! Whether API servers trust the certificate that is served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether API servers trust the certificate that is served. Clones share the state; at first it is false.
#[derive(Clone, Debug, Default)]
pub struct Trusted(Arc<AtomicBool>);

impl Trusted {
    /// Sets whether they do.
    pub fn set(&self, trusted: bool) {
        self.0.store(trusted, Ordering::Relaxed);
    }

    /// Returns whether they do.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

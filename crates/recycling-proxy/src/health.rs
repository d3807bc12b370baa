//! What an app's answer to its liveness probe says.

use crate::label::labels;

labels!(
    /// What an app's answer to its liveness probe says.
    Health {
        /// It passes.
        Alive = "alive",
        /// It fails.
        Dead = "dead",
        /// It could not be asked as the kubelet asks.
        Unknown = "unknown",
    }
);

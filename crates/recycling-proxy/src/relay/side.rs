//! The two sides of the proxy.

use labels::labels;

labels!(
    /// One of the two that a connection is between.
    pub Side {
        /// The client's.
        Client = "client",
        /// The app's.
        App = "app",
    }
);

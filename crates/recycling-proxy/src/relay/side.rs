//! The two sides of the proxy.

use labels::labels;

labels!(
    /// One of the two sides of the proxy.
    pub Side {
        /// The client's.
        Client = "client",
        /// The app's.
        App = "app",
    }
);

//! The protocol of a connection, for metrics.

use labels::labels;

labels!(
    /// The protocol of a connection.
    pub(crate) Protocol {
        /// HTTP/1.0 or HTTP/1.1.
        Http1 = "http1",
        /// HTTP/2.
        Http2 = "http2",
        /// Bytes that the proxy does not parse; `tunnels_total` has the kind.
        Tunnel = "tunnel",
        /// The connection ended before that was known: the app did not accept, or a TLS handshake failed.
        Unknown = "unknown",
    }
);

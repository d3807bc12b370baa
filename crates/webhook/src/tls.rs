//! The TLS configuration of the port for reviews.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};

use crate::certificates::ServedLeaf;

/// Returns the configuration: TLS 1.3 and 1.2, with the leaf that is served at the time of a handshake.
pub(crate) fn server_config(served: Arc<ServedLeaf>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config =
        builder.with_protocol_versions(&[&TLS13, &TLS12])?.with_no_client_auth().with_cert_resolver(served);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // API servers do not resume sessions, so tickets would be useless.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

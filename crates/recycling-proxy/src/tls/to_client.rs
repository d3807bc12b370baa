//! The server side of the handshake with a client.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, ServerConfig};
use server_certificate::ServedLeaf;
use tokio::net::TcpStream;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use super::MOST_UNSENT;
use super::alpn::Alpn;
use super::failed::Failed;
use super::fault::TlsFault;
use super::hello::Hello;
use crate::relay::side::Side;

/// One configuration for each ALPN result. They differ in nothing else, so a session of one can be resumed with
/// another.
#[derive(Debug)]
pub(super) struct ToClient {
    silent: Arc<ServerConfig>,
    http1: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
}

impl ToClient {
    pub(super) fn new(served: &Arc<ServedLeaf>) -> Result<Self, Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let mut config = builder
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<ServedLeaf>::clone(served));
        // Retired clients reconnect soon. A session ticket saves the signature, and needs no memory in the proxy.
        config.ticketer = ring::Ticketer::new()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let speaking = |alpn: Alpn| {
            let mut config = config.clone();
            config.alpn_protocols = vec![alpn.name().to_vec()];
            Arc::new(config)
        };
        Ok(Self { http1: speaking(Alpn::Http1), http2: speaking(Alpn::Http2), silent: Arc::new(config) })
    }

    /// Completes a handshake with `spoken` as the ALPN result.
    pub(super) async fn accept(&self, hello: Hello, spoken: Option<Alpn>) -> Result<TlsStream<TcpStream>, Failed> {
        let config = match spoken {
            None => &self.silent,
            Some(Alpn::Http1) => &self.http1,
            Some(Alpn::Http2) => &self.http2,
        };
        let handshake = StartHandshake::from_parts(hello.accepted, hello.client).into_stream(Arc::clone(config));
        let mut stream = handshake.into_fallible().await.map_err(|(error, client)| Failed {
            side: Side::Client,
            fault: TlsFault::of_io(&error),
            client: Some(client),
        })?;
        stream.get_mut().1.set_buffer_limit(Some(MOST_UNSENT));
        Ok(stream)
    }
}

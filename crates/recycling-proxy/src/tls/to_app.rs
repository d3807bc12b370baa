//! The client side of the handshake with an app that uses TLS.
//!
//! The app's certificate is not verified. An attacker who could impersonate the app would have to listen on its port in
//! the pod's network namespace, and would be the app already. Most apps have certificates that cannot be verified. The
//! handshake's signatures are verified.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::MOST_UNSENT;
use super::alpn::Alpn;
use super::fault::TlsFault;
use super::hello::Hello;

/// The configuration of handshakes with apps.
#[derive(Debug)]
pub(super) struct ToApp {
    config: Arc<ClientConfig>,
}

impl ToApp {
    pub(super) fn new() -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config) })
    }

    /// Connects with the client's ALPN offers and server name. Returns the connection and the app's choice.
    pub(super) async fn connect(
        &self,
        app: TcpStream,
        hello: &Hello,
    ) -> Result<(TlsStream<TcpStream>, Option<Alpn>), TlsFault> {
        let name = match &hello.name {
            Some(name) => ServerName::try_from(name.clone()).map_err(|_| TlsFault::Other)?,
            // An IP address is not sent as SNI.
            None => ServerName::from(app.peer_addr().map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())),
        };
        let mut stream = self.shake_hands(app, name, &hello.offers).await?;
        stream.get_mut().1.set_buffer_limit(Some(MOST_UNSENT));
        let chosen = stream.get_ref().1.alpn_protocol().and_then(Alpn::of_name);
        Ok((stream, chosen))
    }

    async fn shake_hands(
        &self,
        app: TcpStream,
        name: ServerName<'static>,
        offers: &[Alpn],
    ) -> Result<TlsStream<TcpStream>, TlsFault> {
        let offers = offers.iter().map(|offer| offer.name().to_vec()).collect();
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.with_alpn(offers).connect(name, app).await.map_err(|error| TlsFault::of_io(&error))
    }
}

/// Connects as the kubelet does for a probe with HTTP/1.1: without SNI, and without verifying the certificate.
pub(crate) async fn to_probed_app(app: TcpStream) -> Result<TlsStream<TcpStream>, TlsFault> {
    let address = app.peer_addr().map_err(|_| TlsFault::Left)?;
    let to_app = ToApp::new().map_err(|_| TlsFault::Other)?;
    to_app.shake_hands(app, address.ip().into(), &[Alpn::Http1]).await
}

/// A verifier that accepts any certificate.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

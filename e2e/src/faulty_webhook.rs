//! A faulty webhook, which replaces evenkeel's.
//!
//! It runs in the test's process. The API server connects to the address of this machine that faces the node, which
//! works with a local cluster and with kind.

use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::WebhookClientConfig;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::namespace::TestNamespace;

/// The fault of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It accepts connections and sends nothing.
    Mute,
    /// It completes the handshake, reads the review and never responds.
    Hangs,
    /// It answers 500.
    Status500,
    /// Its response is not HTTP.
    NoHttp,
    /// Its response is not JSON.
    NoJson,
    /// Its response is a review without a `response`.
    NoResponse,
    /// It closes the connection in the middle of its response.
    CutShort,
    /// Its certificate has expired.
    Expired,
    /// Its certificate is not trusted.
    Untrusted,
}

/// A faulty webhook, which serves until it is dropped.
pub struct FaultyWebhook {
    client_config: WebhookClientConfig,
    calls: Arc<AtomicU32>,
    serving: AbortHandle,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 9] = [
        Self::Mute,
        Self::Hangs,
        Self::Status500,
        Self::NoHttp,
        Self::NoJson,
        Self::NoResponse,
        Self::CutShort,
        Self::Expired,
        Self::Untrusted,
    ];

    /// Returns the response to a review, or `None` if there is none. A refused certificate ends the connection before
    /// it.
    fn answer(self) -> Option<&'static [u8]> {
        match self {
            Self::Mute | Self::Hangs => None,
            Self::Status500 | Self::Expired | Self::Untrusted => {
                Some(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\nConnection: close\r\n\r\noops\n")
            }
            Self::NoHttp => Some(b"\x00\x01 garbage\r\n\r\n"),
            Self::NoJson => Some(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\ngarbage"),
            Self::NoResponse => Some(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 65\r\nConnection: close\r\n\r\n\
                  {\"apiVersion\": \"admission.k8s.io/v1\", \"kind\": \"AdmissionReview\"} ",
            ),
            Self::CutShort => Some(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"apiVersion\": \"admission"),
        }
    }
}

impl FaultyWebhook {
    /// Starts a webhook that the API server of this namespace can reach.
    pub async fn start(namespace: &TestNamespace, fault: Fault) -> anyhow::Result<Self> {
        let ip = own_address_towards(namespace.node())?;
        let listener = TcpListener::bind((ip, 0)).await?;
        let (config, trusted) = certificate(ip, fault)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let client_config = WebhookClientConfig {
            url: Some(format!("https://{}/", listener.local_addr()?)),
            ca_bundle: Some(ByteString(trusted.into_bytes())),
            service: None,
        };
        let calls = Arc::new(AtomicU32::new(0));
        let serving = tokio::spawn(serve(listener, acceptor, fault, Arc::clone(&calls))).abort_handle();
        Ok(Self { client_config, calls, serving })
    }

    /// Returns the client configuration for the API server.
    pub fn client_config(&self) -> &WebhookClientConfig {
        &self.client_config
    }

    /// Returns whether a client has connected.
    pub fn was_called(&self) -> bool {
        self.calls.load(Ordering::Relaxed) > 0
    }
}

impl Drop for FaultyWebhook {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Returns the address of this machine that faces the node. It sends no packet.
fn own_address_towards(node: IpAddr) -> anyhow::Result<IpAddr> {
    let any: SocketAddr = if node.is_ipv4() { "0.0.0.0:0".parse()? } else { "[::]:0".parse()? };
    let socket = UdpSocket::bind(any)?;
    socket.connect((node, 9)).with_context(|| format!("this machine has no route to the node {node}"))?;
    Ok(socket.local_addr()?.ip())
}

/// Returns the configuration with the served certificate, and the trusted certificate in PEM.
fn certificate(ip: IpAddr, fault: Fault) -> anyhow::Result<(ServerConfig, String)> {
    let mut parameters = CertificateParams::new([ip.to_string()])?;
    if fault == Fault::Expired {
        parameters.not_before = date_time_ymd(2001, 1, 1);
        parameters.not_after = date_time_ymd(2002, 1, 1);
    }
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    let trusted =
        if fault == Fault::Untrusted { parameters.self_signed(&KeyPair::generate()?)? } else { certificate.clone() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)?;
    Ok((config, trusted.pem()))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, fault: Fault, calls: Arc<AtomicU32>) {
    while let Ok((stream, _)) = listener.accept().await {
        calls.fetch_add(1, Ordering::Relaxed);
        // Errors do not matter: the connection is counted.
        tokio::spawn(misbehave(stream, acceptor.clone(), fault));
    }
}

async fn misbehave(stream: TcpStream, acceptor: TlsAcceptor, fault: Fault) -> io::Result<()> {
    if fault == Fault::Mute {
        pending::<()>().await;
    }
    let mut stream = acceptor.accept(stream).await?;
    // A part of the review: no response depends on the rest.
    let _ = stream.read(&mut [0; 4096]).await?;
    let Some(answer) = fault.answer() else { return pending().await };
    stream.write_all(answer).await?;
    stream.shutdown().await
}

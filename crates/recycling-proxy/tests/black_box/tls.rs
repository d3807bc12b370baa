//! TLS that the proxy terminates, with clients and apps of rustls and hyper: exchanges pass and connections are retired
//! as without TLS.

mod alpn;
mod certificate;
mod exchanges;
mod handshakes;
mod hidden_requests;
mod http2;
mod liveness;
mod to_app;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use settings::ProxyOption;
use test_support::{LoopbackHost, RecyclingProxy, ScriptedApp, TestResult, within_timeout};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::stage::BINARY;

/// The name in the certificates.
const NAME: &str = "web.example";

/// A self-signed certificate and its key, in PEM.
struct SelfSigned {
    certificate: String,
    key: String,
}

impl SelfSigned {
    fn new() -> TestResult<Self> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([NAME.to_owned()])?.self_signed(&key)?;
        Ok(Self { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    fn der(&self) -> TestResult<CertificateDer<'static>> {
        Ok(CertificateDer::from_pem_slice(self.certificate.as_bytes())?)
    }

    /// Returns a TLS acceptor that presents this certificate.
    fn acceptor(&self, alpn: &[&str]) -> TestResult<TlsAcceptor> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let mut config = builder
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.der()?], key)?;
        config.alpn_protocols = names(alpn);
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// The mounted files of a Secret.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn none() -> TestResult<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    fn with(issued: &SelfSigned) -> TestResult<Self> {
        let files = Self::none()?;
        files.put(issued)?;
        Ok(files)
    }

    fn put(&self, issued: &SelfSigned) -> TestResult {
        fs::write(self.path("tls.crt"), &issued.certificate)?;
        fs::write(self.path("tls.key"), &issued.key)?;
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a proxy that terminates TLS with them, with these other options.
    async fn proxy(&self, app: SocketAddr, others: &[(ProxyOption, &str)]) -> TestResult<RecyclingProxy> {
        let [certificate, key] = ["tls.crt", "tls.key"].map(|name| self.path(name).to_string_lossy().into_owned());
        let own = [(ProxyOption::TlsCert, certificate.as_str()), (ProxyOption::TlsKey, key.as_str())];
        Ok(RecyclingProxy::start(BINARY, app, &[&own, others].concat()).await?)
    }
}

/// A proxy that terminates TLS in front of a scripted app.
struct TlsStage {
    issued: SelfSigned,
    app: ScriptedApp,
    proxy: RecyclingProxy,
    _files: Files,
    _host: LoopbackHost,
}

impl TlsStage {
    async fn with(options: &[(ProxyOption, &str)]) -> TestResult<Self> {
        let host = LoopbackHost::reserve()?;
        let app = ScriptedApp::bind(host.port(8080)).await?;
        let issued = SelfSigned::new()?;
        let files = Files::with(&issued)?;
        let proxy = files.proxy(app.address(), options).await?;
        Ok(Self { issued, app, proxy, _files: files, _host: host })
    }

    async fn with_limit(limit: &str) -> TestResult<Self> {
        Self::with(&[(ProxyOption::MaxRequests, limit)]).await
    }

    /// Connects a client that trusts the certificate and offers these ALPN protocols.
    async fn connect(&self, alpn: &[&str]) -> TestResult<Client> {
        Client::connect(self.proxy.address(), &self.issued, alpn).await
    }
}

/// A TLS client.
struct Client {
    stream: TlsStream<TcpStream>,
}

impl Client {
    async fn connect(to: SocketAddr, trusted: &SelfSigned, alpn: &[&str]) -> TestResult<Self> {
        Ok(Self {
            stream: connect_by(ServerName::try_from(NAME)?, TcpStream::connect(to).await?, trusted, alpn).await?,
        })
    }

    /// Returns the ALPN protocol that was negotiated.
    fn negotiated(&self) -> Option<String> {
        self.stream.get_ref().1.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned())
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) -> TestResult {
        within_timeout("client", "room to send", self.stream.write_all(bytes.as_ref())).await??;
        within_timeout("client", "room to send", self.stream.flush()).await??;
        Ok(())
    }

    async fn expect(&mut self, bytes: impl AsRef<[u8]>) -> TestResult {
        let mut came = vec![0; bytes.as_ref().len()];
        within_timeout("client", "the expected bytes", self.stream.read_exact(&mut came)).await??;
        test_support::ensure!(came == bytes.as_ref(), "{:?}", String::from_utf8_lossy(&came));
        Ok(())
    }

    /// Reads until the connection ends. Returns an error if it ends without `close_notify`.
    async fn rest(&mut self) -> TestResult<io::Result<Vec<u8>>> {
        let mut rest = Vec::new();
        let read = within_timeout("client", "the end", self.stream.read_to_end(&mut rest)).await?;
        Ok(read.map(|_| rest))
    }
}

fn connector(trusted: &SelfSigned, alpn: &[&str]) -> TestResult<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der()?)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = names(alpn);
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn connect_by<S: AsyncRead + AsyncWrite + Unpin>(
    name: ServerName<'static>,
    stream: S,
    trusted: &SelfSigned,
    alpn: &[&str],
) -> TestResult<TlsStream<S>> {
    let connector = connector(trusted, alpn)?;
    Ok(within_timeout("client", "a handshake", connector.connect(name, stream)).await??)
}

fn names(alpn: &[&str]) -> Vec<Vec<u8>> {
    alpn.iter().map(|name| name.as_bytes().to_vec()).collect()
}

/// A stream that writes one byte at a time.
struct ByteByByte<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for ByteByByte<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, room)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ByteByByte<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes.get(..1).unwrap_or_default())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Waits until the metrics of the proxy contain the sample.
async fn wait_for_sample(proxy: &RecyclingProxy, sample: &str) -> TestResult {
    let begun = tokio::time::Instant::now();
    loop {
        let (_, metrics) = proxy.admin("/metrics").await?;
        if metrics.lines().any(|line| line == sample) {
            return Ok(());
        }
        let name = sample.split(['{', ' ']).next().unwrap_or_default();
        let samples: Vec<&str> = metrics.lines().filter(|line| line.starts_with(name)).collect();
        test_support::ensure!(begun.elapsed() < test_support::TIMEOUT, "{sample} is not shown, but {samples:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

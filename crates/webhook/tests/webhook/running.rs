//! A webhook with real ports in this process, and a client that acts as an API server.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::core::Selector;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::{Value, json};
use settings::LogLevel;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use webhook::installation::CurrentInstallation;
use webhook::review::Handler;
use webhook::server::Webhook;
use webhook::settings::{Settings, Tls};

pub(crate) const NAME: &str = "evenkeel-webhook.evenkeel.svc";
const TIMEOUT: Duration = Duration::from_mins(1);

/// A running webhook, which shuts down when this is dropped.
pub(crate) struct Running {
    pub(crate) reviews: SocketAddr,
    pub(crate) admin: SocketAddr,
    trusted: CertificateDer<'static>,
    end: Option<oneshot::Sender<()>>,
    served: JoinHandle<std::io::Result<()>>,
    folder: tempfile::TempDir,
}

/// Writes a certificate for [`NAME`] and its key into `folder`.
pub(crate) fn certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    std::fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// Returns settings with free ports and a certificate from `folder`.
pub(crate) fn settings(folder: &Path, shutdown_delay: Duration) -> Settings {
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        admin: "127.0.0.1:0".parse().unwrap(),
        tls: Tls::Files { certificate: folder.join("tls.crt"), key: folder.join("tls.key") },
        read_namespaces: false,
        events: Vec::new(),
        namespaces: Selector::default(),
        defaults: std::collections::BTreeMap::new(),
        balance_keys: None,
        shutdown_delay,
        log_level: LogLevel::Info,
    }
}

impl Running {
    /// Starts a webhook that answers as `handler` does, with this `shutdown_delay`.
    pub(crate) async fn start(handler: Handler, shutdown_delay: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trusted = certificate(folder.path());
        Self::start_with_files(folder, trusted, handler, shutdown_delay).await
    }

    /// Starts a webhook with the files in `folder`, which clients of this trust by `trusted`.
    pub(crate) async fn start_with_files(
        folder: tempfile::TempDir,
        trusted: CertificateDer<'static>,
        handler: Handler,
        shutdown_delay: Duration,
    ) -> Self {
        let settings = settings(folder.path(), shutdown_delay);
        let installation = CurrentInstallation::new(settings.defaults.clone());
        let webhook = Webhook::start(&settings, handler, installation, Clock::system()).await.unwrap();
        let (reviews, admin) = (webhook.reviews_address(), webhook.admin_address());
        let (end, shutdown) = oneshot::channel();
        let served = tokio::spawn(webhook.serve(async { _ = shutdown.await }));
        Self { reviews, admin, trusted, end: Some(end), served, folder }
    }

    /// Starts a webhook that injects without defaults.
    pub(crate) async fn injecting() -> Self {
        Self::start(Handler::with_defaults(std::collections::BTreeMap::new()), Duration::from_millis(1)).await
    }

    /// Puts another certificate and its key into the files.
    pub(crate) fn renew(&mut self) {
        self.trusted = certificate(self.folder.path());
    }

    /// Makes it shut down.
    pub(crate) fn end(&mut self) {
        self.end.take().unwrap().send(()).unwrap();
    }

    /// Waits until it has shut down.
    pub(crate) async fn ended(self) {
        tokio::time::timeout(TIMEOUT, self.served).await.unwrap().unwrap().unwrap();
    }

    /// Connects as a client that offers `protocols` and `version` alone.
    pub(crate) async fn connect_with(
        &self,
        protocols: &[&str],
        version: &'static SupportedProtocolVersion,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        connect(self.reviews, &self.trusted, protocols, version).await
    }

    /// Connects as API servers connect to webhooks.
    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        self.connect_with(&["http/1.1"], &TLS13).await.unwrap()
    }

    /// Posts `body` over HTTP/1.1.
    pub(crate) async fn post(&self, body: impl Into<Bytes>) -> (StatusCode, Bytes) {
        let mut client = Http1::new(self.connect().await).await;
        let response = client.post(body).await;
        (response.status(), collect(response).await)
    }

    /// Posts `body` over HTTP/2 and TLS 1.2.
    pub(crate) async fn post_http2(&self, body: impl Into<Bytes>) -> (StatusCode, Bytes) {
        let stream = self.connect_with(&["h2"], &TLS12).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut client, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(driver);
        let request = Request::post(format!("https://{NAME}/mutate")).body(Full::new(body.into())).unwrap();
        let response = client.send_request(request).await.unwrap();
        (response.status(), collect(response).await)
    }

    /// Returns the response to a review.
    pub(crate) async fn review(&self, body: &Value) -> Value {
        let (status, body) = self.post(body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{body:?}");
        let review: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(review["kind"], "AdmissionReview");
        review["response"].clone()
    }

    /// Sends a GET to the admin port.
    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let stream = TcpStream::connect(self.admin).await.unwrap();
        let (mut client, driver) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(driver);
        let request = Request::get(path).header("host", "x").body(Full::<Bytes>::default()).unwrap();
        let response = client.send_request(request).await.unwrap();
        (response.status(), String::from_utf8(collect(response).await.to_vec()).unwrap())
    }

    /// Returns whether the metrics have this line.
    pub(crate) async fn shows(&self, line: &str) -> bool {
        self.get("/metrics").await.1.lines().any(|found| found == line)
    }
}

/// Connects to the webhook at `address`, and trusts one certificate.
pub(crate) async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    protocols: &[&str],
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), stream).await
}

/// A persistent connection.
pub(crate) struct Http1(http1::SendRequest<Full<Bytes>>);

impl Http1 {
    pub(crate) async fn new(stream: TlsStream<TcpStream>) -> Self {
        let (client, driver) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(driver);
        Self(client)
    }

    /// Returns whether the server has kept the idle connection open.
    pub(crate) async fn is_open(&mut self) -> bool {
        self.0.ready().await.is_ok()
    }

    pub(crate) async fn post(&mut self, body: impl Into<Bytes>) -> Response<hyper::body::Incoming> {
        let request = Request::post("/mutate").header("host", NAME).body(Full::new(body.into())).unwrap();
        tokio::time::timeout(TIMEOUT, self.0.send_request(request)).await.unwrap().unwrap()
    }
}

pub(crate) async fn collect(response: Response<hyper::body::Incoming>) -> Bytes {
    tokio::time::timeout(TIMEOUT, response.into_body().collect()).await.unwrap().unwrap().to_bytes()
}

/// Returns a review of a new Deployment with these annotations.
pub(crate) fn review_of_deployment(annotations: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "name": "web",
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {"username": "somebody", "groups": ["system:authenticated"]},
            "object": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "web", "namespace": "shop", "annotations": annotations},
                "spec": {
                    "replicas": 2,
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": {
                        "metadata": {"labels": {"app": "web"}},
                        "spec": {
                            "containers": [
                                {"name": "app", "image": "app:1", "ports": [{"name": "http", "containerPort": 8080}]},
                            ],
                        },
                    },
                },
            },
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
}

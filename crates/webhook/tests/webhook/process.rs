//! The program in a process of its own, with a scripted API server.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::version::TLS13;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::api_server::ApiServer;
use crate::running::{Http1, certificate, collect, connect};

/// The deadline of everything that is awaited.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A running program, which is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    reviews: SocketAddr,
    admin: SocketAddr,
    log: Arc<Mutex<String>>,
    trusted: CertificateDer<'static>,
    _folder: tempfile::TempDir,
}

impl Process {
    /// Starts the program with namespaces and Events on Deployments, and waits until it listens.
    pub(crate) async fn start(cluster: &ApiServer) -> Self {
        Self::start_with(cluster, &[]).await
    }

    /// Returns the same, with the chart's choice of namespaces.
    pub(crate) async fn opted_out_by_label(cluster: &ApiServer) -> Self {
        let expression = r#"{"key": "evenkeel.dev/inject", "operator": "NotIn", "values": ["disabled"]}"#;
        let selector = format!(r#"--namespace-selector={{"matchExpressions": [{expression}]}}"#);
        Self::start_with(cluster, &[&selector]).await
    }

    async fn start_with(cluster: &ApiServer, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trusted = certificate(folder.path());
        let mut child = Command::new(env!("CARGO_BIN_EXE_evenkeel-webhook"))
            .args(["run", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--tls=files", "--read-namespaces=on"])
            .args(["--events=Deployment", "--shutdown-delay=1ms"])
            .args(["--namespace=tools", "--balance-keys-config-map=keys"])
            .args(arguments)
            .env("EVENKEEL_WEBHOOK_TLS_CERT", folder.path().join("tls.crt"))
            .env("EVENKEEL_WEBHOOK_TLS_KEY", folder.path().join("tls.key"))
            .env("KUBECONFIG", cluster.kubeconfig())
            // As in the chart.
            .env("MALLOC_ARENA_MAX", "1")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (listens, mut listening) = tokio::sync::mpsc::unbounded_channel();
        let log = Arc::<Mutex<String>>::default();
        let written = Arc::clone(&log);
        // Reads to the end, so that the program can write all of its log.
        std::thread::spawn(move || {
            for line in lines {
                if let Some((_, address)) =
                    line.split_once("listening").and_then(|(_, rest)| rest.split_once("address="))
                {
                    _ = listens.send(address.parse().unwrap());
                }
                written.lock().unwrap().extend([line.as_str(), "\n"]);
            }
        });
        // In this order.
        let reviews = listening.recv().await.expect("it listens");
        let admin = listening.recv().await.expect("it listens");
        Self { child, reviews, admin, log, trusted, _folder: folder }
    }

    /// Returns the response to the review in `body`.
    pub(crate) async fn review(&self, body: impl Into<Bytes>) -> Value {
        let stream = connect(self.reviews, &self.trusted, &["http/1.1"], &TLS13).await.unwrap();
        let response = Http1::new(stream).await.post(body).await;
        assert_eq!(response.status(), StatusCode::OK);
        let review: Value = serde_json::from_slice(&collect(response).await).unwrap();
        review["response"].clone()
    }

    /// Waits for a line of its log with this in it.
    pub(crate) async fn line_with(&self, text: &str) -> String {
        let started = Instant::now();
        loop {
            let found = self.log.lock().unwrap().lines().find(|line| line.contains(text)).map(str::to_owned);
            if let Some(line) = found {
                return line;
            }
            assert!(started.elapsed() < TIMEOUT, "{text} is not in\n{}", self.log.lock().unwrap());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns what it shows to Prometheus.
    pub(crate) async fn metrics(&self) -> String {
        let stream = TcpStream::connect(self.admin).await.unwrap();
        let (mut client, driver) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(driver);
        let request = Request::get("/metrics").header("host", "x").body(Full::<Bytes>::default()).unwrap();
        String::from_utf8(collect(client.send_request(request).await.unwrap()).await.to_vec()).unwrap()
    }

    /// Returns the most memory that it has had so far, in KiB (`VmHWM` of `/proc/PID/status`).
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it is running");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

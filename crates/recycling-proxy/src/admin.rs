//! The read-only endpoints on the pod's address.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | Prometheus text |
//! | `/livez`, `/readyz` | 200 while the proxy accepts connections |
//! | `/probe/tcp/PORT` | 200 where the app accepts a connection on that port, 503 where not, 404 for other ports |
//! | `/drained` | 200 once the drain is over, or where none begins within 2 s; within 10 s while the app is well |

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use settings::{ProxySettings, Routes};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::dial::App;
use crate::proxy::Proxy;

/// The time for a scraper's or a kubelet's request head.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long accepting pauses after a failure.
const PAUSE: Duration = Duration::from_millis(100);
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the endpoints answer from.
#[derive(Debug)]
pub(crate) struct Admin {
    proxy: Arc<Proxy>,
    probes: Vec<Probe>,
}

/// An app port that may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probe {
    port: u16,
    app: App,
}

impl Admin {
    pub(crate) fn new(proxy: Arc<Proxy>, settings: &ProxySettings) -> Self {
        Self { proxy, probes: probes(&settings.routes, &settings.probe_ports) }
    }

    /// Serves for as long as the process lives.
    pub(crate) async fn run(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let admin = Arc::clone(&self);
            tokio::spawn(async move {
                let service = service_fn(|request| admin.answer(request));
                let mut server = http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
                // A scraper that leaves early has lost its scrape and nothing else.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Ok(text(StatusCode::METHOD_NOT_ALLOWED, "these endpoints only answer; they change nothing\n"));
        }
        Ok(match request.uri().path() {
            "/livez" | "/readyz" => text(StatusCode::OK, "accepting connections\n"),
            "/metrics" => self.metrics(),
            "/drained" => {
                self.proxy.drain.done_if_begun().await;
                text(StatusCode::OK, "nothing left to wait for\n")
            }
            path => match path.strip_prefix("/probe/tcp/") {
                Some(port) => self.probe(port).await,
                None => text(StatusCode::NOT_FOUND, "/metrics, /readyz, /livez, /probe/tcp/PORT or /drained\n"),
            },
        })
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        match self.proxy.metrics.text(&self.proxy.connections, &self.proxy.drain) {
            Ok(metrics) => {
                let mut response = text(StatusCode::OK, metrics);
                response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(METRICS_TYPE));
                response
            }
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n"),
        }
    }

    async fn probe(&self, port: &str) -> Response<Full<Bytes>> {
        let probe = port.parse().ok().and_then(|port: u16| self.probes.iter().find(|probe| probe.port == port));
        let Some(probe) = probe else {
            return text(StatusCode::NOT_FOUND, "not a port that this proxy was told to probe (--probe-ports)\n");
        };
        match self.proxy.dialer.dial(probe.app).await {
            Ok(_) => text(StatusCode::OK, "the app accepts connections\n"),
            Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, format!("the app does not accept: {error}\n")),
        }
    }
}

fn probes(routes: &Routes, ports: &BTreeSet<u16>) -> Vec<Probe> {
    let fixed = match routes {
        Routes::Fixed(routes) => routes.as_slice(),
        Routes::OriginalDestination(_) => &[],
    };
    // The pod's own address is not known here; an app that listens on it alone is found at none of the others.
    let pod = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let of_routes = fixed.iter().map(|route| Probe { port: route.app.port(), app: App::of(route.app, pod) });
    of_routes.chain(ports.iter().map(|port| Probe { port: *port, app: App::OfPod { port: *port, pod } })).collect()
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}

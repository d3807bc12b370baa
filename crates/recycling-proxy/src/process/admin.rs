//! The admin port. Its endpoints are read-only, except for signed instructions.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | metrics, in Prometheus' text format or, where `Accept` names it, in `OpenMetrics` |
//! | `/livez`, `/readyz` | 200 while the proxy accepts connections |
//! | `/probe/tcp/PORT` | 200 if the app accepts a connection on that port, 503 if not, 404 for other ports; for probes that earlier versions injected |
//! | `/drained` | 200 once the drain is over, or if none begins within 2 s; within 10 s while the app answers requests |
//! | `/drained/CONTAINER` | the same for an app whose liveness probe is known: the proxy probes it, and waits 10 s for a drain to begin if the probe succeeds, 0.5 s if not |
//! | `/balance` | the report of this pod for its balancer; with `POST`, after it took an instruction. 403 if the instruction is refused, 404 without keys |
//!
//! An injected hook requests `/` on a port of its own (`--hold`), which is answered like `/drained` or
//! `/drained/CONTAINER`. That path is the default of Kubernetes, so that an author's `httpGet` that is merged with the
//! injected one contains no injected path.
//!
//! Every client that reaches the pod can send requests here. So the path and port of a probe come from the settings and
//! never from a request, or clients could reach the pod's loopback. Connections are bounded ([`daemon::serve`]).
//! Concurrent requests share one probe of the app ([`shared`]).

mod balance;
mod shared;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use daemon::ScrapeResponse;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use prometheus_client::registry::Registry;
use settings::{AppAddress, HoldPort, Liveness, ProxySettings, Routes};
use tokio::net::{TcpListener, TcpStream};

use self::shared::Shared;
use crate::app::dial::{App, Dialer};
use crate::app::health::Health;
use crate::app::hold::Hold;
use crate::app::liveness::Prober;
use crate::app::proxy_protocol::Ends;
use crate::app::sockets::Sockets;
use crate::retire::balance::Balance;

/// The sources of the endpoints.
#[derive(Debug)]
pub(crate) struct Admin {
    registry: Registry,
    sockets: Option<Arc<Sockets>>,
    looked: Shared<(), ()>,
    hold: Arc<Hold>,
    dialer: Arc<Dialer>,
    prober: Prober,
    /// The apps that may be probed.
    apps: Vec<AppAddress>,
    liveness: Liveness,
    /// The ports for hooks.
    hooks: Vec<HoldPort>,
    health: Shared<String, Health>,
    reached: Shared<u16, Result<(), String>>,
    balance: Option<Arc<Balance>>,
}

impl Admin {
    pub(crate) fn new(
        settings: &ProxySettings,
        registry: Registry,
        sockets: Option<Arc<Sockets>>,
        hold: Arc<Hold>,
        dialer: Arc<Dialer>,
        balance: Option<Arc<Balance>>,
    ) -> Self {
        let apps = apps(&settings.routes, &settings.probe_ports);
        let liveness = settings.liveness.clone();
        let prober = Prober::new(Arc::clone(&dialer), settings.shared.proxy_protocol);
        let (looked, health, reached) = (Shared::default(), Shared::default(), Shared::default());
        let hooks = settings.hold.clone();
        Self { registry, sockets, looked, hold, dialer, prober, apps, liveness, hooks, health, reached, balance }
    }

    /// Serves until the process ends.
    pub(crate) async fn run(self: Arc<Self>, listener: TcpListener) {
        let service_of = |stream: &TcpStream| {
            let (admin, ends) = (Arc::clone(&self), ends(stream)?);
            Ok(service_fn(move |request| {
                let admin = Arc::clone(&admin);
                async move { admin.answer(request, ends).await }
            }))
        };
        daemon::serve(listener, service_of).await;
    }

    async fn answer(&self, request: Request<Incoming>, ends: Ends) -> Result<Response<Full<Bytes>>, Infallible> {
        let hook = self.hooks.iter().find(|hook| hook.port == ends.destination.port());
        if request.uri().path() == balancing::PATH && hook.is_none() {
            return Ok(balance::answer(self.balance.as_deref(), request).await);
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Ok(text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed: expected GET\n"));
        }
        let path = request.uri().path();
        if let Some(hook) = hook {
            return Ok(match path {
                "/" => self.drained(hook.container.as_deref(), ends).await,
                _ => text(StatusCode::NOT_FOUND, "/ answers when the drain is over\n"),
            });
        }
        Ok(match path {
            "/livez" | "/readyz" => text(StatusCode::OK, "accepting connections\n"),
            "/metrics" => self.metrics(request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok())).await,
            "/drained" => self.drained(None, ends).await,
            path => match (path.strip_prefix("/drained/"), path.strip_prefix("/probe/tcp/")) {
                (Some(container), _) => self.drained(Some(container), ends).await,
                (None, Some(port)) => self.probe(port, ends).await,
                (None, None) => {
                    text(StatusCode::NOT_FOUND, "/metrics, /readyz, /livez, /balance, /probe/tcp/PORT or /drained\n")
                }
            },
        })
    }

    async fn drained(&self, container: Option<&str>, ends: Ends) -> Response<Full<Bytes>> {
        match container.and_then(|container| Some((container, self.liveness.of(container)?))) {
            Some((container, probe)) => {
                let known = self.app(probe.port()).unwrap_or(AppAddress::OfPod(probe.port()));
                let app = App::of(known, ends.destination.ip());
                let health = self.health.of(container.to_owned(), || self.prober.ask(probe, app, ends));
                self.hold.until_drained_unless_dead(health).await;
            }
            None => self.hold.until_drained().await,
        }
        text(StatusCode::OK, "nothing left to wait for\n")
    }

    fn app(&self, port: u16) -> Option<AppAddress> {
        self.apps.iter().copied().find(|app| app.port() == port)
    }

    /// Returns the metrics, in the format that `accept` names.
    pub(crate) async fn exposition(&self, accept: Option<&str>) -> Result<ScrapeResponse, std::fmt::Error> {
        if let Some(sockets) = &self.sockets {
            self.looked.of((), || Arc::clone(sockets).refresh()).await;
        }
        daemon::expose(&self.registry, accept)
    }

    async fn metrics(&self, accept: Option<&str>) -> Response<Full<Bytes>> {
        let Ok(exposition) = self.exposition(accept).await else {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "cannot format the metrics\n");
        };
        let mut response = text(StatusCode::OK, exposition.text);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(exposition.content_type));
        response
    }

    async fn probe(&self, port: &str, ends: Ends) -> Response<Full<Bytes>> {
        let Some(app) = port.parse().ok().and_then(|port| self.app(port)) else {
            return text(StatusCode::NOT_FOUND, "not a port of --probe-ports\n");
        };
        let dial = async || match self.dialer.dial(App::of(app, ends.destination.ip())).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        match self.reached.of(app.port(), dial).await {
            Ok(()) => text(StatusCode::OK, "the app accepts connections\n"),
            Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, format!("the app does not accept: {error}\n")),
        }
    }
}

/// Returns the addresses of a connection to the admin port; its destination is the address of the pod.
fn ends(stream: &TcpStream) -> io::Result<Ends> {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    Ok(Ends { client: canonical(stream.peer_addr()?), destination: canonical(stream.local_addr()?) })
}

fn apps(routes: &Routes, ports: &BTreeSet<u16>) -> Vec<AppAddress> {
    let fixed = match routes {
        Routes::Fixed(routes) => routes.as_slice(),
        Routes::OriginalDestination(_) => &[],
    };
    let of_routes = fixed.iter().map(|route| route.app);
    of_routes.chain(ports.iter().map(|port| AppAddress::OfPod(*port))).collect()
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}

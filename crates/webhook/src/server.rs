//! The process as a whole: two ports, certificates, and an orderly end.

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{AddrListener, Handle, Server};
use futures_util::future::try_join;
use inject::WorkloadKind;
use kube::Client;
use tokio::task::AbortHandle;
use tracing::{info, warn};

use crate::admin::{self, Admin};
use crate::certificates::{FilesError, FilesKeeper, Keeper, KubernetesStore, Lifetimes, Names, ServedLeaf};
use crate::clock::Clock;
use crate::events::Watch;
use crate::health::Health;
use crate::listener::{BoundedAddress, BoundedListener};
use crate::metrics::Metrics;
use crate::namespaces::Namespaces;
use crate::places::Guest;
use crate::review::{self, Judge, Reviewer};
use crate::settings::{Settings, Tls};
use crate::tls;

/// An API server gives up on a review after its `timeoutSeconds`, three in the chart.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// For every further request, silence included: an API server closes idle connections after 90 s, and must be the one
/// who does, or a review can cross our close.
const NEXT_HEAD_WITHIN: Duration = Duration::from_mins(2);
const PING_EVERY: Duration = Duration::from_secs(30);
/// cert-manager renews weeks ahead, and a mounted Secret takes a minute to arrive anyway.
const READ_EVERY: Duration = Duration::from_secs(30);
/// Reviews that are in flight at the end take milliseconds; a body that is still coming in takes as long as this.
const LAST_REVIEWS_WITHIN: Duration = Duration::from_secs(10);

/// A webhook whose ports are open.
pub struct Webhook {
    reviews: (Server<BoundedAddress, RustlsAcceptor>, Router, SocketAddr),
    admin: (Server<BoundedAddress>, Router, SocketAddr),
    health: Arc<Health>,
    shutdown_delay: Duration,
    /// What goes on beside the ports.
    beside: Vec<AbortHandle>,
}

/// Why a webhook could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be had.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The given certificate cannot be used.
    #[error("{0}")]
    Files(#[from] FilesError),
    /// No way to the API server is known.
    #[error("cannot tell where the API server is: {0}")]
    Cluster(#[from] kube::config::InferConfigError),
    /// The way to the API server cannot be used.
    #[error("cannot make a client for the API server: {0}")]
    Client(#[source] Box<kube::Error>),
    /// The TLS library refused its settings.
    #[error("cannot set TLS up: {0}")]
    Tls(#[from] rustls::Error),
}

/// What both ports, and the tasks beside them, have in common.
#[derive(Clone)]
pub struct Shared {
    /// What API servers are shown.
    pub served: Arc<ServedLeaf>,
    /// Whether it should be sent reviews.
    pub health: Arc<Health>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What certificates are measured by.
    pub clock: Clock,
}

impl Shared {
    /// No certificate, nothing counted.
    pub fn new(clock: Clock) -> Self {
        let served = Arc::new(ServedLeaf::default());
        let health = Arc::new(Health::new(Arc::clone(&served)));
        Self { served, health, metrics: Arc::new(Metrics::new()), clock }
    }
}

impl Webhook {
    /// Opens both ports and begins to look after certificates.
    pub async fn start(settings: &Settings, judge: Judge, clock: Clock) -> Result<Self, StartError> {
        let shared = Shared::new(clock);
        let judge =
            if settings.read_namespaces { judge.knowing(Namespaces::of_cluster(client().await?)) } else { judge };
        let keeper = match &settings.tls {
            Tls::Own(names) => keep_own(client().await?, names, &shared),
            Tls::Files { certificate, key } => {
                let mut keeper = FilesKeeper::new(certificate.clone(), key.clone(), Arc::clone(&shared.served));
                keeper.reload()?;
                // Whoever issued it has told the API server.
                shared.health.set_trusted(true);
                tokio::spawn(keeper.run(READ_EVERY, tell)).abort_handle()
            }
        };
        let watches = watches(settings, &shared).await?;
        let mut webhook = Self::open(settings, judge, shared).await?;
        webhook.beside.push(keeper);
        webhook.beside.extend(watches.into_iter().map(|watch| tokio::spawn(watch.run()).abort_handle()));
        Ok(webhook)
    }

    /// Opens both ports, and leaves it to others to put a certificate into `shared`.
    pub async fn open(settings: &Settings, judge: Judge, shared: Shared) -> Result<Self, StartError> {
        let Shared { served, health, metrics, clock } = shared;
        let reviewer = Reviewer::new(judge, Arc::clone(&metrics), Arc::clone(&health));
        let (listener, address) = listen(settings.listen).await?;
        let tls = RustlsConfig::from_config(tls::server_config(served)?);
        let acceptor = RustlsAcceptor::new(tls).handshake_timeout(HANDSHAKE_WITHIN);
        let reviews = (server(listener).acceptor(acceptor), review::routes(reviewer), address);
        let (listener, address) = listen(settings.admin).await?;
        let routes = admin::routes(Admin { metrics, health: Arc::clone(&health), clock });
        let admin = (server(listener), routes, address);
        // Whoever reads the first line may use either port.
        info!(endpoint = "reviews", address = %reviews.2, "listening");
        info!(endpoint = "admin", address = %admin.2, "listening");
        Ok(Self { reviews, admin, health, shutdown_delay: settings.shutdown_delay, beside: Vec::new() })
    }

    /// Where reviews are answered, with the port that a 0 became.
    pub fn reviews_address(&self) -> SocketAddr {
        self.reviews.2
    }

    /// Where metrics and health are shown, with the port that a 0 became.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.2
    }

    /// Answers until `shutdown`, and after it for as long as nodes may still lead reviews here; then finishes what is
    /// in flight.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let (reviews, admin) = (Handle::new(), Handle::new());
        let serving = try_join(
            self.reviews.0.handle(reviews.clone()).serve(self.reviews.1.into_make_service_with_connect_info::<Guest>()),
            self.admin.0.handle(admin.clone()).serve(self.admin.1.into_make_service()),
        );
        let ending = async {
            shutdown.await;
            info!("shutting down");
            self.health.drain();
            // From here on others look after certificates; what this replica knows may be of an installation that is gone.
            self.beside.iter().for_each(AbortHandle::abort);
            tokio::time::sleep(self.shutdown_delay).await;
            reviews.graceful_shutdown(Some(LAST_REVIEWS_WITHIN));
            admin.graceful_shutdown(Some(LAST_REVIEWS_WITHIN));
            pending::<()>().await;
        };
        let served = tokio::select! {
            served = serving => served,
            () = ending => Ok(((), ())),
        };
        self.beside.iter().for_each(AbortHandle::abort);
        served.map(|_| ())
    }
}

async fn client() -> Result<Client, StartError> {
    let config = kube::Config::infer().await?;
    Client::try_from(config).map_err(|error| StartError::Client(Box::new(error)))
}

/// What came of a look at the files.
fn tell(reloaded: Result<bool, FilesError>) {
    match reloaded {
        Ok(true) => info!("serving a new certificate from the files"),
        Ok(false) => {}
        Err(error) => warn!(%error, "still serving the certificate from before"),
    }
}

async fn watches(settings: &Settings, shared: &Shared) -> Result<Vec<Watch>, StartError> {
    if settings.events.is_empty() {
        return Ok(Vec::new());
    }
    let client = client().await?;
    let defaults = Arc::new(settings.defaults.clone());
    let watch = |kind: &WorkloadKind| Watch {
        client: client.clone(),
        kind: *kind,
        namespaces: settings.namespaces.clone(),
        defaults: Arc::clone(&defaults),
        clock: shared.clock.clone(),
        metrics: Arc::clone(&shared.metrics),
    };
    Ok(settings.events.iter().map(watch).collect())
}

fn keep_own(client: Client, names: &Names, shared: &Shared) -> AbortHandle {
    let store = KubernetesStore::new(client, names.clone());
    let touches = store.touches();
    let Shared { served, health, metrics: _, clock } = shared.clone();
    let keeper = Keeper::new(store, names.server_name(), Lifetimes::default(), clock, served, health);
    tokio::spawn(keeper.run(touches)).abort_handle()
}

async fn listen(address: SocketAddr) -> Result<(BoundedListener, SocketAddr), StartError> {
    let refused = |error| StartError::Listen(address, error);
    let listener = BoundedListener::bind_to(BoundedAddress::of_listener(address)).await.map_err(refused)?;
    let actual = listener.get_local_addr().map_err(refused)?;
    Ok((listener, actual.socket))
}

fn server(listener: BoundedListener) -> Server<BoundedAddress> {
    let mut server = Server::from_listener(listener).first_request_timeout(FIRST_REQUEST_WITHIN);
    server.http_builder().http1().header_read_timeout(NEXT_HEAD_WITHIN);
    server.http_builder().http2().keep_alive_interval(PING_EVERY);
    server
}

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
use kube::Client;
use projection::{ClusterError, OBJECT};
use tokio::task::AbortHandle;
use tracing::{info, warn};

use crate::admin::{self, Admin};
use crate::certificates::{FilesError, FilesKeeper, Keeper, KubernetesStore, Lifetimes, Names, ServedLeaf};
use crate::clock::Clock;
use crate::events::Watch;
use crate::health::Health;
use crate::installation::CurrentInstallation;
use crate::listener::{BoundedAddress, BoundedListener};
use crate::metrics::Metrics;
use crate::namespaces::{DEMANDS, NAMESPACE, Namespaces};
use crate::places::Guest;
use crate::review::{self, Judge, Reviewer};
use crate::services::{SERVICE, Services};
use crate::settings::{Settings, Tls};
use crate::tls;

/// An API server gives up on a review after its `timeoutSeconds`, three in the chart.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// For every further request, silence included: an API server closes idle connections after 90 s, and must be the one
/// who does, or a review can cross our close.
const NEXT_HEAD_WITHIN: Duration = Duration::from_mins(2);
/// In bytes, for each connection: a head, what is read of a body at once, and what waits to be sent. An API server's heads are
/// below 1 KiB.
const LARGEST_HEAD: usize = 16 << 10;
const HEAD_OVER_HTTP2: u32 = 16 << 10;
/// What an HTTP/2 connection may send of bodies before they are read.
const WINDOW: u32 = 64 << 10;
const MOST_STREAMS: u32 = 32;
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
    /// There is no way to the API server.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
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
    ///
    /// `judge` answers with what `installation` has; Events do, too, and the keys of a balancer are put there.
    pub async fn start(
        settings: &Settings,
        judge: Judge,
        installation: CurrentInstallation,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let shared = Shared::new(clock);
        let judge = if settings.read_namespaces {
            let client = projection::client(&NAMESPACE).await?;
            let lists = projection::client(&DEMANDS).await?;
            judge.knowing(Namespaces::of_cluster(client, lists, settings.namespaces.clone()))
        } else {
            judge
        };
        let services = Services::default();
        let judge = judge.warning_of(services.clone());
        let keeper = match &settings.tls {
            Tls::Own(names) => keep_own(projection::client(&OBJECT).await?, names, &shared),
            Tls::Files { certificate, key } => {
                let mut keeper = FilesKeeper::new(certificate.clone(), key.clone(), Arc::clone(&shared.served));
                keeper.reload()?;
                // Whoever issued it has told the API server.
                shared.health.trusted().set(true);
                tokio::spawn(keeper.run(READ_EVERY, tell)).abort_handle()
            }
        };
        let Shared { clock, metrics, .. } = &shared;
        let (kinds, namespaces) = (&settings.events, &settings.namespaces);
        let watches = Watch::of_kinds(kinds, namespaces, &services, &installation, clock, metrics).await?;
        let services = if watches.is_empty() {
            None
        } else {
            let client = projection::client(&SERVICE).await?;
            Some(tokio::spawn(services.keep(client)).abort_handle())
        };
        let keys = match &settings.balance_keys {
            Some(from) => {
                let client = projection::client(&OBJECT).await?;
                Some(tokio::spawn(installation.keep_balance_keys(client, from.clone())).abort_handle())
            }
            None => None,
        };
        let mut webhook = Self::open(settings, judge, shared).await?;
        webhook.beside.push(keeper);
        webhook.beside.extend(keys);
        webhook.beside.extend(services);
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

/// What came of a look at the files.
fn tell(reloaded: Result<bool, FilesError>) {
    match reloaded {
        Ok(true) => info!("serving a new certificate from the files"),
        Ok(false) => {}
        Err(error) => warn!(%error, "still serving the certificate from before"),
    }
}

fn keep_own(client: Client, names: &Names, shared: &Shared) -> AbortHandle {
    let store = KubernetesStore::new(client, names.clone());
    let touches = store.touches();
    let Shared { served, health, metrics: _, clock } = shared.clone();
    let keeper = Keeper::new(store, names.server_name(), Lifetimes::default(), clock, served, health.trusted());
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
    server.http_builder().http1().header_read_timeout(NEXT_HEAD_WITHIN).max_buf_size(LARGEST_HEAD);
    let mut http2 = server.http_builder().http2();
    http2.keep_alive_interval(PING_EVERY).max_concurrent_streams(MOST_STREAMS).max_header_list_size(HEAD_OVER_HTTP2);
    http2.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW).max_send_buf_size(LARGEST_HEAD);
    server
}

//! The process: two ports, certificates, and graceful shutdown.

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{AddrListener, Handle, Server};
use daemon::Clock;
use futures_util::future::try_join;
use kube::Client;
use projection::{ClusterError, OBJECT};
use tokio::task::AbortHandle;
use tracing::{info, warn};

use crate::admin::{self, Admin};
use crate::certificates::{
    CertificateController, CertificateReloader, FilesError, KubernetesStore, Lifetimes, Names, ServedLeaf,
};
use crate::events::Watch;
use crate::health::Health;
use crate::installation::CurrentInstallation;
use crate::listener::{BoundedAddress, BoundedListener};
use crate::metrics::Metrics;
use crate::namespaces::{NAMESPACE, Namespaces, RESOURCE_CONSTRAINTS};
use crate::review::{self, Endpoint, Handler};
use crate::services::{SERVICE, Services};
use crate::settings::{Settings, Tls};
use crate::slots::Connection;
use crate::tls;

/// An API server gives up on a review after its `timeoutSeconds`, three in the chart.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// For each further request, idle time included. API servers close idle connections after 90 s. They must close first,
/// because a review can be lost if the server closes.
const NEXT_HEAD_WITHIN: Duration = Duration::from_mins(2);
/// In bytes, for each connection: the limit of a head, of one read of a body, and of the send buffer. Heads of API
/// servers take less than 1 KiB.
const LARGEST_HEAD: usize = 16 << 10;
const HEAD_OVER_HTTP2: u32 = 16 << 10;
/// The flow-control window of HTTP/2 connections and streams, in bytes.
const WINDOW: u32 = 64 << 10;
const MOST_STREAMS: u32 = 32;
const PING_EVERY: Duration = Duration::from_secs(30);
/// cert-manager renews weeks ahead, and the kubelet takes a minute to update a mounted Secret.
const READ_EVERY: Duration = Duration::from_secs(30);
/// As long as there is no certificate to serve.
const REPAIRED_EVERY: Duration = Duration::from_secs(1);
/// Reviews in flight at the end take milliseconds. A body that is still arriving takes up to this.
const LAST_REVIEWS_WITHIN: Duration = Duration::from_secs(10);

/// A webhook whose ports are open.
pub struct Webhook {
    reviews: (Server<BoundedAddress, RustlsAcceptor>, Router, SocketAddr),
    admin: (Server<BoundedAddress>, Router, SocketAddr),
    health: Arc<Health>,
    shutdown_delay: Duration,
    /// Background tasks: certificates, watches.
    tasks: Vec<AbortHandle>,
}

/// Why a webhook could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be opened.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The certificate files cannot be read.
    #[error("{0}")]
    Files(#[from] FilesError),
    /// The API server cannot be found.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The TLS library refused its settings.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// What both ports and the background tasks share.
#[derive(Clone)]
pub struct Shared {
    /// The certificate that API servers get.
    pub served: Arc<ServedLeaf>,
    /// Whether this replica is ready for reviews.
    pub health: Arc<Health>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The clock for certificates.
    pub clock: Clock,
}

impl Shared {
    /// Returns the state of a process that has no certificate yet.
    pub fn new(clock: Clock) -> Self {
        let served = Arc::new(ServedLeaf::default());
        let health = Arc::new(Health::new(Arc::clone(&served)));
        Self { served, health, metrics: Arc::new(Metrics::new()), clock }
    }
}

impl Webhook {
    /// Opens both ports, and starts the certificate controller and the watches.
    ///
    /// `handler` answers reviews. Events are about what `installation` has, and the keys of a balancer are stored
    /// there.
    pub async fn start(
        settings: &Settings,
        handler: Handler,
        installation: CurrentInstallation,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let shared = Shared::new(clock);
        let handler = if settings.read_namespaces {
            let client = projection::client(&NAMESPACE).await?;
            let lists = projection::client(&RESOURCE_CONSTRAINTS).await?;
            handler.with_namespaces(Namespaces::of_cluster(client, lists, settings.namespaces.clone()))
        } else {
            handler
        };
        let services = Services::default();
        let handler = handler.with_services(services.clone());
        let certificates = match &settings.tls {
            Tls::Own(names) => start_certificate_controller(projection::client(&OBJECT).await?, names, &shared),
            Tls::Files { certificate, key } => {
                let served = Arc::clone(&shared.served);
                let reloader = CertificateReloader::new(certificate.clone(), key.clone(), served);
                // The issuer of the files also configures the caBundle.
                shared.health.trusted().set(true);
                start_reloader(reloader, Arc::clone(&shared.health))?
            }
        };
        let Shared { clock, metrics, .. } = &shared;
        let (kinds, namespaces) = (&settings.events, &settings.namespaces);
        let watches = Watch::of_kinds(kinds, namespaces, &services, &installation, clock, metrics).await?;
        let services = if watches.is_empty() {
            None
        } else {
            let client = projection::client(&SERVICE).await?;
            Some(tokio::spawn(services.watch(client)).abort_handle())
        };
        let keys = match &settings.balance_keys {
            Some(from) => {
                let client = projection::client(&OBJECT).await?;
                Some(tokio::spawn(installation.watch_balance_keys(client, from.clone())).abort_handle())
            }
            None => None,
        };
        let mut webhook = Self::open(settings, handler, shared).await?;
        webhook.tasks.push(certificates);
        webhook.tasks.extend(keys);
        webhook.tasks.extend(services);
        webhook.tasks.extend(watches.into_iter().map(|watch| tokio::spawn(watch.run()).abort_handle()));
        Ok(webhook)
    }

    /// Opens both ports. The caller puts a certificate into `shared`.
    pub async fn open(settings: &Settings, handler: Handler, shared: Shared) -> Result<Self, StartError> {
        let Shared { served, health, metrics, clock } = shared;
        let endpoint = Endpoint::new(handler, Arc::clone(&metrics), Arc::clone(&health));
        let (listener, address) = listen(settings.listen).await?;
        let tls = RustlsConfig::from_config(tls::server_config(served)?);
        let acceptor = RustlsAcceptor::new(tls).handshake_timeout(HANDSHAKE_WITHIN);
        let reviews = (server(listener).acceptor(acceptor), review::routes(endpoint), address);
        let (listener, address) = listen(settings.admin).await?;
        let routes = admin::routes(Admin { metrics, health: Arc::clone(&health), clock });
        let admin = (server(listener), routes, address);
        // Both ports are open when the first line is logged.
        info!(endpoint = "reviews", address = %reviews.2, "listening");
        info!(endpoint = "admin", address = %admin.2, "listening");
        Ok(Self { reviews, admin, health, shutdown_delay: settings.shutdown_delay, tasks: Vec::new() })
    }

    /// Returns the address for reviews, with the actual port.
    pub fn reviews_address(&self) -> SocketAddr {
        self.reviews.2
    }

    /// Returns the address for metrics and health, with the actual port.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.2
    }

    /// Serves until `shutdown`, then for the shutdown delay, in which nodes may still route reviews here; then finishes
    /// requests in flight.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let (reviews, admin) = (Handle::new(), Handle::new());
        let serving = try_join(
            self.reviews
                .0
                .handle(reviews.clone())
                .serve(self.reviews.1.into_make_service_with_connect_info::<Connection>()),
            self.admin.0.handle(admin.clone()).serve(self.admin.1.into_make_service()),
        );
        let ending = async {
            shutdown.await;
            info!("shutting down");
            self.health.drain();
            // Other replicas reconcile from now on. This one's state may belong to an installation that was deleted.
            self.tasks.iter().for_each(AbortHandle::abort);
            tokio::time::sleep(self.shutdown_delay).await;
            reviews.graceful_shutdown(Some(LAST_REVIEWS_WITHIN));
            admin.graceful_shutdown(Some(LAST_REVIEWS_WITHIN));
            pending::<()>().await;
        };
        let served = tokio::select! {
            served = serving => served,
            () = ending => Ok(((), ())),
        };
        self.tasks.iter().for_each(AbortHandle::abort);
        served.map(|_| ())
    }
}

/// Serves the certificate in the files, and reloads them.
///
/// Content that cannot be used is not an error: the replica stays unready, with the reason, until the files are
/// repaired. A restart would help nothing, and each further one comes later.
///
/// # Errors
/// A file cannot be read.
fn start_reloader(mut reloader: CertificateReloader, health: Arc<Health>) -> Result<AbortHandle, FilesError> {
    let first = usable(&mut reloader, &health)?;
    let reloading = async move {
        let mut served = first;
        while !served {
            tokio::time::sleep(REPAIRED_EVERY).await;
            // A file can be missing for a moment while a volume is updated.
            served = usable(&mut reloader, &health).unwrap_or(false);
        }
        reloader.run(READ_EVERY, log_reload).await;
    };
    Ok(tokio::spawn(reloading).abort_handle())
}

/// Reads the files, and returns whether their certificate is served now.
fn usable(reloader: &mut CertificateReloader, health: &Health) -> Result<bool, FilesError> {
    match reloader.reload() {
        Ok(_) => Ok(true),
        Err(unusable @ FilesError::Unusable { .. }) => {
            if health.set_unusable(unusable.to_string()) {
                warn!(error = %unusable, "no certificate: reviews are answered once the files are repaired");
            }
            Ok(false)
        }
        Err(unreadable @ FilesError::Read { .. }) => Err(unreadable),
    }
}

/// Logs the result of reading the files.
fn log_reload(reloaded: Result<bool, FilesError>) {
    match reloaded {
        Ok(true) => info!("serving a new certificate from the files"),
        Ok(false) => {}
        Err(error) => warn!(%error, "cannot reload the certificate; the previous one is still served"),
    }
}

fn start_certificate_controller(client: Client, names: &Names, shared: &Shared) -> AbortHandle {
    let store = KubernetesStore::new(client, names.clone());
    let triggers = store.changes();
    let Shared { served, health, metrics: _, clock } = shared.clone();
    let controller =
        CertificateController::new(store, names.server_name(), Lifetimes::default(), clock, served, health.trusted());
    tokio::spawn(controller.run(triggers)).abort_handle()
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

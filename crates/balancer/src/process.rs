//! The process as a whole: watches, the Lease, the keys, the admin port, and the shutdown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use daemon::Clock;
use hyper_util::service::TowerToHyperService;
use kube::Client;
use projection::{ClusterError, OBJECT};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tracing::info;

use crate::admin::{self, Admin};
use crate::driver::{self, Inputs, Outputs};
use crate::keys::KeyStore;
use crate::leader::Election;
use crate::metrics::Metrics;
use crate::proxy_client::ProxyClient;
use crate::recorder::Recorder;
use crate::settings::{KeySettings, Settings};
use crate::watching;

/// The capacity of the channel of changes.
const CHANGES: usize = 1024;

/// Why the balancer cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The port cannot be bound.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// No client for the API server can be created.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// Returns the store of the keys in the cluster.
///
/// # Errors
/// No client for the API server can be created.
pub async fn key_store(settings: &KeySettings) -> Result<KeyStore, ClusterError> {
    let KeySettings { namespace, secret, config_map } = settings.clone();
    Ok(KeyStore::new(projection::client(&OBJECT).await?, &namespace, secret, config_map))
}

/// Balances until `shutdown` completes.
///
/// # Errors
/// The port cannot be bound, or no client for the API server can be created.
pub async fn run(settings: &Settings, clock: Clock, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    let metrics = Arc::new(Metrics::new());
    let refused = |error| RunError::Listen(settings.admin, error);
    let listener = daemon::listen(settings.admin).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let client = projection::client(&OBJECT).await?;
    let store = key_store(&settings.keys).await?;

    let (seen, changes) = mpsc::channel(CHANGES);
    let (leading, leads) = watch::channel(false);
    let (keys_read, keys) = watch::channel(None);
    let (view_requests, views) = mpsc::channel(1);
    let (is_complete, listed) = watch::channel(false);
    let (next_is_known, known) = watch::channel(false);
    let inputs = Inputs { changes, leads, keys: keys.clone(), view_requests: views };
    let outputs = Outputs { is_complete, next_is_known };
    let recorder = Arc::new(Recorder::new(view_requests));
    let admin = Admin { metrics: Arc::clone(&metrics), is_complete: listed, keys, recorder: Arc::clone(&recorder) };
    let mut election = election(settings, client, clock.clone(), &metrics);
    info!(endpoint = "admin", %address, identity = settings.identity, "listening");

    let balancing = driver::run(ProxyClient::new(settings.proxy_port), clock, Arc::clone(&metrics), inputs, outputs);
    tokio::select! {
        () = balancing => {}
        watched = watching::watch(seen, metrics) => watched?,
        () = store.run(keys_read, known) => {}
        () = election.run(&leading) => {}
        () = recorder.run() => {}
        () = serve(listener, admin) => {}
        () = shutdown => info!("shutting down"),
    }
    election.release().await;
    Ok(())
}

fn election(settings: &Settings, client: Client, clock: Clock, metrics: &Arc<Metrics>) -> Election {
    let (lease, identity) = (settings.lease.clone(), settings.identity.clone());
    Election::new(client, &settings.keys.namespace, lease, identity, clock, Arc::clone(metrics))
}

async fn serve(listener: TcpListener, admin: Admin) {
    let routes = TowerToHyperService::new(admin::routes(admin));
    daemon::serve(listener, |_| Ok(routes.clone())).await;
}

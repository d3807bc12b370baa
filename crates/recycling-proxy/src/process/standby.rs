//! The proxy of a pod that uses its node's network, where no connections are redirected to it.
//!
//! Its author set `hostNetwork` after the injection, while the webhook did not answer, so the template still has what
//! was injected. No client connection arrives here. The kubelet still runs the injected probes and hooks, and without
//! answers the pod would neither start nor end:
//!
//! - the probes of this container, and the hooks of apps that wait for the drain, which is over from the beginning;
//! - probes that only connect, which nftables rules would translate to the app's port. A port for them is open while
//!   the app accepts connections; it carries no data.
//!
//! Several such pods may be on a node, so its ports are shared (`SO_REUSEPORT`), and there is no control socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use redirect::is_host_network;
use settings::{AppAddress, ProxySettings, Routes};
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::app::dial::{App, Dialer};
use crate::app::hold::Hold;
use crate::metrics;
use crate::process::admin::Admin;
use crate::retire::connections::Connections;
use crate::retire::drain::Drain;

/// How often the proxy connects to an app whose probe port it serves. The kubelet never probes more often.
const TRY_EVERY: Duration = Duration::from_secs(1);
/// The time between two attempts to bind a port that another process on the node uses.
const PAUSE: Duration = Duration::from_secs(5);

/// Returns whether the settings expect redirected connections, but the pod uses its node's network, where nothing is
/// redirected.
pub fn is_needed(settings: &ProxySettings) -> bool {
    match settings.routes {
        Routes::OriginalDestination(_) => is_host_network(settings.network),
        Routes::Fixed(_) => false,
    }
}

/// Starts to answer the kubelet's probes and hooks.
pub(crate) fn start(settings: &ProxySettings) {
    tracing::warn!(
        "the pod uses its node's network (hostNetwork): nothing is redirected, no client connection is accepted"
    );
    let mut registry = metrics::registry();
    let connections = Arc::<Connections>::default();
    let drain = Drain::register(settings.drain_timeout.get(), &mut registry);
    let hold = Arc::new(Hold::new(Arc::clone(&drain)));
    let dialer = Arc::new(Dialer::default());
    drain.begin();
    tokio::spawn(async move { drain.supervise(&connections).await });
    // Without client connections there is nothing to balance.
    let endpoints = Arc::new(Admin::new(settings, registry, None, hold, Arc::clone(&dialer), None));
    for address in std::iter::once(settings.admin).chain(settings.hold_addresses()) {
        let endpoints = Arc::clone(&endpoints);
        tokio::spawn(async move { endpoints.run(bound(address).await).await });
    }
    let pod = settings.network.host_ip.unwrap_or(Ipv4Addr::LOCALHOST.into());
    for (port, app) in &settings.probes {
        tokio::spawn(stand_in(*port, App::of(AppAddress::OfPod(*app), pod), Arc::clone(&dialer)));
    }
}

/// Returns a listening socket, shared with other pods on the node. Waits until it can be bound.
async fn bound(address: SocketAddr) -> TcpListener {
    loop {
        match daemon::listen_shared(address) {
            Ok(listener) => return listener,
            Err(error) => {
                tracing::warn!(%address, %error, "cannot listen: another process on the node does");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Listens on `port` while the app accepts connections.
async fn stand_in(port: u16, app: App, dialer: Arc<Dialer>) {
    let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
    let mut tries = interval(TRY_EVERY);
    tries.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut open: Option<TcpListener> = None;
    loop {
        tokio::select! {
            _ = tries.tick() => match dialer.dial(app).await {
                Ok(_) if open.is_some() => {}
                Ok(_) => open = Some(bound(address).await),
                Err(_) => open = None,
            },
            // The probe has succeeded, and its connection is closed.
            () = accept(open.as_ref()) => {}
        }
    }
}

/// Accepts a connection, and closes it. Never returns without a listener.
async fn accept(listener: Option<&TcpListener>) {
    match listener {
        Some(listener) if listener.accept().await.is_ok() => {}
        // If there is no descriptor, another attempt would fail, too.
        Some(_) => sleep(TRY_EVERY).await,
        None => std::future::pending().await,
    }
}

//! `recycling-proxy run`: the process.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use settings::{AppAddress, ControlSocket, ProxySettings, Routes};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::admin::Admin;
use crate::listener::Listener;
use crate::proxy::Proxy;
use crate::tls::Certificate;
use crate::workers::Workers;
use crate::{control, descriptors, listener};

/// What keeps the proxy from running.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address as it was set.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The control socket cannot be made.
    #[error("cannot listen on the control socket {socket}: {source}")]
    Control {
        /// The socket as it was set.
        socket: ControlSocket,
        /// What the kernel said.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set TLS up: {0}")]
    Tls(#[from] rustls::Error),
    /// The system refuses threads, timers or signals.
    #[error("the system refuses what the proxy needs to run: {0}")]
    System(#[from] io::Error),
}

/// Runs until a SIGTERM or SIGINT has ended it.
pub fn run(settings: &ProxySettings) -> Result<(), RunError> {
    descriptors::raise_limit();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: &ProxySettings) -> Result<(), RunError> {
    let mut end = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let sockets = Sockets::bind(settings)?;
    let proxy = Arc::new(Proxy::new(settings)?);
    if let (Some(files), Some(tls)) = (&settings.tls, &proxy.tls) {
        tokio::spawn(Certificate::load(files, Arc::clone(tls.served()), Arc::clone(tls.metrics())).keep());
    }
    let workers = Workers::start(settings.threads, &proxy)?;
    sockets.announce(settings)?;

    let Sockets { listeners, admin, hold, control } = sockets;
    let endpoints = Arc::new(Admin::new(Arc::clone(&proxy), settings));
    for listener in std::iter::once(admin).chain(hold) {
        tokio::spawn(Arc::clone(&endpoints).run(listener));
    }
    tokio::spawn(control::run(control, Arc::clone(&proxy)));
    let drained = Arc::clone(&proxy);
    tokio::spawn(async move { drained.drain.supervise(&drained.connections).await });
    let watched = Arc::clone(&proxy);
    tokio::spawn(async move { watched.memory.watch().await });
    tell_of_fewer_connections(settings, &proxy);
    let accepting = accept(listeners, &proxy, workers);

    first_of(&mut end).await;
    // What connects from now on is refused, as it would be by an app that has ended.
    drop(accepting);
    leave(&proxy, settings, &mut end).await;
    Ok(())
}

/// Accepts until it is dropped.
fn accept(listeners: Vec<Listener>, proxy: &Arc<Proxy>, workers: Workers) -> JoinSet<()> {
    let workers = Arc::new(workers);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let (proxy, workers) = (Arc::clone(proxy), Arc::clone(&workers));
        accepting.spawn(async move { listener.run(&proxy, &workers).await });
    }
    accepting
}

/// What is accepted must find its app, and memory: beyond what there is of both, clients wait in the kernel's queue.
fn tell_of_fewer_connections(settings: &ProxySettings, proxy: &Proxy) {
    let wanted = settings.max_connections.get();
    let room = proxy.memory.most_connections();
    if room < wanted as usize {
        tracing::warn!(
            max_connections = wanted,
            room,
            memory_limit = proxy.memory.limit(),
            "max-connections is lowered: the memory limit, or that of open files, has room for fewer"
        );
    }
}

/// Lets the open connections end; a second signal does not wait for them.
async fn leave(proxy: &Proxy, settings: &ProxySettings, end: &mut [Signal; 2]) {
    proxy.drain.begin();
    tracing::info!(connections = proxy.connections.count(), "ending with the last connection");
    let ended = timeout(settings.drain_timeout.get(), proxy.connections.none_left());
    let how = tokio::select! {
        ended = ended => if ended.is_ok() { "ended" } else { "ended: the time is up" },
        () = first_of(end) => "ended by a second signal",
    };
    tracing::info!(connections_left = proxy.connections.count(), "{how}");
}

async fn first_of([terminate, interrupt]: &mut [Signal; 2]) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Every socket of the process, bound before anything is served: a proxy that starts is whole.
struct Sockets {
    listeners: Vec<Listener>,
    admin: TcpListener,
    hold: Vec<TcpListener>,
    control: UnixListener,
}

impl Sockets {
    fn bind(settings: &ProxySettings) -> Result<Self, RunError> {
        let pairs: Vec<(SocketAddr, Option<AppAddress>)> = match &settings.routes {
            Routes::Fixed(routes) => routes.iter().map(|route| (route.listen, Some(route.app))).collect(),
            Routes::OriginalDestination(listen) => listen.iter().map(|listen| (*listen, None)).collect(),
        };
        let listeners = pairs
            .into_iter()
            .map(|(address, app)| Listener::bind(address, app).map_err(|source| RunError::Listen { address, source }));
        let bind = |address| listener::bind(address).map_err(|source| RunError::Listen { address, source });
        let hold = settings.hold.iter().map(|hold| bind(SocketAddr::new(settings.admin.ip(), hold.port)));
        let socket = &settings.control;
        Ok(Self {
            listeners: listeners.collect::<Result<_, _>>()?,
            admin: bind(settings.admin)?,
            hold: hold.collect::<Result<_, _>>()?,
            control: control::bind(socket).map_err(|source| RunError::Control { socket: socket.clone(), source })?,
        })
    }

    fn announce(&self, settings: &ProxySettings) -> io::Result<()> {
        for listener in &self.listeners {
            tracing::info!(address = %listener.address()?, "accepting client connections");
        }
        tracing::info!(
            admin = %self.admin.local_addr()?,
            control = %settings.control,
            max_requests = %settings.max_requests,
            jitter = %settings.jitter,
            threads = %settings.threads,
            "ready"
        );
        Ok(())
    }
}

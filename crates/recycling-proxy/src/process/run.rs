//! `recycling-proxy run`: the process.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use daemon::{Log, Termination};
use prometheus_client::registry::Registry;
use settings::{AppAddress, ControlSocket, ProxySettings, Routes};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::app::dial::Dialer;
use crate::app::hold::Hold;
use crate::app::sockets::Sockets as PodSockets;
use crate::connection::policy::Policy;
use crate::connection::{self, Service};
use crate::memory::Memory;
use crate::metrics;
use crate::process::admin::Admin;
use crate::process::control;
use crate::process::listener::{Acceptor, Listener};
use crate::process::node;
use crate::process::ports::{self, ListenError};
use crate::process::standby;
use crate::process::workers::Workers;
use crate::relay::broken::BrokenBy;
use crate::retire::balance::{Balance, BalanceError, Totals};
use crate::retire::connections::Connections;
use crate::retire::drain::Drain;
use crate::tls::{self, Certificate, Tls};
use crate::transport::descriptors;

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A listener cannot be bound.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The control socket cannot be bound.
    #[error("cannot listen on the control socket {socket}: {source}")]
    Control {
        /// The configured socket.
        socket: ControlSocket,
        /// What the kernel said.
        source: io::Error,
    },
    /// The settings of balancing cannot be used.
    #[error(transparent)]
    Balance(#[from] BalanceError),
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The system provides no threads, timers or signals.
    #[error("the system refuses a resource that the proxy needs: {0}")]
    System(#[from] io::Error),
}

/// Runs until SIGTERM or SIGINT. The level of `log` can be changed on the control socket.
pub fn run(settings: &ProxySettings, log: Log) -> Result<(), RunError> {
    daemon::raise_descriptor_limit();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(settings, log))
}

async fn serve(settings: &ProxySettings, log: Log) -> Result<(), RunError> {
    let mut termination = Termination::watch()?;
    if standby::is_needed(settings) {
        standby::start(settings);
        termination.requested().await;
        return Ok(());
    }
    let Some(sockets) = bind(settings, &mut termination).await? else { return Ok(()) };
    let mut registry = metrics::registry();
    let connections = Arc::<Connections>::default();
    let drain = Drain::register(settings.drain_timeout.get(), &mut registry);
    let hold = Arc::new(Hold::new(Arc::clone(&drain)));
    let dialer = Arc::new(Dialer::default());
    let metrics = connection::metrics::Metrics::register(&mut registry, settings.app_ports());
    let balance = balance(settings, &connections, &drain, metrics.totals(), &mut registry)?;
    let instead_of_limit = instead_of_limit(settings, balance.as_ref());
    let resting = instead_of_limit.clone();
    let rests = move || resting.as_ref().is_some_and(|balance| balance.is_in_force());
    Policy::register(settings, rests, &mut registry);
    let shared = connection::Shared {
        connections: Arc::clone(&connections),
        drain: Arc::clone(&drain),
        hold: Arc::clone(&hold),
        metrics,
        warnings: Arc::default(),
        instead_of_limit,
    };
    let warnings = Arc::clone(&shared.warnings);
    tokio::spawn(async move { warnings.log_counts().await });
    let pod_sockets = PodSockets::register(settings, &mut registry);
    let tls = terminate_tls(settings, &mut registry)?;
    let service = Arc::new(Service::new(settings, shared, Arc::clone(&dialer), tls, node::addresses(settings.network)));
    let memory = Memory::new(settings, descriptors::room_for_connections(settings.shared.threads.get()), &mut registry);
    let workers = Workers::start(settings.shared.threads, service)?;
    sockets.announce(settings)?;

    let Sockets { listeners, admin, hold: hooks, control } = sockets;
    let acceptor = Acceptor::register(Arc::clone(&memory), workers, &mut registry);
    let endpoints = Arc::new(Admin::new(settings, registry, Some(pod_sockets), hold, dialer, balance));
    for listener in std::iter::once(admin).chain(hooks) {
        tokio::spawn(Arc::clone(&endpoints).run(listener));
    }
    let controlled =
        control::Controlled { drain: Arc::clone(&drain), connections: Arc::clone(&connections), endpoints, log };
    tokio::spawn(control::run(control, controlled));
    let (supervised, open) = (Arc::clone(&drain), Arc::clone(&connections));
    tokio::spawn(async move { supervised.supervise(&open).await });
    log_lowered_limit(settings, &memory);
    tokio::spawn(async move { memory.watch().await });
    let accepting = Accepting::start(listeners, acceptor);

    termination.requested().await;
    let ended = async {
        // Connections are refused from now on, as by an app that has ended.
        accepting.finish().await;
        connections.none_left().await;
    };
    shut_down(ended, &drain, &connections, settings, &mut termination).await;
    Ok(())
}

/// Binds every socket, and waits for ports that connections of the pod have. Returns `None` if the process is to end.
async fn bind(settings: &ProxySettings, termination: &mut Termination) -> Result<Option<Sockets>, RunError> {
    let reserved = tokio::select! {
        reserved = ports::reserve(settings) => reserved?,
        () = termination.requested() => return Ok(None),
    };
    let sockets = Sockets::bind(settings)?;
    drop(reserved);
    Ok(Some(sockets))
}

/// Starts the balancing of the pod, if the settings have the keys of a balancer.
fn balance(
    settings: &ProxySettings,
    connections: &Arc<Connections>,
    drain: &Arc<Drain>,
    totals: Totals,
    registry: &mut Registry,
) -> Result<Option<Arc<Balance>>, BalanceError> {
    let (Some(balance), Some(namespace)) = (&settings.balance, &settings.namespace) else { return Ok(None) };
    let balance = Balance::register(balance, namespace, Arc::clone(connections), Arc::clone(drain), totals, registry)?;
    let running = Arc::clone(&balance);
    tokio::spawn(async move { running.run().await });
    Ok(Some(balance))
}

/// Returns the balancing that suspends the default limit of requests while it is in force; `None` if a limit is set.
fn instead_of_limit(settings: &ProxySettings, balance: Option<&Arc<Balance>>) -> Option<Arc<Balance>> {
    let is_set = settings.balance.as_ref().is_some_and(|balance| balance.max_requests_is_set);
    balance.filter(|_| !is_set).cloned()
}

/// Returns the TLS termination, if the settings have a certificate, and starts to reload the certificate.
fn terminate_tls(settings: &ProxySettings, registry: &mut Registry) -> Result<Option<Tls>, rustls::Error> {
    let metrics = Arc::new(tls::Metrics::register(registry));
    let Some(settings) = &settings.tls else { return Ok(None) };
    let tls = Tls::new(settings, Arc::clone(&metrics))?;
    tokio::spawn(Certificate::load(settings, Arc::clone(tls.served()), metrics).reload());
    Ok(Some(tls))
}

/// The tasks that accept connections, one for each listener.
struct Accepting {
    tasks: JoinSet<()>,
    stop: watch::Sender<()>,
}

impl Accepting {
    fn start(listeners: Vec<Listener>, acceptor: Acceptor) -> Self {
        let acceptor = Arc::new(acceptor);
        let (stop, stopped) = watch::channel(());
        let tasks =
            listeners.into_iter().map(|listener| listener.run(Arc::clone(&acceptor), stopped.clone())).collect();
        Self { tasks, stop }
    }

    /// Accepts what is in the accept queues, and closes the listening sockets.
    async fn finish(self) {
        let Self { mut tasks, stop } = self;
        drop(stop);
        // A task that has panicked does not end the others.
        while tasks.join_next().await.is_some() {}
    }
}

/// Logs if descriptors or memory allow fewer connections than `max-connections`. Further clients wait in the accept
/// queue.
fn log_lowered_limit(settings: &ProxySettings, memory: &Memory) {
    let wanted = settings.max_connections.get();
    let room = memory.most_connections();
    if room < wanted as usize {
        tracing::info!(
            max_connections = wanted,
            room,
            memory_limit = memory.limit(),
            "max-connections is lowered: the memory limit, or that of open files, has room for fewer"
        );
    }
}

/// Waits until `ended`, after which no connection is open, or for a second signal.
async fn shut_down(
    ended: impl Future<Output = ()>,
    drain: &Drain,
    connections: &Connections,
    settings: &ProxySettings,
    termination: &mut Termination,
) {
    drain.begin();
    tracing::info!(connections = connections.count(), "exiting after the last connection");
    let ended = timeout(settings.drain_timeout.get(), ended);
    let how = tokio::select! {
        ended = ended => if ended.is_ok() { "ended" } else { "ended: the drain timeout has passed" },
        () = termination.requested() => "ended by a second signal",
    };
    let connections_left = connections.count();
    tracing::info!(connections_left, "{how}");
    if connections_left > 0 {
        tracing::warn!(
            connections_left,
            side = BrokenBy::Proxy.label(),
            "the proxy ends while client connections are open, and resets them: a larger evenkeel.dev/drain-timeout waits longer"
        );
    }
}

/// Every socket of the process. All are bound before the first connection is served, so that a proxy that starts has
/// all its ports.
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
            .map(|(address, app)| Listener::bind(address, app).map_err(|source| ListenError { address, source }));
        let bind = |address| daemon::listen(address).map_err(|source| ListenError { address, source });
        let hold = settings.hold_addresses().map(bind);
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
            jitter = %settings.shared.jitter,
            threads = %settings.shared.threads,
            "ready"
        );
        Ok(())
    }
}

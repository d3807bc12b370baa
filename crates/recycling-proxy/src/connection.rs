//! One client connection, from accept to close.

mod close;
mod context;
mod eviction;
mod http1;
mod http2;
pub(crate) mod metrics;
mod opening;
pub(crate) mod policy;
pub(crate) mod protocol;
mod repeats;
mod stage;
#[cfg(test)]
mod testing;
mod tunnel;
pub(crate) mod warnings;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

use settings::{ProxyProtocol, ProxySettings};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use self::context::Context;
use self::eviction::unless_evicted;
use self::metrics::{OpenOnPort, PortMetrics};
use self::opening::{Opened, Opening};
use self::policy::Policy;
use self::protocol::Protocol;
use self::stage::Stage;
use self::warnings::Cause;
use crate::app::dial::{App, Dialer, Unreachable};
use crate::app::proxy_protocol::Ends;
use crate::memory::{Account, Slot};
use crate::relay::forwarded_for::ForwardedFor;
use crate::relay::source::Source;
use crate::retire::connections::OpenConnection;
use crate::tls::Tls;
use crate::transport::pair::Pair;
use crate::transport::wire::Wire;
use crate::tunnel::TunnelKind;

pub(crate) use self::context::Shared;

/// The state that serves all connections.
#[derive(Debug)]
pub(crate) struct Service {
    policy: Policy,
    shared: Arc<Shared>,
    dialer: Arc<Dialer>,
    tls: Option<Tls>,
    /// The addresses from which the kubelet probes.
    node: BTreeSet<IpAddr>,
}

impl Service {
    pub(crate) fn new(
        settings: &ProxySettings,
        shared: Shared,
        dialer: Arc<Dialer>,
        tls: Option<Tls>,
        node: BTreeSet<IpAddr>,
    ) -> Self {
        Self { policy: Policy::of(settings), shared: Arc::new(shared), dialer, tls, node }
    }

    /// Counts an accepted connection as open, on this port of the app too, until the result is dropped.
    pub(crate) fn hold(&self, app_port: u16, slot: Slot) -> Held {
        let port = self.shared.metrics.of_port(app_port).open();
        Held { port, _open: self.shared.connections.open(), slot }
    }

    /// Returns the source of a connection whose requests are not read.
    fn source_unread(&self, client: &TcpStream) -> Source {
        let from_node = client.peer_addr().is_ok_and(|client| self.node.contains(&client.ip().to_canonical()));
        if from_node { Source::Probe } else { Source::Client }
    }

    /// Counts a connection of this source. Reports a client's connection to the drain.
    fn opened(&self, port: &PortMetrics, protocol: Protocol, source: Source, accepted_at: Instant) {
        port.opened(protocol, source);
        match source {
            Source::Client => self.shared.drain.client_connected(accepted_at),
            Source::Probe | Source::Scrape => {}
        }
    }
}

/// Serves a client whose app is at `app`.
pub(crate) fn serve(client: TcpStream, app: App, held: Held, service: Arc<Service>) -> impl Future<Output = ()> {
    let mut stage = Stage::Beginning(Box::pin(begin(client, app, held, service, Instant::now())));
    poll_fn(move |cx| stage.poll(cx))
}

/// The resources that a connection holds until its end.
#[derive(Debug)]
pub(crate) struct Held {
    port: OpenOnPort,
    _open: OpenConnection,
    slot: Slot,
}

impl Held {
    const fn account(&self) -> &Arc<Account> {
        self.slot.account()
    }
}

/// Returns the first stage of the connection, by the client's protocol.
async fn begin(client: TcpStream, app: App, held: Held, service: Arc<Service>, accepted_at: Instant) -> Stage {
    let account = Arc::clone(held.account());
    let port = Arc::clone(held.port.metrics());
    let opening = pin!(establish(client, app, Arc::clone(&account), Arc::clone(&service)));
    match unless_evicted(&account, opening).await.unwrap_or(Err(Source::Client)) {
        Ok((Opened::Http1, pair, forwarded_for)) => {
            let unread = Source::Client;
            let (context, limits) = Context::new(service, held, (Protocol::Http1, unread), accepted_at);
            Stage::Http1(http1::Connection::new(pair, context, limits, forwarded_for))
        }
        Ok((Opened::Http2, pair, forwarded_for)) => {
            let unread = service.source_unread(pair.client.socket());
            let (context, limits) = Context::new(service, held, (Protocol::Http2, unread), accepted_at);
            Stage::Http2(Box::new(http2::Connection::new(pair, context, limits, forwarded_for)))
        }
        Ok((Opened::Tunnel(kind, guard), pair, _)) => {
            let source = match kind {
                // A client that connects and sends nothing is a probe.
                TunnelKind::Silent => Source::Probe,
                TunnelKind::Tls => service.source_unread(pair.client.socket()),
                TunnelKind::OpaquePort | TunnelKind::NotHttp | TunnelKind::AppFirst | TunnelKind::Upgraded => {
                    Source::Client
                }
            };
            service.opened(&port, Protocol::Tunnel, source, accepted_at);
            Stage::Tunnel(Box::new(tunnel::Connection::new((kind, source), pair, guard, service, held)))
        }
        Err(source) => {
            service.opened(&port, Protocol::Unknown, source, accepted_at);
            Stage::Ended
        }
    }
}

/// The client's protocol, both connections, and the client's address if it is added to each request.
type Established = (Opened, Pair, Option<ForwardedFor>);

/// Connects to the app, terminates the client's TLS if configured, and detects the client's protocol. Returns the
/// source of a connection that has already ended.
async fn establish(
    client: TcpStream,
    app: App,
    account: Arc<Account>,
    service: Arc<Service>,
) -> Result<Established, Source> {
    let Service { policy, shared, dialer, tls, .. } = &*service;
    let app_port = app.port();
    // The address is read before anything else: it is no longer available after the client has reset its connection,
    // and no request may be forwarded without it.
    let address = || client.peer_addr().map_err(|_| Source::Client);
    let forwarded_for = if policy.forwards_addresses { Some(ForwardedFor::new(address()?.ip())) } else { None };
    let header = header(&client, app, policy.proxy_protocol);
    // The proxy connects to the app before the client has sent a byte. So a client of an app that does not listen is
    // reset, as without the proxy, and the app can send first.
    let pair = match reach(app, &header, dialer).await {
        Ok(app) => Pair::new(client, app).charged_to(&account),
        Err(error) => {
            tracing::debug!(app_port, %error, "the app does not accept the connection; the client connection is reset");
            let reason = Unreachable::of(&error);
            shared.metrics.of_port(app_port).unreachable(reason);
            shared.warnings.warn(Cause::Unreachable { app_port, reason });
            shared.hold.app_refused();
            let source = service.source_unread(&client);
            Wire::from(client).reset();
            return Err(source);
        }
    };
    if policy.opaque_ports.contains(&app_port) {
        return Ok((Opened::Tunnel(TunnelKind::OpaquePort, None), pair, None));
    }
    let mut opening = Opening::new(pair, forwarded_for.is_some());
    let opened = opening.run().await;
    let pair = opening.into_pair();
    match tls {
        Some(tls) if matches!(opened, Opened::Tunnel(TunnelKind::Tls, _)) && tls.is_ready() => {
            let inside = async {
                let another = || reach(app, &header, dialer);
                let pair = tls.terminate(pair, app_port, another, &account).await?;
                let mut opening = Opening::new(pair.charged_to(&account), forwarded_for.is_some());
                Some((opening.run().await, opening.into_pair(), forwarded_for))
            };
            Box::pin(inside).await.ok_or(Source::Client)
        }
        Some(_) | None => Ok((opened, pair, forwarded_for)),
    }
}

/// Returns the PROXY protocol header for the app; empty if it is off.
fn header(client: &TcpStream, app: App, protocol: ProxyProtocol) -> io::Result<Vec<u8>> {
    if protocol == ProxyProtocol::Off {
        return Ok(Vec::new());
    }
    let destination = match app {
        App::Fixed(_) => client.local_addr()?,
        App::OfPod { port, pod } => SocketAddr::new(pod, port),
    };
    Ok(Ends { client: client.peer_addr()?, destination }.header(protocol))
}

/// Returns a connection to the app on which the PROXY protocol header was sent.
async fn reach(app: App, header: &io::Result<Vec<u8>>, dialer: &Dialer) -> io::Result<TcpStream> {
    let header = header.as_ref().map_err(io::Error::kind)?;
    let mut stream = dialer.dial(app).await?;
    // It has at most a hundred bytes, which a new connection accepts at once.
    stream.write_all(header).await?;
    Ok(stream)
}

#[cfg(test)]
mod tests;

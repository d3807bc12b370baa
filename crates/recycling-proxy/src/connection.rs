//! One client connection, from accept to close.

mod close;
mod context;
mod http1;
mod http2;
pub(crate) mod metrics;
mod opening;
mod policy;
mod repeats;
mod tunnel;
pub(crate) mod warnings;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use settings::{ProxyProtocol, ProxySettings};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use self::context::Context;
use self::opening::{Opened, Opening};
use self::policy::Policy;
use self::warnings::Cause;
use crate::app::dial::{App, Dialer, Unreachable};
use crate::app::proxy_protocol::Ends;
use crate::detection::request_guard::RequestGuard;
use crate::memory::{Account, Place};
use crate::relay::forwarded_for::ForwardedFor;
use crate::tls::Tls;
use crate::transport::pair::Pair;
use crate::transport::wire::Wire;
use crate::tunnel::TunnelKind;

pub(crate) use self::context::Shared;

/// What every connection is served with.
#[derive(Debug)]
pub(crate) struct Service {
    policy: Policy,
    shared: Arc<Shared>,
    dialer: Arc<Dialer>,
    tls: Option<Tls>,
}

impl Service {
    pub(crate) fn new(settings: &ProxySettings, shared: Shared, dialer: Arc<Dialer>, tls: Option<Tls>) -> Self {
        Self { policy: Policy::of(settings), shared: Arc::new(shared), dialer, tls }
    }

    /// The observer of a connection to the app's port that was accepted at `born`, with limits of its own.
    fn context(&self, app_port: u16, account: &Arc<Account>, born: Instant) -> Context {
        let limits = self.policy.draw_limits(fastrand::u32(..));
        Context::new(Arc::clone(&self.shared), app_port, limits, Arc::clone(account), born)
    }

    async fn tunnel(&self, kind: TunnelKind, pair: Pair, guard: Option<RequestGuard>, account: &Account) {
        let max_age = self.policy.draw_tunnel_age(fastrand::u32(..));
        tunnel::serve(&self.shared, kind, pair, guard, max_age, account).await;
    }
}

/// Serves a client whose app is at `app`.
///
/// What is there for as long as the connection is kept small, and the rest in boxes: most connections are idle, and
/// there can be ten thousand of them.
pub(crate) fn serve(client: TcpStream, app: App, place: Place, service: Arc<Service>) -> impl Future<Output = ()> {
    let open = service.shared.connections.open();
    let born = Instant::now();
    let app_port = app.port();
    let account = place.account();
    let opening = Box::pin(establish(client, app, Arc::clone(&account), Arc::clone(&service)));
    async move {
        match unless_asked(&account, opening).await.flatten() {
            Some((Opened::Http1, pair, told)) => {
                let context = service.context(app_port, &account, born);
                let mut relay = http1::relay(pair, service.policy.head_limit, context, told);
                let ending = http1::run(&mut relay, &account).await;
                Box::pin(http1::finish(relay, ending, &account, &service)).await;
            }
            Some((Opened::Http2, pair, told)) => {
                let context = service.context(app_port, &account, born);
                Box::pin(http2::serve(pair, context, &account, told, &service.shared.metrics)).await;
            }
            Some((Opened::Tunnel(kind, guard), pair, _)) => {
                Box::pin(service.tunnel(kind, pair, guard, &account)).await;
            }
            None => {}
        }
        drop((open, place));
    }
}

/// Serves until the connection is asked to leave, and returns `None` then.
async fn unless_asked<T>(account: &Account, serving: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        served = serving => Some(served),
        () = account.asked_to_leave() => None,
    }
}

/// What the client speaks, both ends, and what the app is told of the client in each request.
type Established = (Opened, Pair, Option<ForwardedFor>);

/// Connects to the app, ends the client's TLS where that is asked for, and learns what the client speaks; `None` where the
/// connection has already ended.
async fn establish(client: TcpStream, app: App, account: Arc<Account>, service: Arc<Service>) -> Option<Established> {
    let Service { policy, shared, dialer, tls } = &*service;
    let app_port = app.port();
    // Before anything is read: of a client that has reset its connection the kernel no longer knows the address, and no
    // request may pass without it.
    let told = if policy.forwards_addresses { Some(ForwardedFor::new(client.peer_addr().ok()?.ip())) } else { None };
    let introduction = introduction(&client, app, policy.proxy_protocol);
    // Dialled before a byte has come: a dead app is a reset, as it would be without us, and an app can speak first.
    let pair = match reach(app, &introduction, dialer).await {
        Ok(app) => Pair::new(client, app).charged_to(&account),
        Err(error) => {
            tracing::debug!(app_port, %error, "the app does not accept the connection; the client's is reset");
            let reason = Unreachable::of(&error);
            shared.metrics.unreachable(reason);
            shared.warnings.warn(Cause::Unreachable { app_port, reason });
            shared.hold.app_refused();
            Wire::from(client).reset();
            return None;
        }
    };
    if policy.opaque_ports.contains(&app_port) {
        return Some((Opened::Tunnel(TunnelKind::OpaquePort, None), pair, None));
    }
    let mut opening = Opening::new(pair, told.is_some());
    let opened = opening.run().await;
    let pair = opening.into_pair();
    match tls {
        Some(tls) if matches!(opened, Opened::Tunnel(TunnelKind::Tls, _)) && tls.is_ready() => {
            let inside = async {
                let another = || reach(app, &introduction, dialer);
                let pair = tls.end(pair, app_port, another, &account).await?;
                let mut opening = Opening::new(pair.charged_to(&account), told.is_some());
                Some((opening.run().await, opening.into_pair(), told))
            };
            Box::pin(inside).await
        }
        Some(_) | None => Some((opened, pair, told)),
    }
}

/// What tells the app who the client is, where it wants to know.
fn introduction(client: &TcpStream, app: App, protocol: ProxyProtocol) -> io::Result<Vec<u8>> {
    if protocol == ProxyProtocol::Off {
        return Ok(Vec::new());
    }
    let meant = match app {
        App::Fixed(_) => client.local_addr()?,
        App::OfPod { port, pod } => SocketAddr::new(pod, port),
    };
    Ok(Ends { client: client.peer_addr()?, meant }.header(protocol))
}

/// A connection to the app that begins with the introduction.
async fn reach(app: App, introduction: &io::Result<Vec<u8>>, dialer: &Dialer) -> io::Result<TcpStream> {
    let introduction = introduction.as_ref().map_err(io::Error::kind)?;
    let mut stream = dialer.dial(app).await?;
    // A hundred bytes at most, which a new connection takes at once.
    stream.write_all(introduction).await?;
    Ok(stream)
}

#[cfg(test)]
mod tests;

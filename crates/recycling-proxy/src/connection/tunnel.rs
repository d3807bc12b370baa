//! A client connection whose bytes are not looked at.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::metrics::PortMetrics;
use super::warnings::Cause;
use super::{Held, Service, unless_asked};
use crate::detection::request_guard::RequestGuard;
use crate::relay::broken::{Broken, BrokenBy, ExchangePhase};
use crate::relay::source::Source;
use crate::transport::pair::Pair;
use crate::tunnel::{self, Tunnel, TunnelKind};

/// A client connection whose bytes are not looked at. One in which the app has said nothing can be evicted; behind
/// that, an end may destroy something.
pub(super) struct Connection {
    tunnel: Tunnel,
    kind: TunnelKind,
    service: Arc<Service>,
    held: Held,
}

/// What a tunnel comes to.
pub(super) enum Ending {
    /// By itself.
    Own(tunnel::Ending),
    /// It was closed to free memory.
    Evicted,
}

impl Connection {
    /// Counts the tunnel, and begins it.
    pub(super) fn new(
        (kind, source): (TunnelKind, Source),
        pair: Pair,
        guard: Option<RequestGuard>,
        service: Arc<Service>,
        held: Held,
    ) -> Self {
        let port = held.port.metrics();
        port.tunnel_opened(kind, source);
        if (kind, source) == (TunnelKind::Tls, Source::Client) {
            service.shared.warnings.warn(Cause::TlsTunnel { app_port: port.number() });
        }
        let max_age = service.policy.draw_tunnel_age(fastrand::u32(..));
        let tunnel = Tunnel::new(pair, guard, max_age);
        if tunnel.has_answer() {
            held.account().is_useful();
        }
        Self { tunnel, kind, service, held }
    }

    /// Ready once both sides have ended, or the connection is evicted.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let Self { tunnel, service, held, .. } = self;
        let account = held.account();
        let answered = || {
            account.is_useful();
            service.shared.hold.app_answered();
        };
        loop {
            if let Poll::Ready(ending) = tunnel.poll(answered, cx) {
                return Poll::Ready(Ending::Own(ending));
            }
            ready!(account.poll_asked_to_leave(cx));
            if account.is_new() {
                return Poll::Ready(Ending::Evicted);
            }
            account.stays();
        }
    }

    /// Ends both sides as the tunnel has found they should be.
    pub(super) async fn finish(self, ending: Ending) {
        let Self { tunnel, kind, held, .. } = self;
        let (port, account) = (held.port.metrics(), held.account());
        let Ending::Own(ending) = ending else { return tell_eviction(kind, port) };
        let mut ended = pin!(tunnel.end(ending));
        let (end, broken_by) = loop {
            if let Some(ended) = unless_asked(account, ended.as_mut()).await {
                break ended;
            }
            if account.is_new() {
                return tell_eviction(kind, port);
            }
            account.stays();
        };
        tracing::debug!(
            app_port = port.number(),
            kind = kind.label(),
            reason = end.label(),
            side = broken_by.map(BrokenBy::label),
            "a tunnel has ended"
        );
        if let Some(by) = broken_by {
            port.broken(Broken::ended(by, ExchangePhase::Tunnel));
        }
        port.tunnel_ended(end);
    }
}

fn tell_eviction(kind: TunnelKind, port: &PortMetrics) {
    tracing::debug!(kind = kind.label(), "a tunnel in which the app has said nothing was closed to free memory");
    port.broken(Broken::ended(BrokenBy::Proxy, ExchangePhase::Tunnel));
}

//! A client connection whose bytes are not parsed.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use super::eviction::Evictable;
use super::warnings::Cause;
use super::{Held, Service};
use crate::detection::request_guard::RequestGuard;
use crate::memory::Account;
use crate::relay::broken::{Broken, BrokenBy, ExchangePhase};
use crate::relay::source::Source;
use crate::transport::pair::Pair;
use crate::tunnel::{self, Tunnel, TunnelEnd, TunnelKind};

/// A client connection whose bytes are not parsed. It can be evicted until the app has sent bytes. After that, its end
/// could destroy data.
pub(super) struct Connection {
    tunnel: Tunnel,
    kind: TunnelKind,
    service: Arc<Service>,
    held: Held,
}

/// How a tunnel ends.
pub(super) enum Ending {
    /// By itself.
    Own(tunnel::Ending),
    /// It is evicted.
    Evicted,
}

impl Connection {
    /// Begins a tunnel, and counts it.
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
            held.account().record_useful();
        }
        Self { tunnel, kind, service, held }
    }

    /// Closes both sides in the way that the tunnel has decided.
    pub(super) async fn finish(self, ending: Ending) {
        let Self { tunnel, kind, held, .. } = self;
        let (port, account) = (held.port.metrics(), held.account());
        let closed = match ending {
            Ending::Own(ending) => {
                let mut closing = Closing { closed: pin!(tunnel.end(ending)), account };
                poll_fn(|cx| closing.poll(cx)).await
            }
            Ending::Evicted => None,
        };
        let (end, broken_by) = closed.unwrap_or((TunnelEnd::Evicted, Some(BrokenBy::Proxy)));
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

impl Evictable for Connection {
    type Ending = Ending;

    fn account(&self) -> &Account {
        self.held.account()
    }

    fn poll_served(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let Self { tunnel, service, held, .. } = self;
        let answered = || {
            held.account().record_useful();
            service.shared.hold.app_answered();
        };
        tunnel.poll(answered, cx).map(Ending::Own)
    }

    fn ending_if_evicted(&self) -> Option<Ending> {
        (!self.account().is_useful()).then_some(Ending::Evicted)
    }
}

/// A tunnel whose connections are being closed.
struct Closing<'a, F> {
    closed: Pin<&'a mut F>,
    account: &'a Account,
}

impl<F: Future> Evictable for Closing<'_, F> {
    /// `None` if it was evicted.
    type Ending = Option<F::Output>;

    fn account(&self) -> &Account {
        self.account
    }

    fn poll_served(&mut self, cx: &mut Context<'_>) -> Poll<Self::Ending> {
        self.closed.as_mut().poll(cx).map(Some)
    }

    fn ending_if_evicted(&self) -> Option<Self::Ending> {
        (!self.account.is_useful()).then_some(None)
    }
}

#[cfg(test)]
mod tests;

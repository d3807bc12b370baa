//! A client connection whose bytes are not looked at.

use std::pin::pin;
use std::time::Duration;

use super::metrics::PortMetrics;
use super::{Shared, unless_asked};
use crate::detection::request_guard::RequestGuard;
use crate::memory::Account;
use crate::relay::broken::{Broken, BrokenBy, ExchangePhase};
use crate::transport::pair::Pair;
use crate::tunnel::{Tunnel, TunnelKind};

/// Tunnels until both sides have ended. One in which the app has said nothing can be evicted; behind that, an end may
/// destroy something.
pub(super) async fn serve(
    shared: &Shared,
    kind: TunnelKind,
    port: &PortMetrics,
    pair: Pair,
    guard: Option<RequestGuard>,
    max_age: Option<Duration>,
    account: &Account,
) {
    if !pair.from_app.is_empty() {
        account.is_useful();
    }
    let answered = || {
        account.is_useful();
        shared.hold.app_answered();
    };
    let mut tunnel = pin!(Tunnel::new(pair, guard).run(max_age, answered));
    let (end, broken_by) = loop {
        if let Some(end) = unless_asked(account, &mut tunnel).await {
            break end;
        }
        if account.is_new() {
            tracing::debug!(
                kind = kind.label(),
                "a tunnel in which the app has said nothing was closed to free memory"
            );
            port.broken(Broken::ended(BrokenBy::Proxy, ExchangePhase::Tunnel));
            return;
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

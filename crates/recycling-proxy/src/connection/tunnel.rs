//! A client connection whose bytes are not looked at.

use std::pin::pin;

use super::unless_asked;
use crate::memory::Account;
use crate::pair::Pair;
use crate::proxy::Proxy;
use crate::sentry::Sentry;
use crate::tunnel::{Tunnel, TunnelKind};

/// Tunnels until both sides have ended. One in which the app has said nothing makes room for others; behind that, an end may
/// destroy something.
pub(super) async fn serve(proxy: &Proxy, kind: TunnelKind, pair: Pair, sentry: Option<Sentry>, account: &Account) {
    proxy.tunnels.opened(kind);
    if !pair.from_app.is_empty() {
        account.is_useful();
    }
    let answered = || {
        account.is_useful();
        proxy.drain.app_answered();
    };
    let mut tunnel = pin!(Tunnel::new(pair, sentry).run(proxy.draw_tunnel_age(fastrand::u32(..)), answered));
    let end = loop {
        if let Some(end) = unless_asked(account, &mut tunnel).await {
            break end;
        }
        if account.is_new() {
            tracing::debug!(kind = kind.label(), "a tunnel in which the app has said nothing has made room");
            return;
        }
        account.stays();
    };
    tracing::debug!(kind = kind.label(), end = end.label(), "a tunnel has ended");
    proxy.tunnels.ended(end);
}

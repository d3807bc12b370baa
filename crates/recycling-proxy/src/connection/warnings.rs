//! Warnings about traffic: each cause is logged at once, and then once a minute with its count.
//!
//! A fault of the app, or an app that does not listen, can affect every request, so the lines are rate-limited.
//! `evenkeel_proxy_faults_total` and `evenkeel_proxy_app_unreachable_total` have the exact numbers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::repeats::Repeats;
use crate::app::dial::Unreachable;
use crate::relay::broken::{BrokenBy, ExchangePhase};
use crate::relay::side::Side;

/// How often counts are checked that are due to be logged.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// The cause of a warning, with the port of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Cause {
    /// A message of `side` was not forwarded; `reason` is a label of `evenkeel_proxy_faults_total`.
    NotForwarded { app_port: u16, side: Side, reason: &'static str },
    /// The app did not accept a connection.
    Unreachable { app_port: u16, reason: Unreachable },
    /// A client uses TLS that the proxy cannot terminate.
    TlsTunnel { app_port: u16 },
    /// The app or the proxy ended an exchange early.
    EndedEarly { app_port: u16, side: BrokenBy, phase: ExchangePhase },
}

impl Cause {
    fn log(self, count: u64) {
        match self {
            Self::NotForwarded { app_port, side: Side::App, reason } => tracing::warn!(
                app_port,
                side = Side::App.label(),
                reason,
                count,
                "the app's response is not forwarded, and its client gets 502 or a reset: repair the app's HTTP, or name the \
                 port in evenkeel.dev/opaque-ports"
            ),
            Self::NotForwarded { app_port, side: Side::Client, reason } => tracing::warn!(
                app_port,
                side = Side::Client.label(),
                reason,
                count,
                "a client's message is refused: repair the client's HTTP, or name the port in evenkeel.dev/opaque-ports"
            ),
            Self::Unreachable { app_port, reason } => tracing::warn!(
                app_port,
                side = Side::App.label(),
                reason = reason.label(),
                count,
                "the app does not accept connections, and its clients are reset: let the app listen on this port, or correct \
                 the container port"
            ),
            Self::TlsTunnel { app_port } => tracing::warn!(
                app_port,
                count,
                "clients speak TLS that the proxy cannot terminate, so their requests are not counted and their connections \
                 never retired: give it the certificate by evenkeel.dev/tls-secret or, if this is meant, name the port in \
                 evenkeel.dev/opaque-ports"
            ),
            Self::EndedEarly { app_port, side: BrokenBy::Proxy, phase } => tracing::warn!(
                app_port,
                side = BrokenBy::Proxy.label(),
                phase = phase.label(),
                count,
                "the proxy ends exchanges early: it lacks memory or slots, or streams of a retired HTTP/2 connection exceed its \
                 deadline"
            ),
            Self::EndedEarly { app_port, side, phase } => tracing::warn!(
                app_port,
                side = side.label(),
                phase = phase.label(),
                count,
                "the app ends exchanges early: it closes or resets its connection, or a stream, before its response is complete; \
                 the app's own log should say why"
            ),
        }
    }
}

/// The warnings that were logged lately.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    repeats: Mutex<Repeats<Cause>>,
}

impl Warnings {
    /// Logs the first occurrence of a cause, and counts those that follow.
    pub(super) fn warn(&self, cause: Cause) {
        let is_first = self.repeats.lock().unwrap_or_else(PoisonError::into_inner).count(cause, Instant::now());
        if is_first {
            cause.log(1);
        }
    }

    /// Warns of an exchange that the app or the proxy ended early. Clients may end exchanges at any time.
    pub(super) fn warn_of_broken(&self, app_port: u16, side: BrokenBy, phase: ExchangePhase) {
        match side {
            BrokenBy::Client => {}
            BrokenBy::App | BrokenBy::Proxy => self.warn(Cause::EndedEarly { app_port, side, phase }),
        }
    }

    /// Logs counts that are due. Never returns.
    pub(crate) async fn log_counts(&self) {
        loop {
            sleep(CHECK_EVERY).await;
            let due = self.repeats.lock().unwrap_or_else(PoisonError::into_inner).due(Instant::now());
            for (cause, count) in due {
                cause.log(count);
            }
        }
    }
}

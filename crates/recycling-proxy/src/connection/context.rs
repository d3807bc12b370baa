//! What a connection that speaks HTTP has to do with the rest of the process.

use std::sync::Arc;
use std::time::Duration;

use retirement::{Limits, Moment, RetireReason};
use tokio::time::Instant;

use super::At;
use super::metrics::{Metrics, PortMetrics};
use super::warnings::{Cause, Warnings};
use crate::app::hold::Hold;
use crate::memory::Account;
use crate::relay::broken::Broken;
use crate::relay::observer::Observer;
use crate::relay::side::Side;
use crate::relay::source::Source;
use crate::retire::balance::Balance;
use crate::retire::connections::{Connections, Retirable};
use crate::retire::drain::Drain;

/// What the connections of the process share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) connections: Arc<Connections>,
    pub(crate) drain: Arc<Drain>,
    pub(crate) hold: Arc<Hold>,
    pub(crate) metrics: Metrics,
    pub(crate) warnings: Arc<Warnings>,
    /// Where it is there, connections have no limit of requests while it is in force.
    pub(crate) instead_of_limit: Option<Arc<Balance>>,
}

/// The observer of one connection.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) limits: Limits,
    shared: Arc<Shared>,
    at: At,
    born: Instant,
    retirable: Retirable,
    account: Arc<Account>,
}

impl Context {
    /// For a connection that was accepted at `born`. It can be marked from now on.
    pub(super) fn new(shared: Arc<Shared>, at: At, limits: Limits, account: Arc<Account>, born: Instant) -> Self {
        let retirable = shared.connections.retirable(born);
        Self { limits, shared, at, born, retirable, account }
    }

    /// The drain of the process.
    pub(super) fn drain(&self) -> &Arc<Drain> {
        &self.shared.drain
    }

    /// Returns the number of requests that do not count towards the limit. When balancing ceases to be in force, every
    /// connection has its whole limit before it: they must not all be retired at once.
    fn uncounted(&self) -> u32 {
        match &self.shared.instead_of_limit {
            Some(balance) if balance.is_in_force() => {
                self.retirable.forgive();
                u32::MAX
            }
            Some(_) => self.retirable.uncounted(),
            None => 0,
        }
    }

    /// The connection carries no more requests; it had this many, the last of this source where it was read. Nothing is left to
    /// retire. Returns where it was counted.
    pub(super) fn end(self, requests: u32, source: Option<Source>) -> Arc<PortMetrics> {
        if requests == 0 {
            self.at.port.opened(self.at.protocol, Source::Client);
        }
        self.shared.metrics.ended(requests, self.source(requests, source));
        self.at.port
    }

    /// Returns whose the request with this number is. One that stays after its first request is no probe.
    fn source(&self, number: u32, read: Option<Source>) -> Source {
        read.unwrap_or(if number == 1 { self.at.unread } else { Source::Client })
    }
}

impl Observer for Context {
    fn app_answered(&self) {
        self.shared.hold.app_answered();
    }

    fn moment(&self) -> Moment {
        // The clock is asked only where an age limit makes it matter.
        let age = if self.limits.watch_age() { self.born.elapsed() } else { Duration::ZERO };
        Moment {
            age,
            draining: self.shared.drain.is_announcing(),
            marked: self.retirable.is_marked(),
            uncounted: self.uncounted(),
        }
    }

    fn request_started(&self, number: u32, source: Option<Source>) {
        self.account.is_useful();
        self.retirable.request();
        let source = self.source(number, source);
        self.at.port.request(self.at.protocol, source);
        if number == 1 {
            self.at.port.opened(self.at.protocol, source);
        }
    }

    fn holds_streams(&self, open: usize) -> bool {
        self.account.holds_streams(open)
    }

    fn retired(&self, reason: RetireReason) {
        self.retirable.leaves();
        self.at.port.retired(reason, self.at.protocol);
    }

    fn faulted(&self, side: Side, reason: &'static str) {
        let app_port = self.at.port.number();
        tracing::debug!(app_port, side = side.label(), reason, "a message is not forwarded");
        self.at.port.fault(side, reason);
        self.shared.warnings.warn(Cause::NotForwarded { app_port, side, reason });
    }

    fn broken(&self, broken: Broken, retired: bool) {
        let Broken { by, phase, refused } = broken;
        let app_port = self.at.port.number();
        tracing::debug!(
            app_port,
            side = by.label(),
            phase = phase.label(),
            retired,
            refused,
            "an exchange was broken off"
        );
        self.at.port.broken(broken);
        if retired {
            self.shared.metrics.retired_and_broken(by);
        }
        if !refused {
            self.shared.warnings.warn_of_broken(app_port, by, phase);
        }
    }

    fn client_timed_out(&self) {
        self.shared.metrics.client_timeout();
    }
}

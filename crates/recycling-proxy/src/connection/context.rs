//! What a connection that speaks HTTP has to do with the rest of the process.

use std::sync::Arc;
use std::time::Duration;

use retirement::{Limits, Moment, RetireReason};
use tokio::time::Instant;

use super::metrics::{Metrics, PortMetrics};
use super::protocol::Protocol;
use super::warnings::{Cause, Warnings};
use super::{Held, Service};
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

/// The observer of one connection, and what this holds until its end.
#[derive(Debug)]
pub(super) struct Context {
    service: Arc<Service>,
    held: Held,
    protocol: Protocol,
    /// Whose the first request is where its fields are not read.
    unread: Source,
    /// Whether its age matters: the clock is asked only then.
    watches_age: bool,
    retirable: Retirable,
}

impl Context {
    /// For a connection that was accepted at `born`, with limits of its own. It can be marked from now on.
    pub(super) fn new(
        service: Arc<Service>,
        held: Held,
        (protocol, unread): (Protocol, Source),
        born: Instant,
    ) -> (Self, Limits) {
        let limits = service.policy.draw_limits(fastrand::u32(..));
        let retirable = service.shared.connections.retirable(born);
        (Self { service, held, protocol, unread, watches_age: limits.has_age(), retirable }, limits)
    }

    /// What every connection is served with.
    pub(super) const fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// What the connection has of the memory.
    pub(super) const fn account(&self) -> &Arc<Account> {
        self.held.account()
    }

    fn port(&self) -> &PortMetrics {
        self.held.port.metrics()
    }

    /// Returns the number of requests that do not count towards the limit. When balancing ceases to be in force, every
    /// connection has its whole limit before it: they must not all be retired at once.
    fn uncounted(&self) -> u32 {
        match &self.service.shared.instead_of_limit {
            Some(balance) if balance.is_in_force() => {
                self.retirable.forgive();
                u32::MAX
            }
            Some(_) => self.retirable.uncounted(),
            None => 0,
        }
    }

    /// The connection carries no more requests; it had this many, the last of this source where it was read. Nothing is left to
    /// retire. Returns what is left to end it with.
    pub(super) fn end(self, requests: u32, source: Option<Source>) -> (Arc<Service>, Held) {
        if requests == 0 {
            self.port().opened(self.protocol, Source::Client);
        }
        self.service.shared.metrics.ended(requests, self.source(requests, source));
        (self.service, self.held)
    }

    /// Returns whose the request with this number is. One that stays after its first request is no probe.
    fn source(&self, number: u32, read: Option<Source>) -> Source {
        read.unwrap_or(if number == 1 { self.unread } else { Source::Client })
    }
}

impl Observer for Context {
    fn app_answered(&self) {
        self.service.shared.hold.app_answered();
    }

    fn moment(&self) -> Moment {
        Moment {
            age: if self.watches_age { self.retirable.age() } else { Duration::ZERO },
            draining: self.service.shared.drain.is_announcing(),
            marked: self.retirable.is_marked(),
            uncounted: self.uncounted(),
        }
    }

    fn request_started(&self, number: u32, source: Option<Source>) {
        self.account().is_useful();
        self.retirable.request();
        let source = self.source(number, source);
        self.port().request(self.protocol, source);
        if number == 1 {
            self.port().opened(self.protocol, source);
        }
    }

    fn holds_streams(&self, open: usize) -> bool {
        self.account().holds_streams(open)
    }

    fn retired(&self, reason: RetireReason) {
        self.retirable.leaves();
        self.port().retired(reason, self.protocol);
    }

    fn faulted(&self, side: Side, reason: &'static str) {
        let app_port = self.port().number();
        tracing::debug!(app_port, side = side.label(), reason, "a message is not forwarded");
        self.port().fault(side, reason);
        self.service.shared.warnings.warn(Cause::NotForwarded { app_port, side, reason });
    }

    fn broken(&self, broken: Broken, retired: bool) {
        let Broken { by, phase, refused } = broken;
        let app_port = self.port().number();
        tracing::debug!(
            app_port,
            side = by.label(),
            phase = phase.label(),
            retired,
            refused,
            "an exchange was broken off"
        );
        self.port().broken(broken);
        if retired {
            self.service.shared.metrics.retired_and_broken(by);
        }
        if !refused {
            self.service.shared.warnings.warn_of_broken(app_port, by, phase);
        }
    }

    fn client_timed_out(&self) {
        self.service.shared.metrics.client_timeout();
    }
}

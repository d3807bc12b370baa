//! The interface between an HTTP connection and the rest of the process.

use std::sync::Arc;
use std::time::Duration;

use retirement::{ConnectionState, Limits, RetireReason};
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

/// The state that all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) connections: Arc<Connections>,
    pub(crate) drain: Arc<Drain>,
    pub(crate) hold: Arc<Hold>,
    pub(crate) metrics: Metrics,
    pub(crate) warnings: Arc<Warnings>,
    /// Balancing that suspends the limit of requests while it is in force; `None` if the limit always applies.
    pub(crate) instead_of_limit: Option<Arc<Balance>>,
}

/// The observer of one connection, with the resources that it holds until its end.
#[derive(Debug)]
pub(super) struct Context {
    service: Arc<Service>,
    held: Held,
    protocol: Protocol,
    /// The source of the first request if its fields are not read.
    unread: Source,
    /// Whether it has a limit of age. Without one the clock is not read.
    watches_age: bool,
    retirable: Retirable,
}

impl Context {
    /// Returns the context of a connection that was accepted at `accepted_at`. It can be marked from now on.
    pub(super) fn new(
        service: Arc<Service>,
        held: Held,
        (protocol, unread): (Protocol, Source),
        accepted_at: Instant,
    ) -> (Self, Limits) {
        let limits = service.policy.draw_limits(fastrand::u32(..));
        let retirable = service.shared.connections.retirable(accepted_at);
        (Self { service, held, protocol, unread, watches_age: limits.has_age(), retirable }, limits)
    }

    /// Returns the shared service.
    pub(super) const fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Returns the memory account of the connection.
    pub(super) const fn account(&self) -> &Arc<Account> {
        self.held.account()
    }

    fn port(&self) -> &PortMetrics {
        self.held.port.metrics()
    }

    /// Returns the number of requests that do not count towards the limit. When balancing ceases to be in force,
    /// counting starts at zero for every connection, so that they are not all retired at once.
    fn uncounted(&self) -> u32 {
        match &self.service.shared.instead_of_limit {
            Some(balance) if balance.is_in_force() => {
                self.retirable.reset_limit();
                u32::MAX
            }
            Some(_) => self.retirable.uncounted(),
            None => 0,
        }
    }

    /// Records the end of HTTP on the connection after this number of requests. `source` is that of the last, if it was
    /// read. Returns the parts that are needed to close the connection.
    pub(super) fn end(self, requests: u32, source: Option<Source>) -> (Arc<Service>, Held) {
        if requests == 0 {
            self.opened(Source::Client);
        }
        self.service.shared.metrics.ended(requests, self.source(requests, source));
        (self.service, self.held)
    }

    fn opened(&self, source: Source) {
        self.service.opened(self.port(), self.protocol, source, self.retirable.accepted_at());
    }

    /// Returns the source of the request with this number. A connection with more than one request is not a probe.
    fn source(&self, number: u32, read: Option<Source>) -> Source {
        read.unwrap_or(if number == 1 { self.unread } else { Source::Client })
    }
}

impl Observer for Context {
    fn app_answered(&self) {
        self.service.shared.hold.app_answered();
    }

    fn state(&self) -> ConnectionState {
        ConnectionState {
            age: if self.watches_age { self.retirable.age() } else { Duration::ZERO },
            draining: self.service.shared.drain.is_announcing(),
            marked: self.retirable.is_marked(),
            uncounted: self.uncounted(),
        }
    }

    fn request_started(&self, number: u32, source: Option<Source>) {
        self.account().record_useful();
        self.retirable.request();
        let source = self.source(number, source);
        self.port().request(self.protocol, source);
        if number == 1 {
            self.opened(source);
        }
    }

    fn charge_streams(&self, open: usize) -> bool {
        self.account().charge_streams(open)
    }

    fn retired(&self, reason: RetireReason) {
        self.retirable.announced();
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

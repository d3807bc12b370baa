//! What a relay asks and tells the rest of the process.

pub(crate) mod metrics;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::connections::Retirable;
use crate::memory::Account;
use crate::proxy::Proxy;
use crate::side::Side;
use retirement::{Limits, Moment, RetireReason};

/// What a relay asks and tells the rest of the process.
pub(crate) trait Observer {
    /// The moment of a decision.
    fn moment(&self) -> Moment;
    /// The app has said something that it owes to its clients: a part of a response.
    fn app_answered(&self);
    /// Another request has begun.
    fn request_started(&self);
    /// So many streams are open; `false` where there is no memory for them.
    fn holds_streams(&self, open: usize) -> bool;
    /// The end of the connection was announced.
    fn retired(&self, reason: RetireReason);
    /// A message of `side` was not forwarded; `fault` is the label of what is wrong with it.
    fn faulted(&self, side: Side, fault: &'static str);
    /// The kernel has given the client up: it no longer answered retransmissions, window probes or keepalive probes.
    fn client_timed_out(&self);

    /// The client's connection has failed.
    fn client_failed(&self, error: &io::Error) {
        if is_timeout(error) {
            self.client_timed_out();
        }
    }
}

/// The observer of one connection.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) limits: Limits,
    born: Instant,
    retirable: Retirable,
    account: Arc<Account>,
}

impl Watch {
    /// For a connection that was accepted at `born`; its limits are drawn here, and it can be marked from now on.
    pub(crate) fn new(proxy: Arc<Proxy>, account: Arc<Account>, born: Instant) -> Self {
        let retirable = proxy.connections.retirable();
        Self { limits: proxy.draw_limits(fastrand::u32(..)), proxy, born, retirable, account }
    }

    /// The connection carries no more requests; it had this many. Nothing is left to retire.
    pub(crate) fn end(self, requests: u32) {
        self.proxy.exchanges.ended(requests);
    }
}

impl Observer for Watch {
    fn app_answered(&self) {
        self.proxy.drain.app_answered();
    }

    fn moment(&self) -> Moment {
        // The clock is asked only where an age limit makes it matter.
        let age = if self.limits.watch_age() { self.born.elapsed() } else { Duration::ZERO };
        Moment { age, draining: self.proxy.drain.is_announcing(), marked: self.retirable.is_marked() }
    }

    fn request_started(&self) {
        self.account.is_useful();
        self.proxy.exchanges.request();
    }

    fn holds_streams(&self, open: usize) -> bool {
        self.account.holds_streams(open)
    }

    fn retired(&self, reason: RetireReason) {
        self.retirable.withdraw();
        self.proxy.exchanges.retired(reason);
    }

    fn faulted(&self, side: Side, fault: &'static str) {
        self.proxy.exchanges.fault(side, fault);
    }

    fn client_timed_out(&self) {
        self.proxy.exchanges.client_timeout();
    }
}

/// Whether the kernel has waited in vain for a peer. Where a router has told it why, it reports that instead (tcp(7)).
fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable)
}

#[cfg(test)]
pub(crate) mod notes;

//! The interface between a relay and the rest of the process.

use std::io;

use retirement::{Moment, RetireReason};

use crate::relay::broken::Broken;
use crate::relay::side::Side;
use crate::relay::source::Source;

/// The interface between a relay and the rest of the process.
pub(crate) trait Observer {
    /// Returns the moment of a decision.
    fn moment(&self) -> Moment;
    /// The app has sent a part of a response.
    fn app_answered(&self);
    /// The request with this number has begun, the first being 1. Whose it is, is known where its fields were read.
    fn request_started(&self, number: u32, source: Option<Source>);
    /// So many streams are open. Returns `false` if there is no memory for them.
    fn holds_streams(&self, open: usize) -> bool;
    /// The end of the connection was announced.
    fn retired(&self, reason: RetireReason);
    /// A message of `side` was not forwarded; `reason` is the label of what is wrong with it.
    fn faulted(&self, side: Side, reason: &'static str);
    /// An exchange was broken off, on a connection whose end was announced or not.
    fn broken(&self, broken: Broken, retired: bool);
    /// The kernel has given the client up: it no longer answered retransmissions, window probes or keepalive probes.
    fn client_timed_out(&self);

    /// The client's connection has failed.
    fn client_failed(&self, error: &io::Error) {
        if is_timeout(error) {
            self.client_timed_out();
        }
    }
}

/// Returns whether the kernel timed out on a peer. If a router has reported a reason, the kernel returns that instead (tcp(7)).
fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable)
}

#[cfg(test)]
pub(crate) mod notes;

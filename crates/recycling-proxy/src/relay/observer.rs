//! The interface between a relay and the rest of the process.

use std::io;

use retirement::{ConnectionState, RetireReason};

use crate::relay::broken::Broken;
use crate::relay::side::Side;
use crate::relay::source::Source;

/// The interface between a relay and the rest of the process.
pub(crate) trait Observer {
    /// Returns the state of the connection and its pod for a decision.
    fn state(&self) -> ConnectionState;
    /// Records that the app has sent a part of a response.
    fn app_answered(&self);
    /// Records that the request with this number has begun; the first is 1. `source` is `None` if its fields were not
    /// read.
    fn request_started(&self, number: u32, source: Option<Source>);
    /// Reserves memory for this number of open streams. Returns `false` if there is none.
    fn charge_streams(&self, open: usize) -> bool;
    /// Records that the end of the connection was announced.
    fn retired(&self, reason: RetireReason);
    /// Records that a message of `side` was not forwarded; `reason` is the label of its fault.
    fn faulted(&self, side: Side, reason: &'static str);
    /// Records that an exchange was broken off. `retired` is true if the end of its connection was announced.
    fn broken(&self, broken: Broken, retired: bool);
    /// Records that the kernel closed the client's connection, because retransmissions, window probes or keepalive
    /// probes were not answered.
    fn client_timed_out(&self);

    /// Records that the client's connection has failed.
    fn client_failed(&self, error: &io::Error) {
        if is_timeout(error) {
            self.client_timed_out();
        }
    }
}

/// Returns whether the kernel timed out on a peer. If a router has reported a reason, the kernel returns that instead
/// (tcp(7)).
fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable)
}

#[cfg(test)]
pub(crate) mod notes;

//! Keeps the kernel from forgetting a redirected connection.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// A third of the 60 seconds after which the kernel forgets a half-closed connection
/// (`nf_conntrack_tcp_timeout_close_wait`): two probes may be lost.
pub const KEEP_TRACKED_EVERY: Duration = Duration::from_secs(20);

/// Has the kernel probe the client of a redirected connection when there has been silence for `every`, in whole seconds.
///
/// It must be so, at the latest, when the client has half-closed its connection and is still owed an answer. The kernel
/// forgets such a connection after a minute of silence, and the answer would then leave from the proxy's port, from
/// which the client expects nothing: it would be lost. Without a proxy no such limit is felt (on the node, kube-proxy
/// raises it to an hour); the pod's own cannot be raised, because `/proc/sys` is read-only in a container. An answered
/// probe starts the minute anew. A client that leaves probes without an answer, nine by default, is gone, and its
/// connection ends.
///
/// # Errors
/// What `setsockopt(2)` reports.
pub fn keep_tracked(client: &impl AsFd, every: Duration) -> io::Result<()> {
    SockRef::from(client).set_tcp_keepalive(&TcpKeepalive::new().with_time(every).with_interval(every))
}

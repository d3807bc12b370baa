//! Makes the kernel keep tracking a redirected connection.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// A third of the 60 seconds after which the kernel forgets a half-closed connection
/// (`nf_conntrack_tcp_timeout_close_wait`): two probes may be lost.
pub const KEEP_TRACKED_EVERY: Duration = Duration::from_secs(20);

/// Makes the kernel send a keep-alive probe to the client of a redirected connection after `every`, in whole seconds,
/// without a packet.
///
/// Call it at the latest when the client has half-closed its connection and waits for a response. The kernel stops
/// tracking such a connection after a minute without a packet. The response would then leave from the proxy's port,
/// which the client does not know, and would be lost. Without a proxy there is no such limit (on the node, kube-proxy
/// raises it to an hour); the pod's cannot be raised, because `/proc/sys` is read-only in a container. An answered
/// probe restarts the minute. If a client answers no probe, nine by default, the kernel ends its connection.
///
/// # Errors
/// What `setsockopt(2)` reports.
pub fn keep_tracked(client: &impl AsFd, every: Duration) -> io::Result<()> {
    SockRef::from(client).set_tcp_keepalive(&TcpKeepalive::new().with_time(every).with_interval(every))
}

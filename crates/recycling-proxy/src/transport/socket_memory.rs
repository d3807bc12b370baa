//! What the kernel may hold of a connection's bytes.
//!
//! Left alone, it lets the buffers of a socket grow to megabytes for a peer that is fast, and those of a peer that then reads
//! no more stay full: control groups of version 2 count that as the container's memory. So it is told how much is enough.

use std::io;
use std::os::fd::AsFd;

use socket2::SockRef;

/// Bytes towards a client that are not on their way yet. What is on its way is not bounded, so that a long way costs no speed.
const MOST_UNSENT: u32 = 64 * 1024;
/// Bytes of the app that were not read yet; the kernel doubles this for its own. The way from the app is within the pod.
const MOST_UNREAD: usize = 64 * 1024;

/// For a listening socket: what it accepts has the same.
pub(crate) fn bound_of_clients(listener: &impl AsFd) -> io::Result<()> {
    SockRef::from(listener).set_tcp_notsent_lowat(MOST_UNSENT)
}

/// For a connection to the app. What goes to it is not bounded: its own buffers are the app's to size, and ours are empty once it
/// reads.
pub(crate) fn bound_of_app(stream: &impl AsFd) -> io::Result<()> {
    SockRef::from(stream).set_recv_buffer_size(MOST_UNREAD)
}

//! The bytes that were written to a socket and that the peer has not acknowledged.
//!
//! On a slow path megabytes wait in the kernel, and closing the socket can destroy them. `SIOCOUTQ` returns their
//! number, but has no safe binding. So this module uses the kernel's socket monitoring (`sock_diag(7)`), which costs
//! one system call more and needs no privilege for sockets of the process's network namespace. Each thread keeps its
//! netlink socket, because opening and closing one costs as much as a request.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::retry_on_intr;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};
use tokio::net::TcpStream;

// linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
const NLM_F_REQUEST: u16 = 0x1;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const IPPROTO_TCP: u8 = 6;
const ALL_STATES: u32 = u32::MAX;
const INET_DIAG_NOCOOKIE: [u8; 8] = [0xff; 8];
// net/tcp_states.h
const TCP_LISTEN: u8 = 10;

/// The offset of `nlmsg_seq` in `struct nlmsghdr`. A response repeats the number of its request.
const SEQUENCE_AT: usize = 8;
/// Bytes of `struct nlmsghdr`, `struct inet_diag_req_v2` and `struct inet_diag_sockid`.
const HEADER: usize = 16;
const REQUEST: u32 = 16 + 8 + 48;
/// The offset of `idiag_state` in `struct inet_diag_msg`.
const STATE_AT: usize = 1;
/// The offset of `idiag_wqueue` in it: after four octets, `struct inet_diag_sockid` and two numbers.
const SEND_QUEUE_AT: usize = 4 + 48 + 4 + 4;
/// The size of the receive buffer. A response about one socket is shorter if no attributes are requested.
const ANSWER: usize = 1024;

/// The send queue of a connected TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SendQueue {
    local: SocketAddr,
    peer: SocketAddr,
}

impl SendQueue {
    /// Returns the send queue of this socket; `None` if it is no longer connected.
    pub(crate) fn of(socket: &TcpStream) -> Option<Self> {
        Some(Self { local: socket.local_addr().ok()?, peer: socket.peer_addr().ok()? })
    }

    /// Returns the number of bytes that the peer's kernel has not acknowledged; a FIN counts as one. Returns `None` if
    /// the connection no longer exists, or if the kernel has no socket monitoring.
    pub(crate) fn unacknowledged(self) -> Option<u32> {
        self.ask().ok().flatten()
    }

    /// Returns whether there are bytes that the peer has not acknowledged.
    ///
    /// This does not last for ever if the peer is gone: the kernel ends a connection without acknowledgements after a
    /// quarter of an hour (`net.ipv4.tcp_retries2`), and reads fail from then on.
    pub(crate) fn has_unacknowledged(self) -> bool {
        self.unacknowledged().is_some_and(|bytes| bytes > 0)
    }

    fn ask(self) -> io::Result<Option<u32>> {
        KERNEL.with_borrow_mut(|kept| {
            // A socket on which a request has failed is dropped, and with it any late response.
            let of_kept = kept.take().and_then(|mut kernel| Some((kernel.ask(self).ok()?, kernel)));
            let (answer, kernel) = if let Some(answered) = of_kept {
                answered
            } else {
                let mut kernel = Kernel::open()?;
                (kernel.ask(self)?, kernel)
            };
            *kept = Some(kernel);
            Ok(answer)
        })
    }

    fn request(self, sequence: u32) -> Vec<u8> {
        // A dual-stack socket has IPv4-mapped addresses; the kernel finds its connection by the IPv4 addresses.
        let (family, scope) = match self.peer {
            SocketAddr::V4(_) => (AddressFamily::INET, 0),
            SocketAddr::V6(peer) => (AddressFamily::INET6, peer.scope_id()),
        };
        let family = u8::try_from(family.as_raw()).unwrap_or_default();
        let (port_of_the_kernel, no_attributes) = (0_u32, 0);
        [
            &REQUEST.to_ne_bytes()[..],
            &SOCK_DIAG_BY_FAMILY.to_ne_bytes(),
            &NLM_F_REQUEST.to_ne_bytes(),
            &sequence.to_ne_bytes(),
            &port_of_the_kernel.to_ne_bytes(),
            &[family, IPPROTO_TCP, no_attributes, 0],
            &ALL_STATES.to_ne_bytes(),
            &self.local.port().to_be_bytes(),
            &self.peer.port().to_be_bytes(),
            &octets(self.local.ip()),
            &octets(self.peer.ip()),
            &scope.to_ne_bytes(),
            &INET_DIAG_NOCOOKIE,
        ]
        .concat()
    }
}

thread_local! {
    static KERNEL: RefCell<Option<Kernel>> = const { RefCell::new(None) };
}

/// A netlink socket for socket monitoring.
#[derive(Debug)]
struct Kernel {
    socket: OwnedFd,
    /// The number of the last request.
    sequence: u32,
}

impl Kernel {
    fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::SOCK_DIAG))?;
        Ok(Self { socket, sequence: 0 })
    }

    fn ask(&mut self, about: SendQueue) -> io::Result<Option<u32>> {
        self.send(about)?;
        let mut answer = [0; ANSWER];
        let (received, _) = retry_on_intr(|| recv(&self.socket, &mut answer[..], RecvFlags::empty()))?;
        let answer = answer.get(..received).unwrap_or_default();
        // A response to an earlier request would describe another connection.
        let sequence = answer.get(SEQUENCE_AT..).and_then(|rest| rest.first_chunk());
        if sequence != Some(&self.sequence.to_ne_bytes()) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(send_queue(answer))
    }

    /// Sends a request. The response is in the socket when this returns, because the kernel handles requests
    /// synchronously.
    fn send(&mut self, about: SendQueue) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = about.request(self.sequence);
        retry_on_intr(|| send(&self.socket, &request, SendFlags::empty()))?;
        Ok(())
    }
}

/// Returns the address in network order, padded to sixteen octets.
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

/// Returns the send queue in a response; `None` if it is an error, or describes the listening socket because the
/// connection no longer exists.
fn send_queue(answer: &[u8]) -> Option<u32> {
    let kind = u16::from_ne_bytes(*answer.get(4..)?.first_chunk()?);
    let socket = answer.get(HEADER..)?;
    let queue = u32::from_ne_bytes(*socket.get(SEND_QUEUE_AT..)?.first_chunk()?);
    (kind == SOCK_DIAG_BY_FAMILY && *socket.get(STATE_AT)? != TCP_LISTEN).then_some(queue)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Two ends of a connection, and the socket that has accepted it.
    async fn connected(listening: &str, connecting: &str) -> (TcpStream, TcpStream, TcpListener) {
        let listener = TcpListener::bind(listening).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (far, near) = tokio::join!(TcpStream::connect((connecting, port)), listener.accept());
        (far.unwrap(), near.unwrap().0, listener)
    }

    async fn until_all_is_acknowledged(queue: SendQueue) {
        while queue.unacknowledged() != Some(0) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn unacknowledged_bytes_are_reported_in_every_address_family() {
        for (listening, connecting) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")] {
            let (mut far, mut near, _listener) = connected(listening, connecting).await;
            let queue = SendQueue::of(&near).unwrap();
            until_all_is_acknowledged(queue).await;
            let mut written = 0;
            while let Ok(count) = near.try_write(&[0; 8192]) {
                written += count;
            }
            assert!(queue.has_unacknowledged(), "{written} bytes fill the sockets of {connecting} on {listening}");
            near.shutdown().await.unwrap();
            let mut rest = Vec::new();
            far.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest.len(), written);
            until_all_is_acknowledged(queue).await;
        }
    }

    #[tokio::test]
    async fn a_closed_connection_has_no_unacknowledged_bytes() {
        let (far, near, listener) = connected("127.0.0.1:0", "127.0.0.1").await;
        let queue = SendQueue::of(&near).unwrap();
        far.set_zero_linger().unwrap();
        drop((far, near));
        assert_eq!(
            (queue.unacknowledged(), queue.has_unacknowledged()),
            (None, false),
            "though its port still listens"
        );
        drop(listener);
        assert_eq!(queue.unacknowledged(), None);
    }

    #[tokio::test]
    async fn a_thread_uses_one_socket_and_ignores_replies_to_other_queries() {
        let (_far, mut near, _listener) = connected("127.0.0.1:0", "127.0.0.1").await;
        let (_other_far, other, _other_listener) = connected("127.0.0.1:0", "127.0.0.1").await;
        let [queue, other] = [&near, &other].map(|socket| SendQueue::of(socket).unwrap());
        until_all_is_acknowledged(other).await;
        let socket = || KERNEL.with_borrow(|kernel| kernel.as_ref().map(|kernel| kernel.socket.as_raw_fd()));
        let kept = socket();
        assert!(kept.is_some());
        while near.try_write(&[0; 8192]).is_ok() {}
        assert!(queue.has_unacknowledged() && !other.has_unacknowledged());
        assert_eq!(socket(), kept);
        KERNEL.with_borrow_mut(|kernel| kernel.as_mut().unwrap().send(queue)).unwrap();
        assert!(!other.has_unacknowledged(), "the unread answer was about another connection");
        near.shutdown().await.unwrap();
    }

    #[test]
    fn a_truncated_reply_or_an_error_is_ignored() {
        let answer = [
            &88_u32.to_ne_bytes()[..],
            &SOCK_DIAG_BY_FAMILY.to_ne_bytes(),
            &[0; 10],
            &[0; SEND_QUEUE_AT],
            &7_u32.to_ne_bytes(),
            &[0; 8],
        ]
        .concat();
        assert_eq!(send_queue(&answer), Some(7));
        for cut in 0..HEADER + SEND_QUEUE_AT + 4 {
            assert_eq!(send_queue(&answer[..cut]), None, "cut at {cut}");
        }
        let error = [&answer[..4], &2_u16.to_ne_bytes(), &answer[6..]].concat();
        assert_eq!(send_queue(&error), None);
    }
}

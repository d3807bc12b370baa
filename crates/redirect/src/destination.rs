//! The original destination of a redirected connection.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use rustix::io::Errno;
use socket2::{SockAddr, SockRef};

/// The original destination of an accepted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Another address, from which the kernel redirected it here. An IPv4 address is never mapped into IPv6.
    Redirected(SocketAddr),
    /// The port that it was accepted on. The proxy must not connect to it: it would connect to itself.
    Direct,
}

/// Asks the kernel for the original destination of an accepted TCP connection.
///
/// Works on IPv4, IPv6 and dual-stack sockets, and only while the connection exists.
///
/// # Errors
/// What `getsockname(2)` and `getsockopt(2)` report; `InvalidInput` if the socket is neither IPv4 nor IPv6.
pub fn original_destination(stream: &impl AsFd) -> io::Result<Destination> {
    let socket = SockRef::from(stream);
    let local = canonical(&socket.local_addr()?)?;
    // On a dual-stack socket, the address determines the table, not the family of the socket.
    let original = if local.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    match original {
        Ok(address) => Ok(destination(canonical(&address)?, local)),
        Err(error) if is_untracked(&error) => Ok(Destination::Direct),
        Err(error) => Err(error),
    }
}

/// Returns the address; an IPv4 one in its own form, not mapped into IPv6.
fn canonical(address: &SockAddr) -> io::Result<SocketAddr> {
    let address = address.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(match address.ip().to_canonical() {
        ip if ip.is_ipv4() => SocketAddr::new(ip, address.port()),
        // A link-local address needs its scope.
        _ => address,
    })
}

/// Compares ports only: the proxy connects to the original port on loopback, where its own port is the proxy itself.
fn destination(original: SocketAddr, local: SocketAddr) -> Destination {
    if original.port() == local.port() { Destination::Direct } else { Destination::Redirected(original) }
}

/// Returns whether the kernel does not track the connection (`ENOENT`), or tracks none (`ENOPROTOOPT`). A redirect
/// needs connection tracking, so such a connection was not redirected.
fn is_untracked(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOPROTOOPT))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, SocketAddrV6, TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_original_destination_in_ipv4_is_not_shown_as_ipv6() {
        for (given, shown) in [
            ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[fd00::1]:80", "[fd00::1]:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(canonical(&address(given).into()).unwrap(), address(shown));
        }
        let link_local = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 80, 0, 7));
        assert_eq!(canonical(&link_local.into()).unwrap(), link_local);
    }

    #[test]
    fn a_destination_that_is_the_proxy_is_direct() {
        let local = address("10.0.0.1:15210");
        assert_eq!(destination(address("10.0.0.1:80"), local), Destination::Redirected(address("10.0.0.1:80")));
        assert_eq!(destination(local, local), Destination::Direct);
        assert_eq!(destination(address("10.9.9.9:15210"), local), Destination::Direct);
    }

    #[test]
    fn connections_that_were_not_redirected_are_direct() {
        // The kernel may track loopback connections here or not; the answer is the same.
        for (listen, dial) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]"), ("[::]:0", "127.0.0.1")] {
            let listener = TcpListener::bind(listen).unwrap();
            let port = listener.local_addr().unwrap().port();
            let client = TcpStream::connect(address(&format!("{dial}:{port}"))).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            assert_eq!(original_destination(&accepted).unwrap(), Destination::Direct, "{listen}");
            drop(client);
        }
    }

    #[test]
    fn sockets_other_than_tcp_are_refused() {
        let (unix, _peer) = UnixStream::pair().unwrap();
        assert_eq!(original_destination(&unix).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}

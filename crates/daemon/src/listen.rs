//! Listening sockets and reserved ports.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// The connections that the kernel completes before they are accepted; it lowers this to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Listens on `address`. `[::]` takes IPv4 too, and is 0.0.0.0 on a machine without IPv6.
///
/// # Errors
/// An address that is in use or is none of this machine.
///
/// # Panics
/// Panics outside of a tokio runtime.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    listen_as(address, Port::Own)
}

/// Listens on `address` as [`listen`] does, on a port that other processes of the same user may have as well
/// (`SO_REUSEPORT`): the kernel distributes connections to them.
///
/// # Errors
/// An address that somebody uses alone or is none of this machine.
///
/// # Panics
/// Panics outside of a tokio runtime.
pub fn listen_shared(address: SocketAddr) -> io::Result<TcpListener> {
    listen_as(address, Port::Shared)
}

/// A port that this process has bound and does not listen on: the kernel refuses clients, and gives the port to no
/// outbound connection. [`listen`] can bind it as well while this is held.
#[derive(Debug)]
pub struct Reservation {
    _socket: Socket,
}

/// Binds `address`, as [`listen`] does, without listening.
///
/// # Errors
/// An address that is in use or is none of this machine. An outbound connection with this local port also uses it, until
/// a minute after its end (`TIME_WAIT`).
pub fn reserve(address: SocketAddr) -> io::Result<Reservation> {
    bind(address, Port::Own).map(|socket| Reservation { _socket: socket })
}

/// Whether other processes may listen on a port as well.
#[derive(Clone, Copy)]
enum Port {
    Own,
    Shared,
}

fn listen_as(address: SocketAddr, port: Port) -> io::Result<TcpListener> {
    let socket = bind(address, port)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

fn bind(address: SocketAddr, port: Port) -> io::Result<Socket> {
    match bind_exactly(address, port) {
        Err(error)
            if address.ip() == Ipv6Addr::UNSPECIFIED
                && matches!(Errno::from_io_error(&error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)) =>
        {
            bind_exactly(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())), port)
        }
        bound => bound,
    }
}

fn bind_exactly(address: SocketAddr, port: Port) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A restarted program must not wait until the kernel has forgotten the connections of the one before it. It also
    // lets a reserved port be listened on. Sockets of others that do not set it are in the way all the same.
    socket.set_reuse_address(true)?;
    match port {
        Port::Own => {}
        Port::Shared => socket.set_reuse_port(true)?,
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn the_unspecified_ipv6_address_accepts_ipv4() {
        let listener = listen("[::]:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    }

    #[tokio::test]
    async fn a_port_is_shared_only_by_sockets_that_ask_for_it() {
        let first = listen_shared("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        listen_shared(address).unwrap();
        assert_eq!(listen(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error() {
        let first = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let second = listen(first.local_addr().unwrap());
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn a_reserved_port_refuses_clients_until_it_is_listened_on() {
        let address = {
            let found = listen("127.0.0.1:0".parse().unwrap()).unwrap();
            found.local_addr().unwrap()
        };
        let reserved = reserve(address).unwrap();
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let _listener = listen(address).unwrap();
        drop(reserved);
        TcpStream::connect(address).await.unwrap();
    }

    #[tokio::test]
    async fn a_port_that_is_listened_on_cannot_be_reserved() {
        let first = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_eq!(reserve(first.local_addr().unwrap()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}

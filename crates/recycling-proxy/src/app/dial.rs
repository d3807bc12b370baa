//! Finds the app of a connection and connects to it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use labels::labels;
use rustix::io::Errno;
use settings::AppAddress;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::transport::descriptors::{PAUSE, is_shortage};
use crate::transport::socket_memory::bound_of_app;

/// The connect timeout. With a full accept queue the kernel retries three times within it.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// The most attempts to connect while there is no descriptor: as many as there are pauses in the timeout.
const MOST_TRIES: u32 = 95;

labels!(
    /// Why no address of an app accepted a connection.
    pub(crate) Unreachable {
        /// Nothing listens there.
        Refused = "refused",
        /// It did not accept in time, because its accept queue is full.
        Timeout = "timeout",
        /// It accepted, and reset the connection before the header of the PROXY protocol was sent.
        Reset = "reset",
        /// The machine has no port left to connect from.
        NoPort = "no_port",
        /// The system has no descriptor or memory left for the proxy.
        NoResources = "no_resources",
        /// Any other failure; the log has it at level debug.
        Other = "other",
    }
);

impl Unreachable {
    pub(crate) fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::CONNREFUSED) => Self::Refused,
            Some(Errno::TIMEDOUT) => Self::Timeout,
            Some(Errno::CONNRESET | Errno::PIPE) => Self::Reset,
            Some(Errno::ADDRNOTAVAIL) => Self::NoPort,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Self::NoResources,
            // The proxy's own timeout has no error number.
            None if error.kind() == io::ErrorKind::TimedOut => Self::Timeout,
            Some(_) | None => Self::Other,
        }
    }
}

/// The address of a connection's app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum App {
    /// This address.
    Fixed(SocketAddr),
    /// A port of the pod; the app may listen on any of the pod's addresses.
    OfPod {
        /// The client's destination port.
        port: u16,
        /// The client's destination address.
        pod: IpAddr,
    },
}

impl App {
    /// Returns the app at `address` for a client whose destination address is `pod`.
    pub(crate) const fn of(address: AppAddress, pod: IpAddr) -> Self {
        match address {
            AppAddress::At(address) => Self::Fixed(address),
            AppAddress::OfPod(port) => Self::OfPod { port, pod },
        }
    }

    /// Returns the port on which the app listens.
    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::Fixed(address) => address.port(),
            Self::OfPod { port, .. } => port,
        }
    }
}

/// Connects to apps, and caches at which kind of address each port listens.
#[derive(Debug, Default)]
pub(crate) struct Dialer {
    found: Mutex<BTreeMap<u16, usize>>,
}

impl Dialer {
    pub(crate) async fn dial(&self, app: App) -> io::Result<TcpStream> {
        let (port, pod) = match app {
            App::Fixed(address) => return connect(address).await,
            App::OfPod { port, pod } => (port, pod),
        };
        let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST), pod];
        let remembered = self.remembered(port);
        let order = remembered.into_iter().chain((0..addresses.len()).filter(|n| Some(*n) != remembered));
        let mut refusal = io::Error::from(Errno::CONNREFUSED);
        for (place, address) in order.filter_map(|n| Some((n, *addresses.get(n)?))) {
            match connect(SocketAddr::new(address, port)).await {
                Ok(stream) => {
                    if remembered != Some(place) {
                        self.remember(port, place);
                    }
                    return Ok(stream);
                }
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn remembered(&self, port: u16) -> Option<usize> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).get(&port).copied()
    }

    fn remember(&self, port: u16, place: usize) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(port, place);
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT_TIME, connect_with_retries(address)).await??;
    stream.set_nodelay(true)?;
    bound_of_app(&stream)?;
    Ok(stream)
}

/// Connects, and retries while there is no descriptor, so that an accepted client is not rejected for lack of one.
async fn connect_with_retries(address: SocketAddr) -> io::Result<TcpStream> {
    for _ in 1..MOST_TRIES {
        match connect_from_any_address(address).await {
            Err(error) if is_shortage(&error) => sleep(PAUSE).await,
            done => return done,
        }
    }
    connect_from_any_address(address).await
}

/// Connects from the address that the system chooses, or from another one if that has no free port.
///
/// Closed connections keep their ports for a minute (`TIME_WAIT`). By default there are 28,232 ephemeral ports, and the
/// kernel reuses one after a second only between loopback addresses. So with an app that listens on the pod's address
/// alone, one source address is enough for 470 connections per second.
async fn connect_from_any_address(to: SocketAddr) -> io::Result<TcpStream> {
    match TcpStream::connect(to).await {
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.bind(SocketAddr::new(some_loopback_address(to.ip(), fastrand::u8(..)), 0))?;
            socket.connect(to).await
        }
        done => done,
    }
}

/// Returns a random loopback address for IPv4, and the only one for IPv6.
fn some_loopback_address(of_family: IpAddr, sample: u8) -> IpAddr {
    match of_family {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(127, 0, 0, sample.max(2))),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_app_is_found_at_either_loopback_address_and_remembered() {
        let pod = IpAddr::V4(Ipv4Addr::new(127, 9, 9, 9));
        for place in ["127.0.0.1:0", "[::1]:0", "127.9.9.9:0"] {
            let listener = TcpListener::bind(place).await.unwrap();
            let address = listener.local_addr().unwrap();
            let dialer = Dialer::default();
            for _ in 0..2 {
                let stream = dialer.dial(App::OfPod { port: address.port(), pod }).await.unwrap();
                assert_eq!(stream.peer_addr().unwrap(), address);
                assert!(dialer.remembered(address.port()).is_some());
            }
        }
    }

    #[test]
    fn connect_errors_are_classified() {
        for (error, kind) in [
            (io::Error::from(Errno::CONNREFUSED), Unreachable::Refused),
            (Errno::TIMEDOUT.into(), Unreachable::Timeout),
            (io::ErrorKind::TimedOut.into(), Unreachable::Timeout),
            (Errno::PIPE.into(), Unreachable::Reset),
            (Errno::ADDRNOTAVAIL.into(), Unreachable::NoPort),
            (Errno::MFILE.into(), Unreachable::NoResources),
            (Errno::HOSTUNREACH.into(), Unreachable::Other),
        ] {
            assert_eq!(Unreachable::of(&error), kind, "{error}");
        }
    }

    #[tokio::test]
    async fn an_app_that_changes_its_address_is_found_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = App::OfPod { port, pod: IpAddr::V4(Ipv4Addr::LOCALHOST) };
        let dialer = Dialer::default();
        dialer.dial(app).await.unwrap();
        drop(listener);
        assert_eq!(dialer.dial(app).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let _moved = TcpListener::bind(("::1", port)).await.unwrap();
        assert!(dialer.dial(app).await.unwrap().peer_addr().unwrap().is_ipv6());
    }
}

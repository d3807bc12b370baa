//! The ports of an app, by the sockets of its network namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};
use std::net::IpAddr;

use labels::labels;

use super::line::{Socket, SocketState};

/// The most ports to report in addition to those of the app.
const MOST_OTHERS: usize = 16;

labels!(
    /// At which address of the pod a port is listened on.
    pub(crate) ListenAddress {
        /// Nothing listens on the port
        None = "none",
        /// At every address
        Any = "any",
        /// At an IPv4 loopback address alone
        Loopback = "loopback",
        /// At the IPv6 loopback address alone
        LoopbackIpv6 = "loopback_ipv6",
        /// At an address of the pod that is no loopback address
        Pod = "pod",
    }
);

impl ListenAddress {
    fn of(ip: IpAddr) -> Self {
        match ip {
            ip if ip.is_unspecified() => Self::Any,
            IpAddr::V4(ip) if ip.is_loopback() => Self::Loopback,
            IpAddr::V6(ip) if ip.is_loopback() => Self::LoopbackIpv6,
            IpAddr::V4(_) | IpAddr::V6(_) => Self::Pod,
        }
    }

    /// Returns the address to which the proxy connects first, if there are two listeners on a port.
    const fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, it) | (it, Self::None) => it,
            (Self::Any, _) | (_, Self::Any) => Self::Any,
            (Self::Loopback, _) | (_, Self::Loopback) => Self::Loopback,
            (Self::LoopbackIpv6, _) | (_, Self::LoopbackIpv6) => Self::LoopbackIpv6,
            (Self::Pod, Self::Pod) => Self::Pod,
        }
    }
}

/// The state of a port of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AppPort {
    /// The address on which a process listens.
    pub(crate) address: ListenAddress,
    /// The number of open connections from other machines that bypass the proxy.
    pub(crate) bypassing: u64,
}

/// The ports of an app, by the sockets of its network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    ports: BTreeMap<u16, AppPort>,
    others: BTreeMap<u16, ListenAddress>,
}

impl Seen {
    /// Returns the state before the first table: no listener on `ports`.
    pub(crate) fn of(ports: &BTreeSet<u16>) -> Self {
        let unknown = AppPort { address: ListenAddress::None, bypassing: 0 };
        Self { ports: ports.iter().map(|port| (*port, unknown)).collect(), others: BTreeMap::new() }
    }

    /// Reads a table line by line: it has a line for each connection, of which there may be thousands. `own` are the
    /// proxy's ports.
    ///
    /// # Errors
    /// The table cannot be read.
    pub(crate) fn read(&mut self, mut table: impl BufRead, own: &BTreeSet<u16>) -> io::Result<()> {
        let mut line = String::new();
        while table.read_line(&mut line)? > 0 {
            if let Some(socket) = Socket::parse(&line) {
                self.take(socket, own);
            }
            line.clear();
        }
        Ok(())
    }

    fn take(&mut self, socket: Socket, own: &BTreeSet<u16>) {
        let (ip, port) = (socket.local.ip(), socket.local.port());
        match (socket.state, self.ports.get_mut(&port)) {
            (SocketState::Listen, Some(known)) => known.address = known.address.or(ListenAddress::of(ip)),
            // Metrics can be read from outside of the pod, and a listener on loopback may be private to it.
            (SocketState::Listen, None) if !own.contains(&port) && !ip.is_loopback() => {
                let has_room = self.others.len() < MOST_OTHERS;
                if has_room || self.others.contains_key(&port) {
                    let known = self.others.entry(port).or_insert(ListenAddress::None);
                    *known = known.or(ListenAddress::of(ip));
                }
            }
            // The proxy and other processes of the pod connect from a loopback address or from the pod's own.
            (SocketState::Established, Some(known)) if !is_of_pod(socket) => {
                known.bypassing = known.bypassing.saturating_add(1);
            }
            (SocketState::Listen | SocketState::Established | SocketState::Other, _) => {}
        }
    }

    /// Returns the ports of the app.
    pub(crate) fn ports(&self) -> impl Iterator<Item = (u16, AppPort)> {
        self.ports.iter().map(|(port, known)| (*port, *known))
    }

    /// Returns the other ports that have a listener while a port of the app has none: the app may listen there instead.
    pub(crate) fn others(&self) -> impl Iterator<Item = (u16, ListenAddress)> {
        let is_missed = self.ports.values().any(|known| known.address == ListenAddress::None);
        self.others.iter().filter(move |_| is_missed).map(|(port, address)| (*port, *address))
    }
}

/// Returns whether both ends of a connection are in the pod.
fn is_of_pod(socket: Socket) -> bool {
    socket.remote.ip().is_loopback() || socket.remote.ip() == socket.local.ip()
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::written;
    use super::*;

    const LISTEN: u8 = 0x0a;

    fn table(sockets: &[(&str, &str, u8)]) -> String {
        let lines = sockets
            .iter()
            .map(|(local, remote, state)| written(local.parse().unwrap(), remote.parse().unwrap(), *state) + "\n");
        std::iter::once("  sl  local_address rem_address   st\n".to_owned()).chain(lines).collect()
    }

    fn seen(sockets: &[(&str, &str, u8)]) -> Seen {
        let mut seen = Seen::of(&BTreeSet::from([8080, 9102]));
        seen.read(table(sockets).as_bytes(), &BTreeSet::from([15_210, 15_211])).unwrap();
        seen
    }

    fn address_of(sockets: &[(&str, &str, u8)]) -> ListenAddress {
        seen(sockets).ports().find(|(port, _)| *port == 8080).unwrap().1.address
    }

    #[test]
    fn the_listen_address_of_the_app_is_found() {
        let v4 = |ip| (ip, "0.0.0.0:0", LISTEN);
        let v6 = |ip| (ip, "[::]:0", LISTEN);
        assert_eq!(address_of(&[]), ListenAddress::None);
        assert_eq!(address_of(&[v4("0.0.0.0:8081")]), ListenAddress::None);
        assert_eq!(address_of(&[v4("0.0.0.0:8080")]), ListenAddress::Any);
        assert_eq!(address_of(&[v6("[::]:8080")]), ListenAddress::Any);
        assert_eq!(address_of(&[v4("127.0.0.1:8080")]), ListenAddress::Loopback);
        assert_eq!(address_of(&[v6("[::1]:8080")]), ListenAddress::LoopbackIpv6);
        assert_eq!(address_of(&[v4("10.0.0.2:8080")]), ListenAddress::Pod);
        assert_eq!(address_of(&[v4("10.0.0.2:8080"), v6("[::1]:8080")]), ListenAddress::LoopbackIpv6);
        assert_eq!(address_of(&[v4("127.0.0.1:8080"), v6("[::]:8080")]), ListenAddress::Any);
        assert_eq!(address_of(&[("10.0.0.2:8080", "10.0.0.9:50000", 1)]), ListenAddress::None, "no listener");
    }

    #[test]
    fn connections_from_within_the_pod_do_not_bypass_the_proxy() {
        let past = |remote| {
            let seen = seen(&[("10.0.0.2:8080", remote, 1)]);
            seen.ports().map(|(_, known)| known.bypassing).sum::<u64>()
        };
        assert_eq!((past("10.0.0.9:50000"), past("127.0.0.1:50000"), past("10.0.0.2:50000")), (1, 0, 0));
        assert_eq!(seen(&[("10.0.0.2:8080", "10.0.0.9:50000", 6)]).ports().next().unwrap().1.bypassing, 0, "TIME_WAIT");
        let through = seen(&[("10.0.0.2:15210", "10.0.0.9:50000", 1), ("127.0.0.1:8080", "127.0.0.1:50000", 1)]);
        assert_eq!(through.ports().next().unwrap().1.bypassing, 0);
        let of_v6_socket = seen(&[("[::ffff:10.0.0.2]:8080", "[::ffff:10.0.0.9]:50000", 1)]);
        assert_eq!(of_v6_socket.ports().next().unwrap().1.bypassing, 1);
    }

    #[test]
    fn other_ports_are_reported_while_a_port_of_the_app_is_missing() {
        let listens = |ip| (ip, "0.0.0.0:0", LISTEN);
        let sockets = ["0.0.0.0:9102", "0.0.0.0:8081", "127.0.0.1:6060", "0.0.0.0:15210", "0.0.0.0:15211"].map(listens);
        let others: Vec<_> = seen(&sockets).others().collect();
        assert_eq!(others, [(8081, ListenAddress::Any)]);
        let sound = [&sockets[..], &[listens("0.0.0.0:8080")]].concat();
        assert_eq!(seen(&sound).others().count(), 0);
        let many: Vec<String> = (1..=1000).map(|port| format!("0.0.0.0:{port}")).collect();
        let many: Vec<_> = many.iter().map(|ip| listens(ip.as_str())).collect();
        assert_eq!(seen(&many).others().count(), MOST_OTHERS);
    }
}

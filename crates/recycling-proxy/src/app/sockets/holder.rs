//! The socket that keeps the proxy from binding one of its ports.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;

use super::TABLES;
use super::line::{Socket, SocketState};

/// A socket of the pod that has a port of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder(Socket);

impl Holder {
    /// Returns the socket that has the port of `address`; `None` if it is not in the tables. They do not list a socket
    /// that is bound, but neither listens nor is connected.
    pub(crate) fn of(address: SocketAddr) -> Option<Self> {
        let tables = TABLES.iter().filter_map(|table| File::open(table).ok());
        Self::among(tables.flat_map(|table| BufReader::new(table).lines().map_while(Result::ok)), address)
    }

    /// Returns whether it is a process that listens, which does not end by itself as connections do.
    pub(crate) fn listens(self) -> bool {
        self.0.state == SocketState::Listen
    }

    /// Returns the likeliest of the sockets. A listening socket shares its port with no other. An open connection belongs
    /// to a running process. A closed one may also belong to the previous proxy.
    fn among(lines: impl Iterator<Item = String>, address: SocketAddr) -> Option<Self> {
        let wanted = address.ip().to_canonical();
        let is_in_the_way = |socket: &Socket| {
            let local = socket.local.ip();
            socket.local.port() == address.port()
                && (wanted.is_unspecified() || local.is_unspecified() || local == wanted)
        };
        let sockets = lines.filter_map(|line| Socket::parse(&line)).filter(is_in_the_way);
        sockets.max_by_key(|socket| rank(socket.state)).map(Self)
    }
}

const fn rank(state: SocketState) -> u8 {
    match state {
        SocketState::Other => 0,
        SocketState::Established => 1,
        SocketState::Listen => 2,
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Socket { local, remote, state } = self.0;
        match state {
            SocketState::Listen => write!(f, "a process that listens on {local}"),
            SocketState::Established => write!(f, "a connection from {local} to {remote}"),
            SocketState::Other => write!(f, "a connection from {local} to {remote} that has ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::written;
    use super::*;

    const ESTABLISHED: u8 = 1;
    const TIME_WAIT: u8 = 6;
    const LISTEN: u8 = 10;

    fn holder(sockets: &[(&str, &str, u8)], address: &str) -> Option<String> {
        let of = |text: &str| text.parse::<SocketAddr>().unwrap();
        let lines = sockets.iter().map(|(local, remote, state)| written(of(local), of(remote), *state));
        Holder::among(lines, of(address)).map(|holder| holder.to_string())
    }

    #[test]
    fn the_holder_of_a_port_is_named() {
        let clients = ("10.0.0.2:15210", "10.0.0.7:40000", TIME_WAIT);
        let database = ("10.0.0.2:15210", "10.0.0.9:5432", ESTABLISHED);
        let elsewhere = ("10.0.0.2:15211", "10.0.0.9:5432", ESTABLISHED);
        let listens = ("0.0.0.0:15210", "0.0.0.0:0", LISTEN);
        for (sockets, expected) in [
            (&[elsewhere][..], None),
            (&[clients], Some("a connection from 10.0.0.2:15210 to 10.0.0.7:40000 that has ended")),
            (&[clients, database, clients], Some("a connection from 10.0.0.2:15210 to 10.0.0.9:5432")),
            (&[listens, database], Some("a process that listens on 0.0.0.0:15210")),
        ] {
            assert_eq!(holder(sockets, "[::]:15210").as_deref(), expected, "{sockets:?}");
        }
    }

    #[test]
    fn only_overlapping_addresses_hold_a_port() {
        for (local, wanted, is_held) in [
            ("127.0.0.1:15211", "[::]:15211", true),
            ("[fd00::1]:15211", "0.0.0.0:15211", true),
            ("127.0.0.1:15211", "127.0.0.1:15211", true),
            ("127.0.0.1:15211", "127.0.0.2:15211", false),
        ] {
            let remote = if local.starts_with('[') { "[fd00::9]:80" } else { "10.0.0.9:80" };
            assert_eq!(holder(&[(local, remote, ESTABLISHED)], wanted).is_some(), is_held, "{local}, {wanted}");
        }
    }
}

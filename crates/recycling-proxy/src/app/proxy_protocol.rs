//! The header of the PROXY protocol, which sends the client's address to the app before the client's first byte.
//!
//! Specification: `doc/proxy-protocol.txt` of `HAProxy`. Version 1 is a line of text, version 2 is binary.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use settings::ProxyProtocol;

/// The signature of version 2 (§2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const PROXIED: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The addresses of a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The client's address.
    pub(crate) client: SocketAddr,
    /// The client's destination address.
    pub(crate) destination: SocketAddr,
}

/// Both addresses in one family, which every version requires.
enum Addresses {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Ends {
    /// Returns the header; empty if `version` is off.
    pub(crate) fn header(self, version: ProxyProtocol) -> Vec<u8> {
        match version {
            ProxyProtocol::V1 => self.line().into_bytes(),
            ProxyProtocol::V2 => self.binary(),
            ProxyProtocol::Off => Vec::new(),
        }
    }

    fn line(self) -> String {
        let (from, to) = (self.client.port(), self.destination.port());
        match self.addresses() {
            Addresses::V4(client, destination) => format!("PROXY TCP4 {client} {destination} {from} {to}\r\n"),
            Addresses::V6(client, destination) => format!("PROXY TCP6 {client} {destination} {from} {to}\r\n"),
        }
    }

    fn binary(self) -> Vec<u8> {
        let (family, addresses) = match self.addresses() {
            Addresses::V4(client, destination) => (TCP_OVER_IPV4, [client.octets(), destination.octets()].concat()),
            Addresses::V6(client, destination) => (TCP_OVER_IPV6, [client.octets(), destination.octets()].concat()),
        };
        let ports = [self.client.port().to_be_bytes(), self.destination.port().to_be_bytes()].concat();
        // The length is 12 or 36.
        let length = u8::try_from(addresses.len().saturating_add(ports.len())).unwrap_or_default();
        [&SIGNATURE[..], &[PROXIED, family, 0, length], &addresses, &ports].concat()
    }

    /// Returns the addresses in one family. IPv4-mapped addresses become IPv4; if the families differ, both become
    /// IPv6.
    fn addresses(self) -> Addresses {
        match (self.client.ip().to_canonical(), self.destination.ip().to_canonical()) {
            (IpAddr::V4(client), IpAddr::V4(destination)) => Addresses::V4(client, destination),
            (client, destination) => Addresses::V6(mapped(client), mapped(destination)),
        }
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proxy_header::{ParseConfig, ProxyHeader};

    use super::*;

    fn ends(client: &str, destination: &str) -> Ends {
        Ends { client: client.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    #[test]
    fn headers_are_those_of_the_specifications_examples() {
        let tcp4 = ends("255.255.255.255:65535", "255.255.255.255:65535");
        assert_eq!(tcp4.line(), "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n");
        let tcp4 = ends("10.0.0.1:4660", "10.0.0.2:80");
        assert_eq!(tcp4.binary(), b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x01\x0a\0\0\x02\x12\x34\0\x50");
    }

    #[test]
    fn ipv4_is_written_as_ipv6_only_beside_an_ipv6_address() {
        for (client, destination, line) in [
            ("[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.2]:2", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"),
            ("[::ffff:10.0.0.1]:1", "10.0.0.2:2", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"),
            ("[fd00::1]:1", "[fd00::2]:2", "PROXY TCP6 fd00::1 fd00::2 1 2\r\n"),
            ("10.0.0.1:1", "[fd00::2]:2", "PROXY TCP6 ::ffff:10.0.0.1 fd00::2 1 2\r\n"),
        ] {
            assert_eq!(ends(client, destination).line(), line);
        }
    }

    #[test]
    fn no_header_is_written_if_the_proxy_protocol_is_off() {
        assert_eq!(ends("10.0.0.1:1", "10.0.0.2:2").header(ProxyProtocol::Off), b"");
    }

    proptest! {
        /// Reads a header with the client's first bytes after it, by a parser that others wrote.
        #[test]
        fn an_independent_parser_reads_our_headers(
            client: SocketAddr, destination: SocketAddr, version in prop::sample::select(&[ProxyProtocol::V1, ProxyProtocol::V2][..]),
        ) {
            let ends = Ends { client, destination };
            let header = ends.header(version);
            let stream = [&header[..], b"GET /"].concat();
            let (read, length) = ProxyHeader::parse(&stream, ParseConfig::default()).unwrap();
            prop_assert_eq!(length, header.len());
            let addresses = read.proxied_address().unwrap();
            prop_assert_eq!(addresses.source.port(), client.port());
            prop_assert_eq!(addresses.destination.port(), destination.port());
            prop_assert_eq!(addresses.source.ip().to_canonical(), client.ip().to_canonical());
            prop_assert_eq!(addresses.destination.ip().to_canonical(), destination.ip().to_canonical());
        }
    }
}

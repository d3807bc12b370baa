//! The header of the PROXY protocol, which gives the app its client's address before the client's first byte.
//!
//! Specification: `doc/proxy-protocol.txt` of `HAProxy`. Version 1 is a line of text, version 2 is binary.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use settings::ProxyProtocol;

/// What no other protocol begins with (§2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, and a connection on behalf of somebody else.
const PROXIED: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The two ends of a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The client's.
    pub(crate) client: SocketAddr,
    /// The one that the client meant.
    pub(crate) meant: SocketAddr,
}

/// Both addresses in one family, as every version wants them.
enum Addresses {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Ends {
    /// Returns the header; empty where there is none to send.
    pub(crate) fn header(self, version: ProxyProtocol) -> Vec<u8> {
        match version {
            ProxyProtocol::V1 => self.line().into_bytes(),
            ProxyProtocol::V2 => self.binary(),
            ProxyProtocol::Off => Vec::new(),
        }
    }

    fn line(self) -> String {
        let (from, to) = (self.client.port(), self.meant.port());
        match self.addresses() {
            Addresses::V4(client, meant) => format!("PROXY TCP4 {client} {meant} {from} {to}\r\n"),
            Addresses::V6(client, meant) => format!("PROXY TCP6 {client} {meant} {from} {to}\r\n"),
        }
    }

    fn binary(self) -> Vec<u8> {
        let (family, addresses) = match self.addresses() {
            Addresses::V4(client, meant) => (TCP_OVER_IPV4, [client.octets(), meant.octets()].concat()),
            Addresses::V6(client, meant) => (TCP_OVER_IPV6, [client.octets(), meant.octets()].concat()),
        };
        let ports = [self.client.port().to_be_bytes(), self.meant.port().to_be_bytes()].concat();
        // 12 or 36.
        let length = u8::try_from(addresses.len().saturating_add(ports.len())).unwrap_or_default();
        [&SIGNATURE[..], &[PROXIED, family, 0, length], &addresses, &ports].concat()
    }

    /// IPv4 is IPv4 on a socket of both families, too; where the families differ all the same, both become IPv6.
    fn addresses(self) -> Addresses {
        match (self.client.ip().to_canonical(), self.meant.ip().to_canonical()) {
            (IpAddr::V4(client), IpAddr::V4(meant)) => Addresses::V4(client, meant),
            (client, meant) => Addresses::V6(mapped(client), mapped(meant)),
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

    fn ends(client: &str, meant: &str) -> Ends {
        Ends { client: client.parse().unwrap(), meant: meant.parse().unwrap() }
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
        for (client, meant, line) in [
            ("[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.2]:2", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"),
            ("[::ffff:10.0.0.1]:1", "10.0.0.2:2", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"),
            ("[fd00::1]:1", "[fd00::2]:2", "PROXY TCP6 fd00::1 fd00::2 1 2\r\n"),
            ("10.0.0.1:1", "[fd00::2]:2", "PROXY TCP6 ::ffff:10.0.0.1 fd00::2 1 2\r\n"),
        ] {
            assert_eq!(ends(client, meant).line(), line);
        }
    }

    #[test]
    fn no_header_is_written_if_the_proxy_protocol_is_off() {
        assert_eq!(ends("10.0.0.1:1", "10.0.0.2:2").header(ProxyProtocol::Off), b"");
    }

    proptest! {
        /// As a parser that others wrote reads it, with the client's first bytes right behind.
        #[test]
        fn an_independent_parser_reads_our_headers(
            client: SocketAddr, meant: SocketAddr, version in prop::sample::select(&[ProxyProtocol::V1, ProxyProtocol::V2][..]),
        ) {
            let ends = Ends { client, meant };
            let header = ends.header(version);
            let stream = [&header[..], b"GET /"].concat();
            let (read, length) = ProxyHeader::parse(&stream, ParseConfig::default()).unwrap();
            prop_assert_eq!(length, header.len());
            let addresses = read.proxied_address().unwrap();
            prop_assert_eq!(addresses.source.port(), client.port());
            prop_assert_eq!(addresses.destination.port(), meant.port());
            prop_assert_eq!(addresses.source.ip().to_canonical(), client.ip().to_canonical());
            prop_assert_eq!(addresses.destination.ip().to_canonical(), meant.ip().to_canonical());
        }
    }
}

//! A line of `/proc/net/tcp` or `/proc/net/tcp6` (`proc_net_tcp(5)`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A TCP socket of the network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// Its local address. An IPv4-mapped address is an IPv4 address here.
    pub(crate) local: SocketAddr,
    /// The address of its peer.
    pub(crate) remote: SocketAddr,
    /// Its state.
    pub(crate) state: SocketState,
}

/// The state of a socket, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketState {
    /// `TCP_ESTABLISHED`.
    Established,
    /// `TCP_LISTEN`.
    Listen,
    /// Any other state.
    Other,
}

impl Socket {
    /// Parses a line; `None` for the heading and for malformed lines.
    ///
    /// ```text
    ///    0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 …
    /// ```
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        fields.next()?.strip_suffix(':')?.parse::<u64>().ok()?;
        let (local, remote) = (address(fields.next()?)?, address(fields.next()?)?);
        let state = match hexadecimal(fields.next()?, 2)? {
            0x01 => SocketState::Established,
            0x0a => SocketState::Listen,
            _ => SocketState::Other,
        };
        (local.is_ipv4() == remote.is_ipv4()).then(|| {
            let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
            Self { local: canonical(local), remote: canonical(remote), state }
        })
    }
}

/// Reads `ADDRESS:PORT` in hexadecimal.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::try_from(hexadecimal(port, 4)?).ok()?;
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(ip)?)),
        32 => {
            let mut octets = [0; 16];
            for (place, digits) in octets.chunks_exact_mut(4).zip((0..).step_by(8)) {
                place.copy_from_slice(&word(ip.get(digits..)?.get(..8)?)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Returns four octets of an address, which the kernel prints as a number of the machine's byte order.
fn word(digits: &str) -> Option<[u8; 4]> {
    hexadecimal(digits, 8).map(u32::to_ne_bytes)
}

/// Parses exactly `digits` hexadecimal digits; `from_str_radix` alone would accept fewer, and a sign.
fn hexadecimal(text: &str, digits: usize) -> Option<u32> {
    let is_exact = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_exact.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes a line as the kernel does.
    pub(crate) fn written(local: SocketAddr, remote: SocketAddr, state: u8) -> String {
        let hexadecimal = |address: SocketAddr| {
            let octets = match address.ip() {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            let words = octets.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
            words.fold(String::new(), |ip, word| format!("{ip}{word:08X}")) + &format!(":{:04X}", address.port())
        };
        let rest = "00000000:00000000 00:00000000 00000000     0        0 16873 1 0000000000000000 100 0 0 10 0";
        format!("   7: {} {} {state:02X} {rest}", hexadecimal(local), hexadecimal(remote))
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_proc_net_tcp_are_read() {
        let socket = |line: &str| {
            let socket = Socket::parse(line).unwrap();
            (socket.local.to_string(), socket.remote.to_string(), socket.state)
        };
        let v4 = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0";
        assert_eq!(socket(v4), ("127.0.0.1:8080".to_owned(), "0.0.0.0:0".to_owned(), SocketState::Listen));
        let v6 =
            "  12: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:C350 01 00000000:00000000";
        assert_eq!(socket(v6), ("[::1]:8080".to_owned(), "[::1]:50000".to_owned(), SocketState::Established));
        let mapped =
            "   1: 0000000000000000FFFF00000200000A:1F90 0000000000000000FFFF00000900000A:C350 06 00000000:00000000";
        assert_eq!(socket(mapped), ("10.0.0.2:8080".to_owned(), "10.0.0.9:50000".to_owned(), SocketState::Other));
    }

    #[test]
    fn malformed_lines_are_refused() {
        for odd in [
            "",
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
            "0: 0100007F:1F90",
            "0: 0100007F:1F90 00000000:0000 A",
            "0: 0100007F:1F90 00000000:0000 +A",
            "0: 0100007F:1F9 00000000:0000 0A",
            "0: 100007F:1F90 00000000:0000 0A",
            "x: 0100007F:1F90 00000000:0000 0A",
            "0: 0100007F:1F90 00000000000000000000000001000000:0000 0A",
        ] {
            assert_eq!(Socket::parse(odd), None, "{odd:?}");
        }
    }

    proptest! {
        #[test]
        fn addresses_survive_a_round_trip(local: [u8; 16], remote: [u8; 16], ports: [u16; 2], is_v4: bool) {
            let of = |octets: [u8; 16], port| {
                let [a, b, c, d, ..] = octets;
                let ip = if is_v4 { IpAddr::from([a, b, c, d]) } else { IpAddr::from(octets) };
                SocketAddr::new(ip.to_canonical(), port)
            };
            let (local, remote) = (of(local, ports[0]), of(remote, ports[1]));
            prop_assume!(local.is_ipv4() == remote.is_ipv4());
            let socket = Socket::parse(&written(local, remote, 1));
            prop_assert_eq!(socket, Some(Socket { local, remote, state: SocketState::Established }));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = Socket::parse(&text);
        }
    }
}

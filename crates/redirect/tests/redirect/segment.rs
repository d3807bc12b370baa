//! TCP segments written by hand, for what a well-behaved stack never sends.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddrV4};

use socket2::{Domain, Protocol, Socket, Type};

use super::namespace::Namespace;

/// Sends segments from a namespace and sees every segment that arrives there.
pub(crate) struct Wire {
    socket: Socket,
}

/// What one end of a connection expects and will send next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) theirs: u32,
    pub(crate) ours: u32,
}

impl Wire {
    pub(crate) fn tap(namespace: &Namespace) -> Self {
        let socket = namespace.run(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP))).unwrap();
        Self { socket }
    }

    /// Returns the numbers of the connection at this local port, from the last segment that has arrived for it.
    pub(crate) fn numbers(&mut self, local_port: u16) -> Numbers {
        self.socket.set_nonblocking(true).unwrap();
        let mut last = None;
        let mut packet = vec![0; 65_536];
        while let Ok(length) = self.socket.read(&mut packet) {
            let segment = &packet[usize::from(packet[0] & 0x0f) * 4..length];
            let (header_length, flags) = (usize::from(segment[12] >> 4) * 4, segment[13]);
            if segment[2..4] == local_port.to_be_bytes() {
                let number = |at: usize| u32::from_be_bytes(segment[at..at + 4].try_into().unwrap());
                let syn = u32::from(flags & 0x02 != 0);
                let data = u32::try_from(segment.len() - header_length).unwrap();
                last = Some(Numbers { theirs: number(4).wrapping_add(data + syn), ours: number(8) });
            }
        }
        last.expect("a segment has arrived at that port")
    }

    /// Sends three bytes with these numbers.
    pub(crate) fn send(&self, from: SocketAddrV4, to: SocketAddrV4, numbers: Numbers) -> io::Result<()> {
        self.send_behind_header_of(5, from, to, numbers)
    }

    /// Sends three bytes with these numbers, behind a header of so many words.
    pub(crate) fn send_behind_header_of(
        &self,
        words: u8,
        from: SocketAddrV4,
        to: SocketAddrV4,
        numbers: Numbers,
    ) -> io::Result<()> {
        let mut segment = Vec::new();
        segment.extend(from.port().to_be_bytes());
        segment.extend(to.port().to_be_bytes());
        segment.extend(numbers.ours.to_be_bytes());
        segment.extend(numbers.theirs.to_be_bytes());
        // The length of the header, ACK and PSH, a window, no checksum yet, nothing urgent; options that say nothing.
        segment.extend([words << 4, 0x18, 0x10, 0x00, 0, 0, 0, 0]);
        segment.resize(usize::from(words) * 4, 1);
        segment.extend(b"???");
        let checksum = checksum(*from.ip(), *to.ip(), &segment);
        segment[16..18].copy_from_slice(&checksum.to_be_bytes());
        self.socket.send_to(&segment, &SocketAddrV4::new(*to.ip(), 0).into()).map(|_| ())
    }
}

/// RFC 9293 §3.1.
fn checksum(from: Ipv4Addr, to: Ipv4Addr, segment: &[u8]) -> u16 {
    let length = u16::try_from(segment.len()).unwrap();
    let pseudo = [&from.octets()[..], &to.octets(), &[0, 6], &length.to_be_bytes()].concat();
    let sum: u64 = [&pseudo[..], segment]
        .iter()
        .flat_map(|part| part.chunks(2))
        .map(|pair| u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap()
}

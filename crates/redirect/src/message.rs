//! Netlink messages and their attributes, as bytes.
//!
//! This is no library, because `netlink-bindings` is generated from the kernel's specification of nftables, which
//! numbers the attributes of `lookup` in another order than the kernel and has no `redir`.

use std::ffi::CStr;

use super::uapi::NLA_F_NESTED;

/// Bytes of `struct nlmsghdr`, with which every message begins: length, type, flags, sequence number, sender.
const HEADER_LEN: usize = 16;
/// The offsets of the type and of the sequence number in the header.
const TYPE_AT: usize = 4;
const SEQUENCE_AT: usize = 8;

/// Everything in netlink begins at a multiple of this (`NLMSG_ALIGNTO`, `NLA_ALIGNTO`).
const ALIGNMENT: usize = 4;
/// The header of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// The message's type.
    pub(super) kind: u16,
    /// `NLM_F_…`.
    pub(super) flags: u16,
    /// The protocol family of `struct nfgenmsg`.
    pub(super) family: u8,
    /// The resource of `struct nfgenmsg`: the subsystem, in a message that frames a batch.
    pub(super) resource: u16,
}

/// Messages one after the other, numbered from 0.
#[derive(Debug, Default)]
pub(super) struct Messages {
    bytes: Vec<u8>,
    sequence: u32,
}

impl Messages {
    /// Adds a message with the attributes that `body` writes.
    pub(super) fn push(&mut self, header: Header, body: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.bytes.len();
        let port_of_the_kernel = 0_u32;
        self.bytes.extend(0_u32.to_ne_bytes());
        self.bytes.extend(header.kind.to_ne_bytes());
        self.bytes.extend(header.flags.to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend(port_of_the_kernel.to_ne_bytes());
        let version = 0;
        self.bytes.extend([header.family, version]);
        self.bytes.extend(header.resource.to_be_bytes());
        body(&mut Attributes { bytes: &mut self.bytes });
        // The kernel refuses a message with a length that does not fit.
        let length = u32::try_from(self.bytes.len().saturating_sub(start)).unwrap_or(u32::MAX);
        set(&mut self.bytes, start, &length.to_ne_bytes());
        self.sequence = self.sequence.wrapping_add(1);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Writes attributes at the end of a message.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Attributes<'_> {
    /// Returns a value that is bytes.
    pub(super) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.attribute(kind, |attributes| attributes.bytes.extend(value))
    }

    /// Returns a number in network order, as nftables requires.
    pub(super) fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Returns a name.
    pub(super) fn name(&mut self, kind: u16, value: &CStr) -> &mut Self {
        self.bytes(kind, value.to_bytes_with_nul())
    }

    /// Attributes within an attribute.
    pub(super) fn nested(&mut self, kind: u16, value: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        self.attribute(kind | NLA_F_NESTED, value)
    }

    fn attribute(&mut self, kind: u16, value: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend(0_u16.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        value(&mut Attributes { bytes: &mut *self.bytes });
        // The kernel refuses a message with a length that does not fit.
        let length = u16::try_from(self.bytes.len().saturating_sub(start)).unwrap_or(u16::MAX);
        set(self.bytes, start, &length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
        self
    }
}

/// Overwrites bytes from the offset `at` on.
fn set(bytes: &mut [u8], at: usize, value: &[u8]) {
    for (byte, value) in bytes.iter_mut().skip(at).zip(value) {
        *byte = *value;
    }
}

/// A message as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received<'a> {
    pub(super) kind: u16,
    pub(super) sequence: u32,
    /// The bytes after the header.
    pub(super) body: &'a [u8],
}

/// Returns the messages of a datagram, up to the first incomplete one.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*datagram.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*datagram.get(TYPE_AT..)?.first_chunk()?);
        let sequence = u32::from_ne_bytes(*datagram.get(SEQUENCE_AT..)?.first_chunk()?);
        let body = datagram.get(HEADER_LEN..length)?;
        datagram = datagram.get(length.checked_next_multiple_of(ALIGNMENT)?..).unwrap_or_default();
        Some(Received { kind, sequence, body })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { kind: 0x0a06, flags: 5, family: 1, resource: 10 };

    fn two_messages() -> Vec<u8> {
        let mut messages = Messages::default();
        messages.push(HEADER, |body| {
            body.name(1, c"even").number(2, 15210).nested(3, |inner| {
                inner.bytes(4, &[0x1f, 0x90]);
            });
        });
        messages.push(HEADER, |_| ());
        messages.into_bytes()
    }

    #[test]
    fn attributes_are_aligned_and_measured_without_their_padding() {
        let bytes = two_messages();
        let body = messages(&bytes).next().unwrap().body;
        let expected: &[&[u8]] = &[
            &[1, 0, 0, 10],
            &9_u16.to_ne_bytes(),
            &1_u16.to_ne_bytes(),
            b"even\0\0\0\0",
            &8_u16.to_ne_bytes(),
            &2_u16.to_ne_bytes(),
            &15210_u32.to_be_bytes(),
            &12_u16.to_ne_bytes(),
            &0x8003_u16.to_ne_bytes(),
            &6_u16.to_ne_bytes(),
            &4_u16.to_ne_bytes(),
            &[0x1f, 0x90, 0, 0],
        ];
        assert_eq!(body, expected.concat());
    }

    #[test]
    fn numbered_messages_survive_a_round_trip() {
        let bytes = two_messages();
        let received: Vec<_> = messages(&bytes).map(|message| (message.kind, message.sequence)).collect();
        assert_eq!(received, [(0x0a06, 0), (0x0a06, 1)]);
    }

    #[test]
    fn a_truncated_datagram_gives_only_whole_messages() {
        let bytes = two_messages();
        let whole: Vec<_> = messages(&bytes).collect();
        for cut in 0..bytes.len() {
            let some: Vec<_> = messages(&bytes[..cut]).collect();
            assert!(some.len() < whole.len(), "cut at {cut}");
            assert_eq!(some, whole[..some.len()], "cut at {cut}");
        }
    }

    #[test]
    fn a_wrong_length_ends_the_messages() {
        for lie in [0, 3, 15, u32::MAX] {
            let mut bytes = two_messages();
            set(&mut bytes, 0, &u32::to_ne_bytes(lie));
            assert_eq!(messages(&bytes).count(), 0, "{lie}");
        }
    }

    #[test]
    fn an_attribute_that_is_too_long_is_not_truncated() {
        let mut bytes = Vec::new();
        Attributes { bytes: &mut bytes }.bytes(1, &vec![0; 65_533]);
        assert_eq!(bytes[..2], u16::MAX.to_ne_bytes());
    }
}

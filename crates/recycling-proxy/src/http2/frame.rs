//! Frame headers (RFC 9113 §4.1), and the frames that the proxy sends.

/// The length of a frame header in octets.
pub(crate) const HEADER: usize = 9;
/// The length of a PING's payload in octets.
pub(crate) const PING_PAYLOAD: usize = 8;
/// The length of a SETTINGS entry in octets.
pub(crate) const SETTING: usize = 6;
/// The initial and least value of `SETTINGS_MAX_FRAME_SIZE` (RFC 9113 §6.5.2).
pub(crate) const LEAST_MAX_FRAME: u32 = 16_384;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
const SETTINGS_MAX_FRAME_SIZE: u16 = 0x5;
const LARGEST_STREAM: u32 = 0x7fff_ffff;

/// The frame types that the relay handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// DATA
    Data,
    /// HEADERS
    Headers,
    /// `RST_STREAM`
    RstStream,
    /// SETTINGS
    Settings,
    /// `PUSH_PROMISE`
    PushPromise,
    /// PING
    Ping,
    /// GOAWAY
    GoAway,
    /// CONTINUATION
    Continuation,
    /// All other types, including extensions. They are forwarded.
    Other,
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// The length of the payload.
    pub length: u32,
    /// The type.
    pub kind: Kind,
    /// The stream, 0 for the connection.
    pub stream: u32,
    flags: u8,
}

/// The error codes that the proxy sends (RFC 9113 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// `NO_ERROR`
    NoError,
    /// `PROTOCOL_ERROR`
    ProtocolError,
    /// `FRAME_SIZE_ERROR`
    FrameSizeError,
    /// `COMPRESSION_ERROR`
    CompressionError,
    /// `ENHANCE_YOUR_CALM`
    EnhanceYourCalm,
}

impl FrameHeader {
    /// Parses the header at the front of `bytes`; `None` if it is incomplete.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let [l2, l1, l0, kind, flags, s3, s2, s1, s0, ..] = *bytes else { return None };
        Some(Self {
            length: u32::from_be_bytes([0, l2, l1, l0]),
            kind: Kind::of(kind),
            stream: u32::from_be_bytes([s3, s2, s1, s0]) & LARGEST_STREAM,
            flags,
        })
    }

    /// Returns whether it has the flag `END_STREAM`, which only DATA and HEADERS can have.
    pub(crate) const fn ends_stream(self) -> bool {
        matches!(self.kind, Kind::Data | Kind::Headers) && self.flags & END_STREAM != 0
    }

    /// Returns whether it has the flag ACK, which PING and SETTINGS can have.
    pub(crate) const fn is_ack(self) -> bool {
        matches!(self.kind, Kind::Ping | Kind::Settings) && self.flags & ACK != 0
    }

    /// Returns whether it has the flag PADDED.
    pub(crate) const fn is_padded(self) -> bool {
        matches!(self.kind, Kind::Headers) && self.flags & PADDED != 0
    }

    /// Returns the number of octets before its fragment: the padding length, the deprecated priority, the promised
    /// stream.
    pub(crate) const fn front(self) -> usize {
        match (self.kind, self.flags & PADDED, self.flags & PRIORITY) {
            (Kind::Headers, PADDED, PRIORITY) => 6,
            (Kind::Headers, _, PRIORITY) => 5,
            (Kind::Headers, PADDED, _) => 1,
            (Kind::PushPromise, PADDED, _) => 5,
            (Kind::PushPromise, _, _) => 4,
            (_, _, _) => 0,
        }
    }

    /// Returns the stream that a `PUSH_PROMISE` promises; `None` if `frame` is too short.
    pub(crate) fn promised(self, frame: &[u8]) -> Option<u32> {
        let front = frame.get(HEADER..)?.get(..self.front().min(usize::try_from(self.length).ok()?))?;
        let number = u32::from_be_bytes(*front.last_chunk()?) & LARGEST_STREAM;
        (self.kind == Kind::PushPromise).then_some(number)
    }

    /// Returns whether a field block is incomplete after it.
    pub(crate) const fn leaves_block_open(self) -> bool {
        matches!(self.kind, Kind::Headers | Kind::PushPromise | Kind::Continuation) && self.flags & END_HEADERS == 0
    }
}

impl Kind {
    const fn of(number: u8) -> Self {
        match number {
            0x0 => Self::Data,
            0x1 => Self::Headers,
            0x3 => Self::RstStream,
            0x4 => Self::Settings,
            0x5 => Self::PushPromise,
            0x6 => Self::Ping,
            0x7 => Self::GoAway,
            0x9 => Self::Continuation,
            _ => Self::Other,
        }
    }
}

impl ErrorCode {
    const fn number(self) -> u32 {
        match self {
            Self::NoError => 0x0,
            Self::ProtocolError => 0x1,
            Self::FrameSizeError => 0x6,
            Self::CompressionError => 0x9,
            Self::EnhanceYourCalm => 0xb,
        }
    }
}

/// Returns the identifier and the value of this SETTINGS entry; `None` if it does not have six octets.
pub(crate) const fn setting(entry: &[u8]) -> Option<(u16, u32)> {
    let [i1, i0, v3, v2, v1, v0] = *entry else { return None };
    Some((u16::from_be_bytes([i1, i0]), u32::from_be_bytes([v3, v2, v1, v0])))
}

/// Returns the value of this SETTINGS entry if it is `SETTINGS_MAX_FRAME_SIZE`.
pub(crate) fn max_frame_size(entry: &[u8]) -> Option<u32> {
    setting(entry).and_then(|(identifier, value)| (identifier == SETTINGS_MAX_FRAME_SIZE).then_some(value))
}

/// Returns a GOAWAY frame.
pub(crate) fn goaway(last_stream: u32, code: ErrorCode) -> [u8; 17] {
    let mut frame = [0, 0, 8, 0x7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let [.., s3, s2, s1, s0, c3, c2, c1, c0] = &mut frame;
    [*s3, *s2, *s1, *s0] = (last_stream & LARGEST_STREAM).to_be_bytes();
    [*c3, *c2, *c1, *c0] = code.number().to_be_bytes();
    frame
}

/// Returns the length, type and flags of a frame header with another length. If `continues`, the flag `END_HEADERS` is
/// removed.
pub(crate) fn relabelled(header: &[u8], length: u32, continues: bool) -> Option<[u8; 5]> {
    let [_, _, _, kind, flags, ..] = *header else { return None };
    let [_, l2, l1, l0] = length.to_be_bytes();
    Some([l2, l1, l0, kind, if continues { flags & !END_HEADERS } else { flags }])
}

/// Returns a CONTINUATION frame with this fragment, shorter than 256 octets, that ends a field block.
pub(crate) fn continuation(stream: u32, fragment: &[u8]) -> Vec<u8> {
    let length = u8::try_from(fragment.len()).unwrap_or_default();
    [&[0, 0, length, 0x9, END_HEADERS], &stream.to_be_bytes()[..], fragment].concat()
}

/// Returns the first GOAWAY of a graceful shutdown, with the highest stream identifier (RFC 9113 §6.8).
pub fn first_goaway() -> [u8; 17] {
    goaway(LARGEST_STREAM, ErrorCode::NoError)
}

/// Returns a PING frame.
pub fn ping(payload: [u8; PING_PAYLOAD]) -> [u8; 17] {
    let [p0, p1, p2, p3, p4, p5, p6, p7] = payload;
    [0, 0, 8, 0x6, 0, 0, 0, 0, 0, p0, p1, p2, p3, p4, p5, p6, p7]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_headers_are_read_only_when_complete() {
        let bytes = [0x01, 0x02, 0x03, 0x1, 0x5, 0x80, 0, 0, 0x07, 0xff];
        for length in 0..HEADER {
            assert_eq!(FrameHeader::read(&bytes[..length]), None);
        }
        let header = FrameHeader::read(&bytes).unwrap();
        assert_eq!((header.length, header.kind, header.stream), (0x0001_0203, Kind::Headers, 7));
        assert!(header.ends_stream() && !header.leaves_block_open() && !header.is_ack());
    }

    #[test]
    fn the_meaning_of_a_flag_depends_on_the_frame_type() {
        let header = |kind, flags| FrameHeader::read(&[0, 0, 0, kind, flags, 0, 0, 0, 0]).unwrap();
        assert!(header(0x0, 1).ends_stream() && !header(0x6, 1).ends_stream());
        assert!(header(0x6, 1).is_ack() && header(0x4, 1).is_ack() && !header(0x0, 1).is_ack());
        assert!(header(0x9, 0).leaves_block_open() && header(0x5, 0).leaves_block_open());
        assert!(!header(0x9, 4).leaves_block_open() && !header(0x0, 0).leaves_block_open());
    }

    #[test]
    fn promised_streams_are_read_after_the_pad_length() {
        let promised = |frame: &[u8]| FrameHeader::read(frame).unwrap().promised(frame);
        assert_eq!(promised(b"\0\0\x05\x05\x04\0\0\0\x01\x80\0\0\x02x"), Some(2));
        assert_eq!(promised(b"\0\0\x06\x05\x0c\0\0\0\x01\x01\0\0\0\x04\0"), Some(4));
        assert_eq!(promised(b"\0\0\x03\x05\x04\0\0\0\x01\0\0\x02\0\0"), None, "too short");
        assert_eq!(promised(b"\0\0\x05\x01\x24\0\0\0\x01\0\0\0\x02x"), None, "HEADERS with a priority");
    }

    #[test]
    fn goaway_and_ping_frames_are_well_formed() {
        let frame = goaway(u32::MAX, ErrorCode::FrameSizeError);
        assert_eq!(frame, [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 6]);
        assert_eq!(FrameHeader::read(&frame).unwrap().kind, Kind::GoAway);
        let frame = ping(*b"evenkeel");
        assert_eq!(&frame[HEADER..], b"evenkeel");
        let header = FrameHeader::read(&frame).unwrap();
        assert_eq!((header.kind, header.length, header.is_ack()), (Kind::Ping, 8, false));
    }

    #[test]
    fn settings_entries_are_read() {
        assert_eq!(setting(&[1, 2, 0, 0, 1, 0]), Some((258, 256)));
        assert_eq!(max_frame_size(&[0, 5, 0, 1, 0, 0]), Some(65_536));
        assert_eq!(max_frame_size(&[0, 4, 0, 1, 0, 0]), None);
        assert_eq!(max_frame_size(&[0, 5, 0, 1, 0]), None);
    }
}

//! Frames of HTTP/2 (RFC 9113 §6), as far as our own clients and apps speak it.

/// What a client begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// SETTINGS that change nothing.
pub(crate) const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// The acknowledgement of the peer's SETTINGS.
pub(crate) const SETTINGS_ACK: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];
/// SETTINGS by which streams begin without a window: the peer sends no content before it is granted some.
pub(crate) const NO_WINDOW: &[u8] = &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
/// A frame of a type that nobody knows, which everybody has to ignore (RFC 9113 §5.5).
pub(crate) const UNKNOWN: &[u8] = &[0, 0, 0, 0xbe, 0, 0, 0, 0, 0];

/// Returns a `WINDOW_UPDATE` of a stream, or of the connection if it is 0.
pub(crate) fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    [&[0, 0, 4, 8, 0][..], &stream.to_be_bytes(), &bytes.to_be_bytes()].concat()
}

/// Returns the HEADERS of a GET of `path`, which ends its stream. A path is shorter than 100 bytes.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).expect("a short path");
    // GET, http, and literals that no table takes up: `:path` and `:authority`.
    let block = [&[0x82, 0x86, 0x04, length], path.as_bytes(), b"\x01\x05bench"].concat();
    let block_length = u8::try_from(block.len()).expect("a short block");
    [&[0, 0, block_length, 1, 5], &stream.to_be_bytes()[..], &block].concat()
}

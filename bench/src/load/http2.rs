//! The HTTP/2 frames (RFC 9113 §6) that the benchmark's own clients and apps need.

/// The client connection preface.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// SETTINGS that change nothing.
pub(crate) const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// The acknowledgement of the peer's SETTINGS.
pub(crate) const SETTINGS_ACK: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];
/// SETTINGS with an initial window of 0: the peer sends no content before a `WINDOW_UPDATE`.
pub(crate) const NO_WINDOW: &[u8] = &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
/// A frame of an unknown type, which recipients have to ignore (RFC 9113 §5.5).
pub(crate) const UNKNOWN: &[u8] = &[0, 0, 0, 0xbe, 0, 0, 0, 0, 0];

/// Returns a `WINDOW_UPDATE` of a stream, or of the connection if `stream` is 0.
pub(crate) fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    [&[0, 0, 4, 8, 0][..], &stream.to_be_bytes(), &bytes.to_be_bytes()].concat()
}

/// Returns the HEADERS of a GET of `path`, which ends its stream. A path is shorter than 100 bytes.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).expect("a short path");
    // GET, http, and `:path` and `:authority` as literals without indexing.
    let block = [&[0x82, 0x86, 0x04, length], path.as_bytes(), b"\x01\x05bench"].concat();
    let block_length = u8::try_from(block.len()).expect("a short block");
    [&[0, 0, block_length, 1, 5], &stream.to_be_bytes()[..], &block].concat()
}

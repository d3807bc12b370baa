//! Field lines and chunks that make the length of a message ambiguous, for requests and responses.

/// The name of an error, and the field lines that have it.
pub(crate) type BadFields = (&'static str, &'static [u8]);

/// Lengths and transfer codings that two recipients could interpret differently (RFC 9112 §6).
pub(crate) const BAD_LENGTHS: &[BadFields] = &[
    ("length and coding", b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
    ("coding and length", b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
    ("two lengths that differ", b"Content-Length: 3\r\nContent-Length: 4\r\n"),
    ("two lengths that are equal", b"Content-Length: 3\r\nX: y\r\ncontent-length: 3\r\n"),
    ("a list of equal lengths", b"Content-Length: 5, 5\r\n"),
    ("a list of lengths", b"Content-Length: 5, 6\r\n"),
    ("length with a plus", b"Content-Length: +5\r\n"),
    ("length with a minus", b"Content-Length: -0\r\n"),
    ("length below 0", b"Content-Length: -5\r\n"),
    ("hexadecimal length", b"Content-Length: 0x5\r\n"),
    ("length with an underscore", b"Content-Length: 5_0\r\n"),
    ("empty length", b"Content-Length:\r\n"),
    ("blank length", b"Content-Length: \t \r\n"),
    ("length of 20 digits", b"Content-Length: 99999999999999999999\r\n"),
    ("length of 2^64", b"Content-Length: 18446744073709551616\r\n"),
    ("length with a space inside", b"Content-Length: 5 0\r\n"),
    ("length with a fraction", b"Content-Length: 5.0\r\n"),
    ("length with letters", b"Content-Length: 5a\r\n"),
    ("quoted length", b"Content-Length: \"5\"\r\n"),
    ("length in other digits", b"Content-Length: \xd9\xa5\r\n"),
    ("length after a vertical tab", b"Content-Length: \x0b5\r\n"),
    ("length before a no-break space", b"Content-Length: 5\xa0\r\n"),
    ("unknown coding", b"Transfer-Encoding: xchunked\r\n"),
    ("identity", b"Transfer-Encoding: identity\r\n"),
    ("empty coding", b"Transfer-Encoding:\r\n"),
    ("empty element before chunked", b"Transfer-Encoding: ,chunked\r\n"),
    ("empty element after chunked", b"Transfer-Encoding: chunked,\r\n"),
    ("chunked, then identity", b"Transfer-Encoding: chunked, identity\r\n"),
    ("chunked, then gzip", b"Transfer-Encoding: chunked, gzip\r\n"),
    ("chunked twice", b"Transfer-Encoding: chunked, chunked\r\n"),
    ("chunked on two lines", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    ("chunked, and another coding on the next line", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n"),
    ("quoted chunked", b"Transfer-Encoding: \"chunked\"\r\n"),
    ("chunked with a parameter", b"Transfer-Encoding: chunked;q=1\r\n"),
    ("chunked and a word", b"Transfer-Encoding: chunked x\r\n"),
    ("chunked after a no-break space", b"Transfer-Encoding: \xa0chunked\r\n"),
    ("chunked after a vertical tab", b"Transfer-Encoding: \x0bchunked\r\n"),
    ("chunked in other letters", "Transfer-Encoding: chun\u{212a}ed\r\n".as_bytes()),
];

/// Malformed lines, and lines that another recipient could end elsewhere (RFC 9112 §2.2, §5).
pub(crate) const BAD_LINES: &[BadFields] = &[
    ("folded value", b"X: a\r\n b\r\n"),
    ("folded value after a tab", b"X: a\r\n\tb\r\n"),
    ("folded length", b"Content-Length:\r\n 3\r\n"),
    ("folded coding", b"Transfer-Encoding:\r\n chunked\r\n"),
    ("no colon", b"X\r\n"),
    ("no name", b": a\r\n"),
    ("space in a name", b"X Y: a\r\n"),
    ("separator in a name", b"X(Y): a\r\n"),
    ("NUL in a name", b"X\0Y: a\r\n"),
    ("letters beyond ASCII in a name", b"\xc3\xa9: a\r\n"),
    ("NUL in a value", b"X: a\0b\r\n"),
    ("NUL alone in a value", b"X: \0\r\n"),
    ("bare LF after a field", b"X: a\n"),
    ("bare LF between fields", b"X: a\nY: b\r\n"),
    ("bare LF before a length", b"X: a\nContent-Length: 3\r\n"),
    ("bare CR in a value", b"X: a\rb\r\n"),
    ("bare CR before a length", b"X: a\rContent-Length: 3\r\n"),
    ("bare CR in a name", b"X\rY: a\r\n"),
    ("bare CR before a name", b"\rX: a\r\n"),
    ("two CRs before the LF", b"X: a\r\r\n"),
    ("CR alone as a line", b"\r\r\n"),
];

/// White space between a field name and its colon. A request must not have it; a proxy removes it from a response
/// (RFC 9112 §5.1).
pub(crate) const SPACE_BEFORE_COLON: &[BadFields] = &[
    ("space before the colon", b"X : a\r\n"),
    ("tab before the colon", b"X\t: a\r\n"),
    ("length before a space and a colon", b"Content-Length : 3\r\n"),
    ("coding before a space and a colon", b"Transfer-Encoding : chunked\r\n"),
];

/// A chunked body with an error.
pub(crate) struct BadChunks {
    pub(crate) name: &'static str,
    /// The bytes before the error, which may be forwarded.
    pub(crate) good: Vec<u8>,
    /// The error, and bytes that a lenient recipient would take for the end of the message.
    pub(crate) bad: Vec<u8>,
}

/// Returns errors in a chunked body (RFC 9112 §7.1).
pub(crate) fn bad_chunks() -> Vec<BadChunks> {
    let bad = |name, good: &[u8], bad: &[u8]| BadChunks { name, good: good.to_vec(), bad: bad.to_vec() };
    // The proxy chooses the limit; the data after the overlong line must not pass.
    let long_extension = [b"1;".as_slice(), &vec![b'e'; 70_000]].concat();
    vec![
        bad("empty size line", b"", b"\r\n0\r\n\r\n"),
        bad("extension without a size", b"", b";a\r\n0\r\n\r\n"),
        bad("size with 0x", b"0", b"x5\r\nabcde\r\n0\r\n\r\n"),
        bad("space before the size", b"", b" 5\r\nabcde\r\n0\r\n\r\n"),
        bad("size with a plus", b"", b"+5\r\nabcde\r\n0\r\n\r\n"),
        bad("size with a minus", b"", b"-1\r\nabcde\r\n0\r\n\r\n"),
        bad("size with another letter", b"5", b"g\r\nabcde\r\n0\r\n\r\n"),
        bad("size with an underscore", b"1", b"_0\r\n0123456789abcdef\r\n0\r\n\r\n"),
        bad("size of 17 digits", b"0000000000000000", b"1\r\nx\r\n0\r\n\r\n"),
        bad("size of 2^63 and more", b"fffffffffffffff", b"ff\r\nx\r\n0\r\n\r\n"),
        bad("size and a word", b"5 ", b"x\r\nabcde\r\n0\r\n\r\n"),
        bad("size before a bare LF", b"5", b"\nabcde\r\n0\r\n\r\n"),
        bad("size before a bare CR", b"5\r", b"Xabcde\r\n0\r\n\r\n"),
        bad("bare LF in an extension", b"5;a", b"\nabcde\r\n0\r\n\r\n"),
        bad("bare CR in an extension", b"5;a\r", b"bcde\r\n0\r\n\r\n"),
        bad("NUL in an extension", b"5;a", b"\0\r\nabcde\r\n0\r\n\r\n"),
        bad("data longer than its size", b"5\r\nabcde", b"f\r\n0\r\n\r\n"),
        bad("data shorter than its size", b"5\r\nabc\r\n", b"0\r\n\r\n"),
        bad("bare LF after data", b"5\r\nabcde", b"\n0\r\n\r\n"),
        bad("bare CR after data", b"5\r\nabcde\r", b"X0\r\n\r\n"),
        bad("no CRLF after data", b"5\r\nabcde", b"0\r\n\r\n"),
        bad("last chunk before a bare LF", b"0", b"\n\r\n"),
        bad("end before a bare LF", b"0\r\n", b"\n"),
        bad("end before a bare CR", b"0\r\n\r", b"X"),
        bad("length as a trailer", b"0\r\nContent-Length", b": 5\r\n\r\n"),
        bad("coding as a trailer", b"0\r\nX: y\r\nTransfer-Encoding", b": chunked\r\n\r\n"),
        bad("host as a trailer", b"0\r\nHost", b": b\r\n\r\n"),
        bad("folded trailer", b"0\r\nX: y\r\n", b" z\r\n\r\n"),
        bad("trailer with a space before the colon", b"0\r\nX", b" : y\r\n\r\n"),
        bad("trailer without a colon", b"0\r\nX", b"\r\n\r\n"),
        bad("trailer with a bare LF", b"0\r\nX: y", b"\n\r\n"),
        bad("trailer with a bare CR", b"0\r\nX: y\r", b"Z: a\r\n\r\n"),
        bad("trailer with a NUL", b"0\r\nX: ", b"\0\r\n\r\n"),
        bad("extension of 70,000 bytes", &long_extension, b"\r\nx\r\n0\r\n\r\n"),
    ]
}

//! Tells the protocol of a connection by the client's first bytes.

use crate::http1::fields::is_token;

/// The beginning of every HTTP/2 connection (RFC 9113 §3.4).
pub(crate) const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// No method in use comes near; it bounds how long other protocols are looked at.
const LONGEST_METHOD: usize = 32;
/// A request line that has not ended by then is left to the HTTP/1 relay, whose head limit speaks of it.
const LONGEST_LOOK: usize = 8 * 1024;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A request line came first.
    Http1,
    /// The preface of HTTP/2 came first.
    Http2,
    /// A record of a TLS handshake came first.
    Tls,
    /// Anything else.
    Opaque,
}

/// The protocol, as soon as the bytes leave no doubt.
pub fn detect(bytes: &[u8]) -> Option<Protocol> {
    if bytes.starts_with(HTTP2_PREFACE) {
        return Some(Protocol::Http2);
    }
    if HTTP2_PREFACE.starts_with(bytes) {
        return None;
    }
    let line = match bytes {
        b"\r" => return None,
        // A record of the type handshake (22), of any version that there is (RFC 8446 §5.1).
        [0x16] => return None,
        [0x16, 3, ..] => return Some(Protocol::Tls),
        // An empty line before the request line is ignored by servers (RFC 9112 §2.2).
        [b'\r', b'\n', line @ ..] => line,
        line => line,
    };
    match line.iter().position(|b| *b == b'\n') {
        Some(end) => Some(of_whole_line(line.get(..end).unwrap_or_default())),
        None => of_open_line(line),
    }
}

/// `METHOD SP TARGET SP HTTP/x.y`, loosely: the HTTP/1 relay judges strictly what looks like one.
fn of_whole_line(line: &[u8]) -> Protocol {
    // As it would have been judged before its end had come.
    if let Some(judged) = of_open_line(line.get(..LONGEST_LOOK).unwrap_or(line)) {
        return judged;
    }
    let whole = line.strip_suffix(b"\r").unwrap_or(line);
    // A bare CR in or behind what is a request line otherwise makes it a faulty request, and no other protocol.
    let up_to_cr = whole.split(|b| *b == b'\r').next().unwrap_or_default();
    let named = names_version(whole) || names_version(up_to_cr);
    if named && method_is_plausible(whole) { Protocol::Http1 } else { Protocol::Opaque }
}

/// Lenient servers take more than spaces for the limits of the words (RFC 9112 §3), so that a version behind a tab names
/// a request, too: a faulty one.
fn names_version(line: &[u8]) -> bool {
    let last_word = line.rsplit(|b| b" \t\x0b\x0c\r".contains(b)).find(|word| !word.is_empty());
    last_word.is_some_and(|word| word.starts_with(b"HTTP/") && word.len() < line.len())
}

fn of_open_line(line: &[u8]) -> Option<Protocol> {
    // A control character behind a method is for the end of the line to judge: with a version there, the request is a
    // faulty one.
    if !method_is_plausible(line) {
        return Some(Protocol::Opaque);
    }
    (line.len() >= LONGEST_LOOK).then_some(Protocol::Http1)
}

/// Whether the line begins with a token and a space, or with what may become that.
fn method_is_plausible(line: &[u8]) -> bool {
    let method = line.split(|b| *b == b' ').next().unwrap_or_default();
    let begun = !method.is_empty() || line.is_empty();
    begun && method.len() <= LONGEST_METHOD && method.iter().all(|b| is_token(*b))
}

/// Whether the app's first bytes can be the SETTINGS with which every HTTP/2 server begins (RFC 9113 §3.4).
pub fn may_begin_http2(bytes: &[u8]) -> bool {
    match *bytes {
        // A server has no use for more than a few settings: 85 of them fit into one length byte.
        [0, 0, length, 4, 0, 0, 0, 0, 0, ..] => length.is_multiple_of(6),
        [_, _, _, _, _, _, _, _, _, ..] => false,
        _ => [0, 0].starts_with(bytes.get(..2).unwrap_or(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_protocols_apart_and_waits_no_longer_than_needed() {
        for (bytes, protocol, needed) in [
            (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], Protocol::Http1, 16),
            (b"\r\nGET / HTTP/1.1\r\n", Protocol::Http1, 18),
            (b"GET / HTTP/1.1\n", Protocol::Http1, 15),
            (b"GET / HTTP/1.1\rHost: a\r\n\r\n", Protocol::Http1, 24),
            (b"GET /a\rb HTTP/1.1\r\n", Protocol::Http1, 19),
            (b"GET / HTTP/9.9\r\n", Protocol::Http1, 16),
            (b"GET /\xc3\xa9 HTTP/1.1\r\n", Protocol::Http1, 18),
            (b"PRI / HTTP/1.1\r\n", Protocol::Http1, 16),
            (b"BASELINE-CONTROL / HTTP/1.1\r\n", Protocol::Http1, 29),
            (HTTP2_PREFACE, Protocol::Http2, HTTP2_PREFACE.len()),
            (b"PRI * HTTP/2.0\r\n\r\nXX", Protocol::Http1, 19),
            (b"\x16\x03\x01\x02\x00\x01", Protocol::Tls, 2),
            (b"\x16\x02\x01\x02\x00\x01", Protocol::Opaque, 2),
            (b"GET /\r\n", Protocol::Opaque, 7),
            (b"PING\r\n", Protocol::Opaque, 5),
            (b"EHLO example.org\r\n", Protocol::Opaque, 18),
            (b" GET / HTTP/1.1\r\n", Protocol::Opaque, 1),
            (b"*1\r\n$4\r\nPING\r\n", Protocol::Opaque, 3),
            (b"\r\n\r\n", Protocol::Opaque, 3),
            (b"GET /\x00 HTTP/1.1\r\n", Protocol::Http1, 17),
            (b"GET /\x00\r\n", Protocol::Opaque, 8),
            (b"GET\x00 /", Protocol::Opaque, 4),
            (b"GET /a\tHTTP/1.1\r\n", Protocol::Http1, 17),
            (b"HTTP/1.1\r\n", Protocol::Opaque, 5),
        ] {
            let shown = String::from_utf8_lossy(bytes);
            for length in 0..needed {
                assert_eq!(detect(&bytes[..length]), None, "{shown:?} after {length}");
            }
            for length in needed..=bytes.len() {
                assert_eq!(detect(&bytes[..length]), Some(protocol), "{shown:?} after {length}");
            }
        }
    }

    #[test]
    fn http2_servers_speak_first() {
        for good in [&b"\0"[..], b"\0\0", b"\0\0\x06\x04", b"\0\0\0\x04\0\0\0\0\0", b"\0\0\x06\x04\0\0\0\0\0\0\x03"] {
            assert!(may_begin_http2(good), "{good:?}");
        }
        for bad in
            [&b"220 smtp"[..], b"\0\x01", b"SSH-2.0-OpenSSH", b"\0\0\x05\x04\0\0\0\0\0", b"\0\0\x06\x07\0\0\0\0\0"]
        {
            assert!(!may_begin_http2(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_way_that_a_line_arrives_changes_nothing() {
        for line in ["GET /\u{1} HTTP/1.1\r\n".to_owned(), format!("GET /{}\r\n", "a".repeat(LONGEST_LOOK))] {
            let byte_by_byte = (1..=line.len()).find_map(|n| detect(&line.as_bytes()[..n]));
            assert_eq!(byte_by_byte, detect(line.as_bytes()), "{line:?}");
        }
    }

    #[test]
    fn a_long_line_goes_to_http1() {
        let line = [b"GET /", &[b'a'; LONGEST_LOOK][..]].concat();
        assert_eq!(detect(&line[..LONGEST_LOOK - 1]), None);
        assert_eq!(detect(&line[..LONGEST_LOOK]), Some(Protocol::Http1));
        assert_eq!(detect(&[b'A'; LONGEST_METHOD]), None);
        assert_eq!(detect(&[b'A'; LONGEST_METHOD + 1]), Some(Protocol::Opaque));
    }
}

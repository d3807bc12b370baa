//! The verdict at every prefix of the first bytes of clients.

use super::Verdict::{Certain, Likely, Unlikely};
use super::*;

/// First bytes, their protocol, the number of bytes after which it is certain, and after which it is unlikely HTTP.
const FIRST_BYTES: &[(&[u8], Protocol, usize, Option<usize>)] = &[
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Protocol::Http1, 15, None),
    (b"\r\nGET / HTTP/1.1\r\n", Protocol::Http1, 17, None),
    (b"\r\n\r\nGET / HTTP/1.1\r\n", Protocol::Http1, 19, None),
    (b"GET / HTTP/1.1\n", Protocol::Http1, 15, None),
    (b"GET / HTTP/1.1\rHost: a\r\n\r\n", Protocol::Http1, 15, None),
    (b"GET / HTTP/1.1 \r\n", Protocol::Http1, 17, None),
    (b"GET / HTTP/1.1 200 5ms\n", Protocol::Opaque, 23, None),
    (b"GET /a\rb HTTP/1.1\r\n", Protocol::Http1, 18, None),
    (b"GET /a b HTTP/1.1\r\n", Protocol::Http1, 18, None),
    (b"GET  / HTTP/1.1\r\n", Protocol::Http1, 16, None),
    (b"GET  HTTP/1.1\r\n", Protocol::Http1, 14, None),
    (b"GET / HTTP/9.9\r\n", Protocol::Http1, 15, None),
    (b"GET /\xc3\xa9 HTTP/1.1\r\n", Protocol::Http1, 17, None),
    (b"GET /\x00 HTTP/1.1\r\n", Protocol::Http1, 16, None),
    (b"GET \x00/ HTTP/1.1\r\n", Protocol::Http1, 16, None),
    (b"GET /a\tHTTP/1.1\r\n", Protocol::Http1, 16, None),
    (b"GET http://a/b HTTP/1.1\r\n", Protocol::Http1, 24, None),
    (b"CONNECT a:443 HTTP/1.1\r\n", Protocol::Http1, 23, None),
    (b"CONNECT [::1]:443 HTTP/1.1\r\n", Protocol::Http1, 27, None),
    (b"OPTIONS * HTTP/1.1\r\n", Protocol::Http1, 19, None),
    (b"PRI / HTTP/1.1\r\n", Protocol::Http1, 15, None),
    (b"BASELINE-CONTROL / HTTP/1.1\r\n", Protocol::Http1, 28, None),
    (b"RPC_IN_DATA / HTTP/1.1\r\n", Protocol::Http1, 23, None),
    (b"PRI * HTTP/2.0\r\n\r\nXX", Protocol::Http1, 19, None),
    (HTTP2_PREFACE, Protocol::Http2, HTTP2_PREFACE.len(), None),
    (b"\x16\x03\x01\x02\x00\x01", Protocol::Tls, 2, None),
    (b"\x16\x02\x01\x02\x00\x01", Protocol::Opaque, 1 + 1, None),
    // Unusual methods.
    (b"get / HTTP/1.1\r\n", Protocol::Http1, 15, Some(1)),
    (b"Get / HTTP/1.1\r\n", Protocol::Http1, 15, Some(2)),
    (b"1A / HTTP/1.1\r\n", Protocol::Http1, 14, Some(1)),
    (b"!#$ / HTTP/1.1\r\n", Protocol::Http1, 15, Some(1)),
    // Other protocols.
    (b"296 <34>1 2024-05-01T10:00:00Z a GET / HTTP/1.1\n", Protocol::Opaque, 5, Some(1)),
    (b"web1 GET / HTTP/1.1\n", Protocol::Opaque, 9, Some(1)),
    (b"INFO GET /path HTTP/1.1\n", Protocol::Opaque, 9, None),
    (b"JDWP-Handshake", Protocol::Opaque, usize::MAX, Some(7)),
    (b"0032git-upload-pack /a\0host=b\0", Protocol::Opaque, usize::MAX, Some(1)),
    (b"get k\r\n", Protocol::Opaque, 6, Some(1)),
    (b"ruok", Protocol::Opaque, usize::MAX, Some(1)),
    (b"AMQP\0\0\x09\x01", Protocol::Opaque, 5, None),
    (b"CONNECT\nhost:a\n\n\0", Protocol::Opaque, 8, None),
    (b"CONNECT {\"verbose\":false}\r\n", Protocol::Opaque, 27, None),
    (b"NICK x\r\n", Protocol::Opaque, 7, None),
    (b"SET key value\r\n", Protocol::Opaque, 8, None),
    (b"EHLO [127.0.0.1]\r\n", Protocol::Opaque, 6, None),
    (b"EHLO example.org\r\n", Protocol::Opaque, 17, None),
    (b"MAIL FROM:<a@b>\r\n", Protocol::Opaque, 11, None),
    (b"OPTIONS sip:a@b SIP/2.0\r\n", Protocol::Opaque, 13, None),
    (b"OPTIONS rtsp://a/b RTSP/1.0\r\n", Protocol::Opaque, 29, None),
    (b"SSH-2.0-OpenSSH_9.9\r\n", Protocol::Opaque, 20, Some(6)),
    (b"A\0\0\0", Protocol::Opaque, 2, None),
    (b"GET /\r\n", Protocol::Opaque, 7, None),
    (b"PING\r\n", Protocol::Opaque, 5, None),
    (b" GET / HTTP/1.1\r\n", Protocol::Opaque, 1, None),
    (b"\nGET / HTTP/1.1\r\n", Protocol::Opaque, 1, None),
    (b"\r\n\nGET / HTTP/1.1\r\n", Protocol::Opaque, 3, None),
    (b"\rGET / HTTP/1.1\r\n", Protocol::Opaque, 2, None),
    (b"*1\r\n$4\r\nPING\r\n", Protocol::Opaque, 3, Some(1)),
    (b"<34>1 ", Protocol::Opaque, 1, None),
    (b"\0\0\0\x08", Protocol::Opaque, 1, None),
    (b"\r\n\r\n\0\r\nQUIT\n", Protocol::Opaque, 5, None),
    (b"GET\x00 /", Protocol::Opaque, 4, None),
    (b"HTTP/1.1\r\n", Protocol::Opaque, 5, None),
];

#[test]
fn every_prefix_of_the_first_bytes_is_detected_or_undecided() {
    for (bytes, protocol, certain, unlikely) in FIRST_BYTES {
        let shown = bytes.escape_ascii();
        for length in 0..=bytes.len() {
            let expected = match unlikely {
                _ if length >= *certain => Certain(*protocol),
                Some(from) if length >= *from => Unlikely,
                Some(_) | None => Likely,
            };
            assert_eq!(detect(&bytes[..length]), expected, "{shown} after {length}");
        }
    }
}

#[test]
fn long_first_lines_are_detected() {
    for (front, rest, protocol) in [
        ("GET /", "a", Protocol::Http1),
        ("get http://", "a", Protocol::Http1),
        ("GET / ", " ", Protocol::Http1),
        ("MAGIC /a b", "b", Protocol::Opaque),
        ("MAGIC a", "b", Protocol::Opaque),
        ("\r\nMAGIC /a b", " b", Protocol::Opaque),
    ] {
        let line = format!("{front}{}", rest.repeat(2 * MOST_EXAMINED));
        let limit = if line.starts_with('\r') { MOST_EXAMINED + 2 } else { MOST_EXAMINED };
        let expected = |length: usize| detect(&line.as_bytes()[..length]);
        assert!(!matches!(expected(limit - 1), Certain(_)), "{front:?}");
        assert_eq!(expected(limit), Certain(protocol), "{front:?}");
        for end in ["\r\n", " HTTP/1.1\r\n"] {
            assert_eq!(detect(format!("{line}{end}").as_bytes()), Certain(protocol), "{front:?}");
        }
    }
    assert_eq!(detect(&[b'A'; LONGEST_METHOD]), Likely);
    assert_eq!(detect(&[b'A'; LONGEST_METHOD + 1]), Certain(Protocol::Opaque));
    assert_eq!(detect(&[b'a'; LONGEST_METHOD + 1]), Certain(Protocol::Opaque));
}

#[test]
fn the_first_bytes_of_an_http2_server_are_recognized() {
    for good in [&b"\0"[..], b"\0\0", b"\0\0\x06\x04", b"\0\0\0\x04\0\0\0\0\0", b"\0\0\x06\x04\0\0\0\0\0\0\x03"] {
        assert!(may_begin_http2(good), "{good:?}");
    }
    for bad in [&b"220 smtp"[..], b"\0\x01", b"SSH-2.0-OpenSSH", b"\0\0\x05\x04\0\0\0\0\0", b"\0\0\x06\x07\0\0\0\0\0"] {
        assert!(!may_begin_http2(bad), "{bad:?}");
    }
}

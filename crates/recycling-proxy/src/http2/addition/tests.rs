//! What a session makes of a client's frames where the app is told of the client.

use settings::{Jitter, MaxRequests};

use super::*;
use crate::http2::session::Session;
use retirement::Limits;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FIELD: &[u8] = b"\0\x0fx-forwarded-for\x0a192.0.2.10";
/// `GET http://a/` in HPACK.
const REQUEST: &[u8] = b"\x82\x86\x84\x41\x01a";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Returns what the app gets of these pieces, and the fault in them.
fn pass(pieces: &[&[u8]]) -> (Vec<u8>, Option<Fault>) {
    let limits = Limits::draw(MaxRequests::new(1000).unwrap(), None, Jitter::NONE, 0);
    let client = ForwardedFor::new("::ffff:192.0.2.10".parse().unwrap());
    let mut session = Session::new(limits, [0; 8]).forwarding(Some(client));
    let (mut buffer, mut passed) = (Buffer::default(), Vec::new());
    for mut piece in [PREFACE].into_iter().chain(pieces.iter().copied()) {
        while !piece.is_empty() {
            let room = buffer.room();
            let (now, later) = piece.split_at(piece.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            buffer.filled(now.len());
            piece = later;
            let examined = session.examine_client(&mut buffer);
            passed.extend(buffer.send());
            if let Err(offence) = examined {
                return (passed[PREFACE.len()..].to_vec(), Some(offence.fault));
            }
        }
    }
    (passed[PREFACE.len()..].to_vec(), None)
}

/// Frames of a client, and what becomes of them.
fn cases() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let all = END_HEADERS | END_STREAM;
    let told = [REQUEST, FIELD].concat();
    let long = |length: usize| [&b"\x82\0\x01n\x7f"[..], &number(length - 7), &vec![b'v'; length - 7]].concat();
    let longest = long(16_384 - FIELD.len());
    let longer = long(16_384 - FIELD.len() + 1);
    let padded = |length: u8, fields: &[u8]| [&[length][..], fields, &vec![0; length.into()]].concat();
    let priority = |fields: &[u8]| [&b"\0\0\0\x01\x0f"[..], fields].concat();
    vec![
        ("one frame", frame(HEADERS, all, 1, REQUEST), frame(HEADERS, all, 1, &told)),
        (
            "padding stays behind the fields",
            frame(HEADERS, all | PADDED, 1, &padded(3, REQUEST)),
            frame(HEADERS, all | PADDED, 1, &padded(3, &told)),
        ),
        (
            "a priority is no field",
            frame(HEADERS, all | PRIORITY, 1, &priority(REQUEST)),
            frame(HEADERS, all | PRIORITY, 1, &priority(&told)),
        ),
        (
            "padding and priority",
            frame(HEADERS, all | PADDED | PRIORITY, 1, &padded_priority(7, REQUEST)),
            frame(HEADERS, all | PADDED | PRIORITY, 1, &padded_priority(7, &told)),
        ),
        (
            "a block of several frames",
            [
                frame(HEADERS, END_STREAM | PADDED, 1, &padded(2, &REQUEST[..4])),
                frame(CONTINUATION, 0, 1, &REQUEST[4..5]),
                frame(CONTINUATION, END_HEADERS, 1, &REQUEST[5..]),
            ]
            .concat(),
            [
                frame(HEADERS, END_STREAM | PADDED, 1, &padded(2, &REQUEST[..4])),
                frame(CONTINUATION, 0, 1, &REQUEST[4..5]),
                frame(CONTINUATION, END_HEADERS, 1, &[&REQUEST[5..], FIELD].concat()),
            ]
            .concat(),
        ),
        (
            "a last frame without a field",
            [frame(HEADERS, END_STREAM, 1, REQUEST), frame(CONTINUATION, END_HEADERS, 1, b"")].concat(),
            [frame(HEADERS, END_STREAM, 1, REQUEST), frame(CONTINUATION, END_HEADERS, 1, FIELD)].concat(),
        ),
        (
            "the longest frame that can be longer",
            frame(HEADERS, all, 1, &longest),
            frame(HEADERS, all, 1, &[&longest, FIELD].concat()),
        ),
        (
            "one that cannot",
            frame(HEADERS, all, 1, &longer),
            [frame(HEADERS, END_STREAM, 1, &longer), frame(CONTINUATION, END_HEADERS, 1, FIELD)].concat(),
        ),
        (
            "nor a CONTINUATION",
            [frame(HEADERS, END_STREAM, 1, REQUEST), frame(CONTINUATION, END_HEADERS, 1, &longer)].concat(),
            [
                frame(HEADERS, END_STREAM, 1, REQUEST),
                frame(CONTINUATION, 0, 1, &longer),
                frame(CONTINUATION, END_HEADERS, 1, FIELD),
            ]
            .concat(),
        ),
        (
            "nor one with padding, which is left out",
            frame(HEADERS, all | PADDED, 1, &padded(100, &long(16_384 - 101))),
            [
                frame(HEADERS, END_STREAM | PADDED, 1, &padded(0, &long(16_384 - 101))),
                frame(CONTINUATION, END_HEADERS, 1, FIELD),
            ]
            .concat(),
        ),
        (
            "trailers, and what is no field",
            [
                frame(HEADERS, END_HEADERS, 1, REQUEST),
                frame(DATA, 0, 1, b"body"),
                frame(HEADERS, END_STREAM, 1, b"\0\x01t"),
                frame(CONTINUATION, END_HEADERS, 1, b"\x01v"),
                frame(HEADERS, all, 3, REQUEST),
            ]
            .concat(),
            [
                frame(HEADERS, END_HEADERS, 1, &told),
                frame(DATA, 0, 1, b"body"),
                frame(HEADERS, END_STREAM, 1, b"\0\x01t"),
                frame(CONTINUATION, END_HEADERS, 1, b"\x01v"),
                frame(HEADERS, all, 3, &told),
            ]
            .concat(),
        ),
    ]
}

/// Returns the rest of a string's length beyond its first octet (RFC 7541 §5.1); two octets, as for 127 + 128 and up.
fn number(length: usize) -> [u8; 2] {
    let rest = length - 127;
    [u8::try_from(rest % 128).unwrap() | 0x80, u8::try_from(rest / 128).unwrap()]
}

fn padded_priority(length: u8, fields: &[u8]) -> Vec<u8> {
    [&[length, 0, 0, 0, 1, 0x0f][..], fields, &vec![0; length.into()]].concat()
}

#[test]
fn the_field_is_added_after_the_clients_fields() {
    for (name, sent, expected) in cases() {
        let (passed, fault) = pass(&[&sent]);
        assert_eq!(fault, None, "{name}");
        assert!(passed == expected, "{name}: {}\nis not {}", passed.escape_ascii(), expected.escape_ascii());
    }
}

#[test]
fn the_added_field_does_not_depend_on_how_frames_are_split() {
    for (name, sent, expected) in cases() {
        for cut in (0..sent.len()).filter(|cut| *cut < 100 || sent.len() - cut < 100) {
            assert!(pass(&[&sent[..cut], &sent[cut..]]).0 == expected, "{name} cut at {cut}");
        }
        let bytes: Vec<&[u8]> = sent.chunks(1).collect();
        assert!(pass(&bytes).0 == expected, "{name}, byte by byte");
    }
}

/// The rest of the client's own field would be ours, and the app would not see the address.
#[test]
fn a_block_that_ends_within_a_field_is_refused() {
    for fields in [&b"\x82\0\x01x\x1b"[..], b"\x82\0", b"\x82\x7f", b"\x82\0\x01x\x7f\x80"] {
        let sent = frame(HEADERS, END_HEADERS | END_STREAM, 1, fields);
        let (passed, fault) = pass(&[&sent]);
        assert_eq!(fault, Some(Fault::BadFieldBlock), "{}", fields.escape_ascii());
        let promised = usize::from(passed[2]) + HEADER;
        assert!(passed.len() < promised, "the app has no whole frame: {}", passed.escape_ascii());
    }
}

#[test]
fn padding_beyond_the_frame_is_refused() {
    for (flags, payload) in [(PADDED, &b"\x06\x82\x86"[..]), (PADDED | PRIORITY, b"\0\0\0\0\x01"), (PADDED, b"")] {
        let sent = frame(HEADERS, END_HEADERS | flags, 1, payload);
        assert_eq!(pass(&[&sent]), (Vec::new(), Some(Fault::BrokenFieldBlock)), "{}", payload.escape_ascii());
    }
}

/// On a stream that was never open, or is no longer, an app might take it for a request.
#[test]
fn only_trailers_of_an_open_stream_get_no_field() {
    let reset = [0, 0, 4, 3, 0, 0, 0, 0, 5, 0, 0, 0, 8];
    let all = END_HEADERS | END_STREAM;
    let sent = [&frame(HEADERS, END_HEADERS, 5, REQUEST)[..], &reset, &frame(HEADERS, all, 5, REQUEST)].concat();
    let told = [REQUEST, FIELD].concat();
    let expected = [&frame(HEADERS, END_HEADERS, 5, &told)[..], &reset, &frame(HEADERS, all, 5, &told)].concat();
    assert_eq!(pass(&[&sent]), (expected, None));
    let sent = [frame(HEADERS, END_HEADERS, 5, REQUEST), frame(HEADERS, all, 3, REQUEST)].concat();
    let expected = [frame(HEADERS, END_HEADERS, 5, &told), frame(HEADERS, all, 3, &told)].concat();
    assert_eq!(pass(&[&sent]), (expected, None));
}

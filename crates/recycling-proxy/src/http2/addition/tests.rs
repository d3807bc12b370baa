//! The frames of a client with its address added.

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

/// Returns the bytes that the app gets if the client's arrive in these pieces, and the fault in them.
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

/// A name, the frames of a client, and those that the app gets.
type Case = (&'static str, Vec<u8>, Vec<u8>);

const ALL: u8 = END_HEADERS | END_STREAM;

fn cases() -> Vec<Case> {
    [blocks_in_one_frame(), blocks_in_several_frames(), frames_of_the_maximum_length()].concat()
}

fn blocks_in_one_frame() -> Vec<Case> {
    let extended = [REQUEST, FIELD].concat();
    let priority = |fields: &[u8]| [&b"\0\0\0\x01\x0f"[..], fields].concat();
    vec![
        ("one frame", frame(HEADERS, ALL, 1, REQUEST), frame(HEADERS, ALL, 1, &extended)),
        (
            "padding stays after the fields",
            frame(HEADERS, ALL | PADDED, 1, &padded(3, REQUEST)),
            frame(HEADERS, ALL | PADDED, 1, &padded(3, &extended)),
        ),
        (
            "a priority is no field",
            frame(HEADERS, ALL | PRIORITY, 1, &priority(REQUEST)),
            frame(HEADERS, ALL | PRIORITY, 1, &priority(&extended)),
        ),
        (
            "padding and priority",
            frame(HEADERS, ALL | PADDED | PRIORITY, 1, &padded_priority(7, REQUEST)),
            frame(HEADERS, ALL | PADDED | PRIORITY, 1, &padded_priority(7, &extended)),
        ),
    ]
}

fn blocks_in_several_frames() -> Vec<Case> {
    let extended = [REQUEST, FIELD].concat();
    vec![
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
            "trailers and DATA get no field",
            [
                frame(HEADERS, END_HEADERS, 1, REQUEST),
                frame(DATA, 0, 1, b"body"),
                frame(HEADERS, END_STREAM, 1, b"\0\x01t"),
                frame(CONTINUATION, END_HEADERS, 1, b"\x01v"),
                frame(HEADERS, ALL, 3, REQUEST),
            ]
            .concat(),
            [
                frame(HEADERS, END_HEADERS, 1, &extended),
                frame(DATA, 0, 1, b"body"),
                frame(HEADERS, END_STREAM, 1, b"\0\x01t"),
                frame(CONTINUATION, END_HEADERS, 1, b"\x01v"),
                frame(HEADERS, ALL, 3, &extended),
            ]
            .concat(),
        ),
    ]
}

/// The maximum is 16,384 octets.
fn frames_of_the_maximum_length() -> Vec<Case> {
    let longest = long_fields(16_384 - FIELD.len());
    let longer = long_fields(16_384 - FIELD.len() + 1);
    let with_padding = long_fields(16_384 - 101);
    vec![
        (
            "the longest frame that can be longer",
            frame(HEADERS, ALL, 1, &longest),
            frame(HEADERS, ALL, 1, &[&longest, FIELD].concat()),
        ),
        (
            "a frame that cannot be longer",
            frame(HEADERS, ALL, 1, &longer),
            [frame(HEADERS, END_STREAM, 1, &longer), frame(CONTINUATION, END_HEADERS, 1, FIELD)].concat(),
        ),
        (
            "a CONTINUATION that cannot be longer",
            [frame(HEADERS, END_STREAM, 1, REQUEST), frame(CONTINUATION, END_HEADERS, 1, &longer)].concat(),
            [
                frame(HEADERS, END_STREAM, 1, REQUEST),
                frame(CONTINUATION, 0, 1, &longer),
                frame(CONTINUATION, END_HEADERS, 1, FIELD),
            ]
            .concat(),
        ),
        (
            "a frame with padding, which is removed",
            frame(HEADERS, ALL | PADDED, 1, &padded(100, &with_padding)),
            [
                frame(HEADERS, END_STREAM | PADDED, 1, &padded(0, &with_padding)),
                frame(CONTINUATION, END_HEADERS, 1, FIELD),
            ]
            .concat(),
        ),
    ]
}

/// Returns fields of this length in octets.
fn long_fields(length: usize) -> Vec<u8> {
    [&b"\x82\0\x01n\x7f"[..], &number(length - 7), &vec![b'v'; length - 7]].concat()
}

fn padded(length: u8, fields: &[u8]) -> Vec<u8> {
    [&[length][..], fields, &vec![0; length.into()]].concat()
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

/// The added field would become the rest of the client's, and the app would not see the address.
#[test]
fn a_block_that_ends_within_a_field_is_refused() {
    for fields in [&b"\x82\0\x01x\x1b"[..], b"\x82\0", b"\x82\x7f", b"\x82\0\x01x\x7f\x80"] {
        let sent = frame(HEADERS, END_HEADERS | END_STREAM, 1, fields);
        let (passed, fault) = pass(&[&sent]);
        assert_eq!(fault, Some(Fault::BadFieldBlock), "{}", fields.escape_ascii());
        let promised = usize::from(passed[2]) + HEADER;
        assert!(passed.len() < promised, "the app has a complete frame: {}", passed.escape_ascii());
    }
}

#[test]
fn padding_beyond_the_frame_is_refused() {
    for (flags, payload) in [(PADDED, &b"\x06\x82\x86"[..]), (PADDED | PRIORITY, b"\0\0\0\0\x01"), (PADDED, b"")] {
        let sent = frame(HEADERS, END_HEADERS | flags, 1, payload);
        assert_eq!(pass(&[&sent]), (Vec::new(), Some(Fault::BrokenFieldBlock)), "{}", payload.escape_ascii());
    }
}

/// On a stream that is not open, an app could parse them as a request.
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

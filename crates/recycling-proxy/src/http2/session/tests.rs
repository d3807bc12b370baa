//! The core as a table of dialogues: frames in, frames out.

mod abandoned_streams;
mod graceful_shutdown;
mod pushes;

use std::time::Duration;

use proptest::prelude::*;
use settings::{Jitter, MaxRequests};

use super::*;
use crate::http2::frame::{ErrorCode, LEAST_MAX_FRAME, first_goaway, ping};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const OUR_PING: [u8; 8] = *b"evenkeel";
const LAST_PING: [u8; 8] = *b"\x9a\x89\x9a\x91\x94\x9a\x9a\x93";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[0, 3, 0, 0, 0, 100])
}

/// Returns HEADERS that are a complete request or response.
fn headers(stream: u32) -> Vec<u8> {
    frame(1, 0x5, stream, b"hpack")
}

fn ping_ack(payload: [u8; 8]) -> Vec<u8> {
    frame(6, 1, 0, &payload)
}

fn first_step() -> Vec<u8> {
    [first_goaway(), ping(OUR_PING)].concat()
}

fn last_step(last: u32) -> Vec<u8> {
    [goaway(last, ErrorCode::NoError), ping(LAST_PING)].concat()
}

struct Dialogue {
    session: Session,
    from_client: Buffer,
    from_app: Buffer,
    draining: bool,
}

impl Dialogue {
    fn with_limit(max_requests: u32) -> Self {
        let limits = Limits::draw(MaxRequests::new(max_requests).unwrap(), None, Jitter::NONE, 0);
        let session = Session::new(limits, OUR_PING);
        Self { session, from_client: Buffer::default(), from_app: Buffer::default(), draining: false }
    }

    /// Returns a dialogue after the prefaces of both sides.
    fn opened(max_requests: u32) -> Self {
        let mut dialogue = Self::with_limit(max_requests);
        dialogue.client(&[PREFACE, &settings()].concat());
        dialogue.app(&settings());
        dialogue
    }

    fn client(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.try_client(bytes).unwrap()
    }

    fn try_client(&mut self, bytes: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        self.from_client.receive(bytes);
        self.session.examine_client(&mut self.from_client).map(|()| self.from_client.send())
    }

    fn app(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.try_app(bytes).unwrap()
    }

    fn try_app(&mut self, bytes: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        self.from_app.receive(bytes);
        let state = || ConnectionState { age: Duration::ZERO, draining: self.draining, marked: false, uncounted: 0 };
        self.session.examine_app(&mut self.from_app, state)?;
        if self.session.holds_app() {
            assert!(self.session.step_is_over(&mut self.from_app));
            self.session.examine_app(&mut self.from_app, state)?;
        }
        Ok(self.from_app.send())
    }

    /// Ends the present step at its bound, with nothing in flight. Returns the bytes for the client.
    fn elapse(&mut self) -> Vec<u8> {
        assert!(self.session.step_is_over(&mut self.from_app));
        self.rest()
    }

    /// Returns the bytes for the client once nothing is in flight.
    fn rest(&mut self) -> Vec<u8> {
        self.session.nothing_in_flight(&mut self.from_app);
        self.from_app.send()
    }
}

/// An app without HTTP/2 answers the preface in HTTP/1.1. It could parse the next bytes of the client as a request.
#[test]
fn a_response_in_another_protocol_passes_verbatim() {
    let answer = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    for cut in 0..=answer.len() {
        let mut dialogue = Dialogue::with_limit(1);
        let hello = [PREFACE, &settings(), &headers(1)].concat();
        assert_eq!(dialogue.client(&hello), hello);
        let passed = [dialogue.app(&answer[..cut]), dialogue.app(&answer[cut..])].concat();
        assert_eq!(passed, answer, "cut at {cut}");
        assert_eq!(dialogue.client(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), b"");
        dialogue.draining = true;
        assert!(!dialogue.session.drain(true, &mut dialogue.from_app));
        assert_eq!(dialogue.rest(), b"");
    }
}

#[test]
fn an_incorrect_preface_is_refused() {
    let faulty = b"PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\n";
    for cut in 0..=faulty.len() {
        let mut dialogue = Dialogue::with_limit(1);
        let mut passed = dialogue.try_client(&faulty[..cut]);
        if passed.is_ok() {
            passed = dialogue.try_client(&faulty[cut..]);
        }
        assert_eq!(passed.unwrap_err().fault, Fault::BadPreface, "cut at {cut}");
    }
}

#[test]
fn frames_pass_verbatim() {
    let mut dialogue = Dialogue::with_limit(1000);
    let from_client = [
        PREFACE.to_vec(),
        settings(),
        frame(1, 0x1, 1, b"begin"),
        frame(9, 0x4, 1, b"end"),
        frame(0xfa, 0xff, 0, b"unknown"),
        frame(8, 0, 0, &[0, 0, 1, 0]),
        frame(6, 0, 0, b"theirown"),
        ping_ack(*b"theirown"),
        frame(1, 0x4, 3, b"post"),
        frame(0, 0x1, 3, &vec![7; 16_384]),
    ]
    .concat();
    let mut passed = Vec::new();
    for piece in from_client.chunks(1000) {
        passed.extend(dialogue.client(piece));
    }
    assert_eq!(passed, from_client);
    let from_app = [settings(), headers(1), frame(0, 0, 3, b""), frame(3, 0, 3, &[0; 4])].concat();
    assert_eq!(dialogue.app(&from_app), from_app);
    assert!(!dialogue.session.has_open_streams());
    assert_eq!(dialogue.session.requests_started(), 2);
}

#[test]
fn no_frame_of_ours_interrupts_a_field_block_or_a_frame() {
    let mut dialogue = Dialogue::opened(1000);
    dialogue.app(&frame(1, 0, 2, b"begin"));
    assert!(!dialogue.session.drain(false, &mut dialogue.from_app));
    dialogue.app(&frame(9, 4, 2, b"end"));
    let (first, rest) = (&frame(0, 0, 2, b"body")[..11].to_vec(), &frame(0, 0, 2, b"body")[11..].to_vec());
    dialogue.app(first);
    assert!(!dialogue.session.drain(false, &mut dialogue.from_app));
    dialogue.app(rest);
    dialogue.from_app.receive(&headers(2)[..5]);
    assert!(dialogue.session.drain(false, &mut dialogue.from_app), "a partial frame header is no boundary");
    assert_eq!(dialogue.from_app.send(), first_step());
    assert_eq!(dialogue.app(&headers(2)[5..]), headers(2));
}

#[test]
fn the_number_of_open_streams_is_bounded() {
    let mut dialogue = Dialogue::opened(1000);
    let mut open = |number: u32| dialogue.try_client(&headers(2 * number + 1)).map(|_| ());
    for number in 0..65_536 {
        open(number).unwrap();
    }
    assert_eq!(open(65_536), Err(ProtocolError::client(Fault::TooManyStreams)));
}

#[test]
fn a_protocol_error_ends_the_connection_before_the_frame_passes() {
    let too_long = [&(LEAST_MAX_FRAME + 1).to_be_bytes()[1..], &[0, 0, 0, 0, 0, 1]].concat();
    for (bytes, fault) in [
        (too_long, Fault::FrameTooLong),
        (frame(9, 4, 1, b""), Fault::BrokenFieldBlock),
        ([frame(1, 0, 1, b""), frame(0, 0, 1, b"")].concat(), Fault::BrokenFieldBlock),
        ([frame(1, 0, 1, b""), frame(9, 4, 3, b"")].concat(), Fault::BrokenFieldBlock),
        (headers(2), Fault::BadStreamNumber),
        (headers(0), Fault::WrongStream),
        (frame(0, 0, 0, b""), Fault::WrongStream),
        (frame(4, 0, 1, b""), Fault::WrongStream),
        (frame(6, 0, 1, &[0; 8]), Fault::WrongStream),
        (frame(6, 0, 0, &[0; 7]), Fault::WrongSize),
        (frame(4, 0, 0, &[0; 5]), Fault::WrongSize),
        (frame(4, 1, 0, &[0; 6]), Fault::WrongSize),
        (frame(3, 0, 1, &[0; 3]), Fault::WrongSize),
    ] {
        let mut dialogue = Dialogue::opened(1000);
        assert_eq!(dialogue.try_client(&bytes), Err(ProtocolError::client(fault)), "{bytes:?}");
    }
}

#[test]
fn longer_frames_pass_once_their_receiver_allows_them() {
    let long = frame(0, 0, 1, &vec![1; 16_385]);
    let (begin, rest) = long.split_at(10_000);
    let mut dialogue = Dialogue::opened(1000);
    dialogue.client(&headers(1));
    assert_eq!(dialogue.try_client(begin).unwrap_err().fault, Fault::FrameTooLong);
    let mut dialogue = Dialogue::opened(1000);
    dialogue.app(&frame(4, 0, 0, &[0, 1, 0, 0, 0, 9, 0, 5, 0, 1, 0, 0]));
    dialogue.client(&headers(1));
    assert_eq!([dialogue.client(begin), dialogue.client(rest)].concat(), long);
}

proptest! {
    #[test]
    fn frames_do_not_depend_on_how_they_are_split(cuts in prop::collection::vec(0usize..400, 0..8)) {
        let from_app = [
            settings(),
            headers(1),
            frame(0, 1, 1, b"some bytes"),
            frame(6, 0, 0, b"theirown"),
            frame(1, 0, 3, b"be"),
            frame(9, 4, 3, b"gin"),
            frame(0, 1, 3, b""),
        ].concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % from_app.len()).collect();
        cuts.extend([0, from_app.len()]);
        cuts.sort_unstable();
        let mut dialogue = Dialogue::opened(2);
        dialogue.client(&[headers(1), headers(3)].concat());
        let passed: Vec<u8> = cuts.windows(2).flat_map(|cut| dialogue.app(&from_app[cut[0]..cut[1]])).collect();
        let before_the_second = from_app.len() - frame(1, 0, 3, b"be").len() - frame(9, 4, 3, b"gin").len() - 9;
        let (first, second) = from_app.split_at(before_the_second);
        prop_assert_eq!(passed, [first, &first_step(), second].concat());
    }
}

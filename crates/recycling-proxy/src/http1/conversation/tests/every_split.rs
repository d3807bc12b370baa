//! The pure core of HTTP/1, with every message of the black-box tests cut at every place, and at every two places. The
//! forwarded bytes and the end of the connection never depend on the cuts.

#[path = "../../../../tests/black_box/exchange.rs"]
#[expect(dead_code, reason = "the messages are what is shared")]
mod exchange;
#[path = "../../../../tests/black_box/framing.rs"]
mod framing;

use std::time::Duration;

use crate::http1::conversation::{Conversation, ProtocolError};
use crate::http1::fault::Fault;
use crate::http1::phase::Phase;
use crate::relay::side::Side;
use crate::transport::buffer::Buffer;
use retirement::{ConnectionState, Limits, RetireReason};
use settings::{Jitter, MaxRequests};

use self::exchange::short;
use self::framing::{BAD_LENGTHS, BAD_LINES, SPACE_BEFORE_COLON, bad_chunks};

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// Longer than every message here but the one that is to be too long.
const HEAD_LIMIT: usize = 256;
/// Longer messages have too many pairs of cuts; only the endless chunk extension is longer.
const LONGEST: usize = 512;

/// The result of a conversation.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    to_app: Vec<u8>,
    to_client: Vec<u8>,
    phase: Phase,
    requests_started: u32,
    retired: Option<RetireReason>,
    error: Option<ProtocolError>,
}

#[test]
fn accepted_requests_pass_at_every_split() {
    for exchange in short() {
        every_cut_of_the_request(&exchange.name, &exchange.request, &[&exchange.response]);
    }
}

#[test]
fn accepted_responses_pass_or_announce_at_every_split() {
    for exchange in short() {
        every_cut_of_the_response(&exchange.name, &exchange.request, &exchange.response);
    }
}

#[test]
fn pipelined_requests_pass_at_every_split() {
    let upload = b"PUT / HTTP/1.1\r\nHost:\r\nTransfer-Encoding:chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    let bad = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    for (name, requests) in [
        ("three", [GET, upload, GET].concat()),
        ("an empty line between", [GET, b"\r\n", GET].concat()),
        ("a faulty one last", [GET, bad].concat()),
        ("half of one last", [GET, &upload[..upload.len() - 3]].concat()),
    ] {
        every_cut_of_the_request(name, &requests, &[OK, OK, OK]);
    }
}

#[test]
fn upgrade_offers_of_http_are_removed_at_every_split() {
    for (name, request, passed) in [
        (
            "alone",
            "GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nHost: a\r\nHTTP2-Settings: AAMAAABk\r\nUpgrade: h2c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        (
            "beside another, in front of a body and of another request",
            "PUT / HTTP/1.1\r\nupgrade: websocket , H2C\r\nconnection:x,upgrade\r\nHost:a\r\nContent-Length: 2\r\n\r\nhiGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "PUT / HTTP/1.1\r\nupgrade: websocket \r\nconnection:x,upgrade\r\nHost:a\r\nContent-Length: 2\r\n\r\nhiGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
    ] {
        let outcome = every_cut_of_the_request(name, request.as_bytes(), &[OK, OK]);
        assert_eq!(outcome.to_app.escape_ascii().to_string(), passed.escape_default().to_string(), "{name}");
    }
    let offer = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n";
    let switching = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let outcome = every_cut_of_the_response("taken up all the same", offer, switching);
    assert_eq!(outcome.error, Some(ProtocolError::app(Fault::UnaskedUpgrade)));
    assert!(outcome.to_client.is_empty());
}

#[test]
fn malformed_requests_are_refused_at_every_split() {
    for (name, fields) in BAD_LENGTHS.iter().chain(BAD_LINES).chain(SPACE_BEFORE_COLON) {
        let request = [b"POST / HTTP/1.1\r\nHost: a\r\n", *fields, b"\r\n0\r\n\r\n"].concat();
        let outcome = every_cut_of_the_request(name, &request, &[OK]);
        assert!(
            matches!(outcome.error, Some(ProtocolError { side: Side::Client, .. })) && outcome.to_app.is_empty(),
            "{name}: {outcome:?}"
        );
    }
    let long = [b"GET / HTTP/1.1\r\nHost: a\r\nX: ", [b'x'; HEAD_LIMIT].as_slice(), b"\r\n\r\n"].concat();
    let outcome = every_cut_of_the_request("too long", &long, &[OK]);
    assert_eq!(outcome.error, Some(ProtocolError::client(Fault::HeadTooLong)));
}

#[test]
fn malformed_responses_are_refused_at_every_split() {
    for (name, fields) in BAD_LENGTHS.iter().chain(BAD_LINES) {
        let response = [b"HTTP/1.1 200 OK\r\n", *fields, b"\r\n0\r\n\r\n"].concat();
        let outcome = every_cut_of_the_response(name, GET, &response);
        assert!(
            matches!(outcome.error, Some(ProtocolError { side: Side::App, .. })) && outcome.to_client.is_empty(),
            "{name}: {outcome:?}"
        );
    }
    let outcome = every_cut_of_the_response("a byte too much", GET, &[OK, b"!"].concat());
    assert_eq!((outcome.error, outcome.to_client.as_slice()), (Some(ProtocolError::app(Fault::Unsolicited)), OK));
}

#[test]
fn space_before_a_colon_is_removed_from_a_response_at_every_split() {
    let response = b"HTTP/1.1 200 OK\r\nX : a : b\r\nContent-Length\t: 2\r\n\r\nok";
    let outcome = every_cut_of_the_response("space before a colon", GET, response);
    assert_eq!(outcome.to_client, b"HTTP/1.1 200 OK\r\nX: a : b\r\nContent-Length: 2\r\n\r\nok");
}

#[test]
fn malformed_bodies_are_refused_at_every_split() {
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in bad_chunks().iter().filter(|chunks| chunks.good.len() < LONGEST) {
        let body = [chunks.good.as_slice(), &chunks.bad].concat();
        let outcome = every_cut_of_the_request(chunks.name, &[request, body.as_slice()].concat(), &[OK]);
        assert!(
            matches!(outcome.error, Some(ProtocolError { side: Side::Client, .. })),
            "{}: {outcome:?}",
            chunks.name
        );
        assert_eq!(outcome.to_app, [request, chunks.good.as_slice()].concat(), "{}", chunks.name);
        let outcome = every_cut_of_the_response(chunks.name, GET, &[response, body.as_slice()].concat());
        assert!(matches!(outcome.error, Some(ProtocolError { side: Side::App, .. })), "{}: {outcome:?}", chunks.name);
        assert_eq!(outcome.to_client, [response, chunks.good.as_slice()].concat(), "{}", chunks.name);
    }
}

fn every_cut_of_the_request(name: &str, request: &[u8], answers: &[&[u8]]) -> Outcome {
    let whole = converse(u32::MAX, &[request], &answers.iter().map(|answer| vec![*answer]).collect::<Vec<_>>());
    for_every_cut(request, |pieces| {
        let answers: Vec<_> = answers.iter().map(|answer| vec![*answer]).collect();
        assert_eq!(converse(u32::MAX, pieces, &answers), whole, "{name}: {}", shown(pieces));
    });
    whole
}

/// Checks responses also at limit 1, where they are the last. Returns the outcome without a limit.
fn every_cut_of_the_response(name: &str, request: &[u8], response: &[u8]) -> Outcome {
    let [_, whole] = [1, u32::MAX].map(|limit| {
        let whole = converse(limit, &[request], &[vec![response]]);
        for_every_cut(response, |pieces| {
            let outcome = converse(limit, &[request], &[pieces.to_vec()]);
            assert_eq!(outcome, whole, "{name}, limit {limit}: {}", shown(pieces));
        });
        whole
    });
    whole
}

fn for_every_cut(message: &[u8], mut check: impl FnMut(&[&[u8]])) {
    assert!(message.len() <= LONGEST, "{} bytes", message.len());
    for first in 0..message.len() {
        let (start, rest) = message.split_at(first);
        // If the first cut is at the beginning, the second is the only one.
        for second in 1..rest.len() {
            let (middle, end) = rest.split_at(second);
            check(&[start, middle, end]);
        }
    }
}

fn shown(pieces: &[&[u8]]) -> String {
    pieces.iter().map(|piece| piece.escape_ascii().to_string()).collect::<Vec<_>>().join(" | ")
}

/// Does exchanges in which each response arrives in these pieces, once its request was forwarded.
fn converse(limit: u32, client: &[&[u8]], answers: &[Vec<&[u8]>]) -> Outcome {
    let limits = Limits::draw(MaxRequests::new(limit).expect("a limit"), None, Jitter::NONE, 0);
    let mut wire = Wire {
        conversation: Conversation::new(limits, HEAD_LIMIT),
        from_client: Buffer::default(),
        from_app: Buffer::default(),
        to_app: Vec::new(),
        to_client: Vec::new(),
    };
    let error = wire.run(client, answers).err();
    Outcome {
        to_app: wire.to_app,
        to_client: wire.to_client,
        phase: wire.conversation.phase(),
        requests_started: wire.conversation.requests_started(),
        retired: wire.conversation.retired(),
        error,
    }
}

/// A conversation with its buffers. Cleared bytes are removed at once.
struct Wire {
    conversation: Conversation,
    from_client: Buffer,
    from_app: Buffer,
    to_app: Vec<u8>,
    to_client: Vec<u8>,
}

impl Wire {
    fn run(&mut self, client: &[&[u8]], answers: &[Vec<&[u8]>]) -> Result<(), ProtocolError> {
        for piece in client {
            self.from_client.receive(piece);
            self.request()?;
        }
        for answer in answers {
            if !self.conversation.request_is_done() {
                return Ok(());
            }
            for piece in answer {
                self.from_app.receive(piece);
                self.response()?;
                if self.conversation.phase().is_final() {
                    return Ok(());
                }
            }
            // Only now may the next request be examined.
            self.request()?;
        }
        Ok(())
    }

    fn request(&mut self) -> Result<(), ProtocolError> {
        let examined = self.conversation.examine_request(&mut self.from_client);
        self.to_app.extend(self.from_client.send());
        examined
    }

    fn response(&mut self) -> Result<(), ProtocolError> {
        let pipelined = Conversation::is_pipelined(self.from_client.unexamined());
        let state = || ConnectionState { age: Duration::ZERO, draining: false, marked: false, uncounted: 0 };
        let examined = self.conversation.examine_response(&mut self.from_app, pipelined, state);
        self.to_client.extend(self.from_app.send());
        examined?;
        self.conversation.exchange_done(&self.from_app)?;
        Ok(())
    }
}

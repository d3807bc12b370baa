//! The core as a table of dialogues: bytes in, bytes out, and how the connection ends.

mod every_split;

use proptest::prelude::*;
use settings::{Jitter, MaxRequests};

use super::response::PIPELINE_GRACE;
use super::*;
use retirement::ConnectionState;
use std::time::Duration;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LAST_OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// A conversation with its buffers. Cleared bytes are removed at once, as by peers that never stall.
struct Dialogue {
    conversation: Conversation,
    from_client: Buffer,
    from_app: Buffer,
    draining: bool,
}

impl Dialogue {
    fn with_limit(max_requests: u32) -> Self {
        let limits = Limits::draw(MaxRequests::new(max_requests).unwrap(), None, Jitter::NONE, 0);
        Self {
            conversation: Conversation::new(limits, 1024),
            from_client: Buffer::default(),
            from_app: Buffer::default(),
            draining: false,
        }
    }

    /// Adds bytes of the client. Returns those that are forwarded to the app.
    fn client_sends(&mut self, bytes: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        self.from_client.receive(bytes);
        self.pass_to_app()
    }

    fn pass_to_app(&mut self) -> Result<Vec<u8>, ProtocolError> {
        let (passed, examined) = self.examine();
        examined.map(|()| passed)
    }

    fn examine(&mut self) -> (Vec<u8>, Result<(), ProtocolError>) {
        let examined = self.conversation.examine_request(&mut self.from_client);
        (self.from_client.send(), examined)
    }

    /// Adds bytes of the app. Returns those that are forwarded to the client.
    fn app_sends(&mut self, bytes: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        self.from_app.receive(bytes);
        let pipelined = Conversation::is_pipelined(self.from_client.unexamined());
        let state = || ConnectionState { age: Duration::ZERO, draining: self.draining, marked: false, uncounted: 0 };
        self.conversation.examine_response(&mut self.from_app, pipelined, state)?;
        let passed = self.from_app.send();
        self.conversation.exchange_done(&self.from_app)?;
        Ok(passed)
    }

    fn exchange(&mut self, request: &[u8], response: &[u8]) -> Vec<u8> {
        assert_eq!(self.client_sends(request).unwrap(), request);
        self.app_sends(response).unwrap()
    }
}

#[test]
fn close_is_announced_at_the_limit_and_not_before() {
    for limit in [1, 2, 10] {
        let mut dialogue = Dialogue::with_limit(limit);
        for _ in 1..limit {
            assert_eq!(dialogue.exchange(GET, OK), OK);
            assert_eq!(dialogue.conversation.phase(), Phase::Idle);
        }
        assert_eq!(dialogue.exchange(GET, OK), LAST_OK);
        assert_eq!(dialogue.conversation.phase(), Phase::Lingering);
        assert_eq!(dialogue.conversation.retired(), Some(RetireReason::MaxRequests));
        assert_eq!(dialogue.conversation.requests_started(), limit);
    }
}

/// Empty lines after a body are no request (RFC 9112 §2.2).
const EMPTY_LINES: [&[u8]; 5] = [b"\r\n", b"\r\n\r\n", b"\r", b"\r\n\r", b"\r\n\r\n\r\n\r\n\r\n\r\n"];

#[test]
fn empty_lines_between_requests_are_ignored() {
    for lines in EMPTY_LINES {
        let mut dialogue = Dialogue::with_limit(2);
        assert_eq!(dialogue.exchange(GET, OK), OK);
        assert_eq!(dialogue.client_sends(lines).unwrap(), b"");
        assert!(dialogue.from_client.is_empty(), "an idle connection has bytes in flight");
        let rest = if lines.ends_with(b"\r") { &b"\n"[..] } else { b"" };
        assert_eq!(dialogue.client_sends(&[rest, GET].concat()).unwrap(), GET);
        assert_eq!(dialogue.app_sends(OK).unwrap(), LAST_OK);
    }
}

#[test]
fn empty_lines_after_the_last_request_do_not_delay_its_announcement() {
    for lines in EMPTY_LINES {
        for (limit, draining) in [(1, false), (1000, true)] {
            let mut dialogue = Dialogue::with_limit(limit);
            dialogue.draining = draining;
            assert_eq!(dialogue.client_sends(&[GET, lines].concat()).unwrap(), GET);
            assert_eq!(dialogue.app_sends(OK).unwrap(), LAST_OK, "{}", lines.escape_ascii());
        }
    }
}

/// Their bytes are limited before each head.
#[test]
fn empty_lines_before_a_request_are_bounded() {
    let most = b"\r\n".repeat(512);
    let mut dialogue = Dialogue::with_limit(10);
    for _ in 0..3 {
        assert_eq!(dialogue.client_sends(&[&most, GET].concat()).unwrap(), GET);
        assert_eq!(dialogue.app_sends(OK).unwrap(), OK);
    }
    assert_eq!(dialogue.client_sends(&most).unwrap(), b"");
    assert_eq!(dialogue.client_sends(b"\r"), Err(ProtocolError::client(Fault::HeadTooLong)));
}

/// They may belong to the other protocol.
#[test]
fn empty_lines_after_an_upgrade_pass_through_the_tunnel() {
    let upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n";
    let mut dialogue = Dialogue::with_limit(1);
    assert_eq!(dialogue.client_sends(&[&upgrade[..], b"\r\n"].concat()).unwrap(), upgrade);
    dialogue.app_sends(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").unwrap();
    assert_eq!(dialogue.from_client.unexamined(), b"\r\n");
}

#[test]
fn a_drain_announces_in_the_next_response() {
    let mut dialogue = Dialogue::with_limit(1000);
    assert_eq!(dialogue.exchange(GET, OK), OK);
    dialogue.draining = true;
    assert_eq!(dialogue.exchange(GET, OK), LAST_OK);
    assert_eq!(dialogue.conversation.retired(), Some(RetireReason::Drain));
}

#[test]
fn responses_of_connections_that_end_anyway_are_not_edited() {
    for (request, response) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"[..], OK),
        (b"GET / HTTP/1.0\r\n\r\n", OK),
        (GET, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (GET, b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let mut dialogue = Dialogue::with_limit(1);
        assert_eq!(dialogue.exchange(request, response), response);
        assert_eq!(dialogue.conversation.phase(), Phase::Lingering);
        assert_eq!(dialogue.conversation.retired(), None);
    }
}

#[test]
fn interim_responses_pass_without_an_announcement() {
    let mut dialogue = Dialogue::with_limit(1);
    dialogue.client_sends(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").unwrap();
    let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
    assert_eq!(dialogue.app_sends(go_on).unwrap(), go_on);
    assert_eq!(dialogue.conversation.phase(), Phase::Serving);
    assert_eq!(dialogue.client_sends(b"hi").unwrap(), b"hi");
    assert_eq!(dialogue.app_sends(OK).unwrap(), LAST_OK);
}

/// A client that does not read must not cost more memory with each poll of its connection.
#[test]
fn an_incomplete_head_behind_unwritten_bytes_does_not_grow_the_buffer() {
    let mut dialogue = Dialogue::with_limit(10);
    dialogue.client_sends(GET).unwrap();
    let Dialogue { mut conversation, mut from_app, .. } = dialogue;
    let mut examine = |from_app: &mut Buffer| {
        let state = || ConnectionState { age: Duration::ZERO, draining: false, marked: false, uncounted: 0 };
        conversation.examine_response(from_app, false, state).unwrap();
    };
    let mut bytes = b"HTTP/1.1 102 x\r\n\r\n".iter().cycle();
    while !from_app.is_full() {
        let room = from_app.room();
        room.fill_with(|| *bytes.next().unwrap());
        let count = room.len();
        from_app.filled(count);
        examine(&mut from_app);
    }
    assert!(!from_app.unexamined().is_empty(), "a head has begun");
    let room = from_app.room().len();
    for _ in 0..8 {
        examine(&mut from_app);
    }
    assert_eq!(from_app.room().len(), room);
}

#[test]
fn an_early_response_does_not_end_the_exchange_before_the_request() {
    let mut dialogue = Dialogue::with_limit(1);
    dialogue.client_sends(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab").unwrap();
    assert_eq!(dialogue.app_sends(OK).unwrap(), LAST_OK);
    assert_eq!(dialogue.conversation.phase(), Phase::Announced);
    assert_eq!(dialogue.client_sends(b"cd").unwrap(), b"cd");
    assert!(dialogue.conversation.exchange_done(&dialogue.from_app).unwrap());
    assert_eq!(dialogue.conversation.phase(), Phase::Lingering);
}

#[test]
fn pipelined_requests_wait_and_none_is_lost_at_the_limit() {
    let mut dialogue = Dialogue::with_limit(2);
    assert_eq!(dialogue.client_sends(&[GET, GET, GET].concat()).unwrap(), GET);
    assert_eq!(dialogue.app_sends(OK).unwrap(), OK);
    assert_eq!(dialogue.pass_to_app().unwrap(), GET);
    assert_eq!(dialogue.app_sends(OK).unwrap(), OK, "the third request has already arrived");
    assert_eq!(dialogue.pass_to_app().unwrap(), GET);
    assert_eq!(dialogue.app_sends(OK).unwrap(), LAST_OK);
}

/// A client with a pipelined request in flight at all times delays the announcement, but not without bound.
#[test]
fn a_client_that_always_pipelines_is_retired_and_drained_in_the_end() {
    for (limit, draining) in [(1, false), (1_000_000, true)] {
        let mut dialogue = Dialogue::with_limit(limit);
        dialogue.draining = draining;
        dialogue.client_sends(GET).unwrap();
        for _ in 0..PIPELINE_GRACE {
            dialogue.from_client.receive(GET);
            assert_eq!(dialogue.app_sends(OK).unwrap(), OK);
            assert_eq!(dialogue.pass_to_app().unwrap(), GET);
        }
        dialogue.from_client.receive(GET);
        assert_eq!(dialogue.app_sends(OK).unwrap(), LAST_OK);
    }
}

#[test]
fn space_before_a_colon_is_removed_from_a_response() {
    let padded = b"HTTP/1.1 200 OK\r\nX : y\r\nContent-Length\t: 2\r\n\r\nok";
    let mut dialogue = Dialogue::with_limit(2);
    let plain = b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(dialogue.exchange(GET, padded), plain);
    let announced = b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    assert_eq!(dialogue.exchange(GET, padded), announced);
    let mut dialogue = Dialogue::with_limit(2);
    dialogue.client_sends(GET).unwrap();
    let twice = dialogue.app_sends(b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(twice, Err(ProtocolError::app(Fault::BadContentLength)));
}

#[test]
fn only_the_apps_response_begins_a_tunnel() {
    let upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n";
    let mut dialogue = Dialogue::with_limit(1);
    dialogue.client_sends(&[&upgrade[..], GET].concat()).unwrap();
    assert_eq!(dialogue.app_sends(OK).unwrap(), OK, "the second request is no CONNECT");
    assert_eq!(dialogue.pass_to_app().unwrap(), GET);

    let mut dialogue = Dialogue::with_limit(1);
    dialogue.client_sends(upgrade).unwrap();
    let switched = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    assert_eq!(dialogue.app_sends(&[&switched[..], b"\x00\x01"].concat()).unwrap(), switched);
    assert_eq!(dialogue.conversation.phase(), Phase::Tunnel);
    assert_eq!(dialogue.from_app.unexamined(), b"\x00\x01");
}

#[test]
fn a_response_without_a_request_is_an_error() {
    let mut dialogue = Dialogue::with_limit(10);
    assert_eq!(dialogue.app_sends(OK), Err(ProtocolError::app(Fault::Unsolicited)));
    let mut dialogue = Dialogue::with_limit(10);
    dialogue.client_sends(GET).unwrap();
    let twice = dialogue.app_sends(&[OK, OK].concat());
    assert_eq!(twice, Err(ProtocolError::app(Fault::Unsolicited)));
}

#[test]
fn no_part_of_a_malformed_head_is_forwarded() {
    let mut dialogue = Dialogue::with_limit(10);
    let faulty = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(dialogue.client_sends(faulty), Err(ProtocolError::client(Fault::BadContentLength)));
    assert!(dialogue.from_client.cleared().is_empty());
    assert_eq!(dialogue.conversation.requests_started(), 0);
}

#[test]
fn the_limit_of_heads_is_exact() {
    let head = |length: usize| {
        let filler = length - b"GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(filler)).into_bytes()
    };
    assert_eq!(Dialogue::with_limit(1).client_sends(&head(1024)).unwrap(), head(1024));
    assert_eq!(Dialogue::with_limit(1).client_sends(&head(1025)), Err(ProtocolError::client(Fault::HeadTooLong)));
    assert_eq!(
        Dialogue::with_limit(1).client_sends(&head(1025)[..1024]),
        Err(ProtocolError::client(Fault::HeadTooLong))
    );
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(1024));
    let mut dialogue = Dialogue::with_limit(1);
    dialogue.client_sends(GET).unwrap();
    assert_eq!(dialogue.app_sends(long.as_bytes()), Err(ProtocolError::app(Fault::HeadTooLong)));
}

/// Returns the bytes that the app gets if the client's arrive in these pieces, and the error in them.
fn of_client(pieces: &[&[u8]]) -> (Vec<u8>, Option<ProtocolError>) {
    let mut dialogue = Dialogue::with_limit(3);
    let mut to_app = Vec::new();
    for piece in pieces {
        dialogue.from_client.receive(piece);
        let (passed, examined) = dialogue.examine();
        to_app.extend(passed);
        if let Err(error) = examined {
            return (to_app, Some(error));
        }
    }
    (to_app, None)
}

/// Returns the bytes that the client gets if the app's response arrives in these pieces.
fn of_app(pieces: &[&[u8]]) -> Vec<u8> {
    let mut dialogue = Dialogue::with_limit(1);
    dialogue.client_sends(GET).unwrap();
    pieces.iter().flat_map(|piece| dialogue.app_sends(piece).unwrap()).collect()
}

fn pieces<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let ends = cuts.iter().copied().chain([bytes.len()]);
    let mut start = 0;
    ends.map(|end| &bytes[std::mem::replace(&mut start, end)..end]).collect()
}

const CHUNKED: &[u8] =
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\nwiki\r\n0\r\nT: v\r\n\r\n";
const ANSWER: &[u8] =
    b"HTTP/1.1 103 E\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";

proptest! {
    #[test]
    fn requests_do_not_depend_on_how_they_are_split(
        cuts in prop::collection::vec(0usize..1000, 0..6),
        flaw in prop::option::of((0usize..1000, prop::sample::select(&b"\0\r\n :;a9"[..]))),
    ) {
        let mut bytes = [CHUNKED, GET].concat();
        if let Some((at, byte)) = flaw {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        prop_assert_eq!(of_client(&[&bytes]), of_client(&pieces(&bytes, &cuts)));
    }

    #[test]
    fn responses_do_not_depend_on_how_they_are_split(cuts in prop::collection::vec(0usize..1000, 0..6)) {
        let expected = String::from_utf8_lossy(ANSWER).replace("chunked\r\n", "chunked\r\nConnection: close\r\n");
        prop_assert_eq!(of_app(&pieces(ANSWER, &cuts)), expected.as_bytes());
    }
}

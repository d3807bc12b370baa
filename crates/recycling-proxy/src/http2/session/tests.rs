//! The core as dialogues of frames.

use std::time::Duration;

use proptest::prelude::*;
use settings::{Jitter, MaxRequests};

use super::*;
use crate::http2::frame::{LEAST_MAX_FRAME, first_goaway};

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

/// HEADERS that is a whole request or response.
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

    /// After the prefaces of both sides.
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
        put(&mut self.from_client, bytes);
        self.session.examine_client(&mut self.from_client).map(|()| take(&mut self.from_client))
    }

    fn app(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.try_app(bytes).unwrap()
    }

    fn try_app(&mut self, bytes: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        put(&mut self.from_app, bytes);
        let moment = || Moment { age: Duration::ZERO, draining: self.draining, marked: false, uncounted: 0 };
        self.session.examine_app(&mut self.from_app, moment)?;
        if self.session.holds_app() {
            assert!(self.session.step_is_over(&mut self.from_app));
            self.session.examine_app(&mut self.from_app, moment)?;
        }
        Ok(take(&mut self.from_app))
    }

    /// The bound of the present step passes, and nothing is in flight.
    fn elapse(&mut self) -> Vec<u8> {
        assert!(self.session.step_is_over(&mut self.from_app));
        self.rest()
    }

    /// Nothing is in flight.
    fn rest(&mut self) -> Vec<u8> {
        self.session.nothing_in_flight(&mut self.from_app);
        take(&mut self.from_app)
    }
}

fn put(buffer: &mut Buffer, bytes: &[u8]) {
    if !bytes.is_empty() {
        buffer.room()[..bytes.len()].copy_from_slice(bytes);
        buffer.filled(bytes.len());
    }
}

fn take(buffer: &mut Buffer) -> Vec<u8> {
    let passed = buffer.cleared().to_vec();
    buffer.written(passed.len());
    passed
}

/// An app without HTTP/2 answers the preface in HTTP/1.1. What the client says behind it could be a request to such an app.
#[test]
fn an_answer_in_another_protocol_passes_as_it_is() {
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
fn a_preface_that_goes_on_as_something_else_is_refused() {
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
fn frames_pass_as_they_are() {
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
fn the_first_step_comes_just_before_the_limits_response() {
    for limit in [1, 2, 10] {
        let mut dialogue = Dialogue::opened(limit);
        for n in 0..limit - 1 {
            dialogue.client(&headers(2 * n + 1));
            assert_eq!(dialogue.app(&headers(2 * n + 1)), headers(2 * n + 1));
        }
        let last = 2 * limit - 1;
        dialogue.client(&headers(last));
        assert_eq!(dialogue.app(&headers(last)), [first_step(), headers(last)].concat());
        assert_eq!(dialogue.session.retired(), Some(RetireReason::MaxRequests));
    }
}

/// The response that announces, and what follows it, wait for the moment at which it may be said.
#[test]
fn what_the_app_says_is_held_back_until_the_goaway_may_be_sent() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    let moment = || Moment { age: Duration::ZERO, draining: false, marked: false, uncounted: 0 };
    let before = frame(8, 0, 0, &[0, 0, 1, 0]);
    let held = [headers(1), frame(6, 0, 0, b"theirown")].concat();
    put(&mut dialogue.from_app, &[before.clone(), held.clone()].concat());
    for passes in [&before[..], b""] {
        dialogue.session.examine_app(&mut dialogue.from_app, moment).unwrap();
        assert_eq!(take(&mut dialogue.from_app), passes);
        assert_eq!(dialogue.session.shutdown(), GracefulShutdown::Due { stream: 1, reason: RetireReason::MaxRequests });
        assert_eq!(dialogue.session.retired(), None);
    }
    assert_eq!(dialogue.client(&headers(3)), headers(3), "the client is not held back");
    assert!(!dialogue.session.drain(false, &mut dialogue.from_app), "it is said once");
    assert!(dialogue.session.step_is_over(&mut dialogue.from_app));
    assert_eq!(dialogue.session.retired(), Some(RetireReason::MaxRequests));
    dialogue.session.examine_app(&mut dialogue.from_app, moment).unwrap();
    assert_eq!(take(&mut dialogue.from_app), [first_step(), held].concat());
}

#[test]
fn a_mark_waits_for_the_next_response() {
    let mut dialogue = Dialogue::opened(1000);
    let moment = || Moment { age: Duration::ZERO, draining: false, marked: true, uncounted: 0 };
    dialogue.client(&headers(1));
    for (frame, expected) in
        [(frame(6, 0, 0, b"theirown"), vec![]), (headers(1), first_step())].map(|(f, e)| (f.clone(), [e, f].concat()))
    {
        put(&mut dialogue.from_app, &frame);
        dialogue.session.examine_app(&mut dialogue.from_app, moment).unwrap();
        assert!(dialogue.session.step_is_over(&mut dialogue.from_app));
        dialogue.session.examine_app(&mut dialogue.from_app, moment).unwrap();
        assert_eq!(take(&mut dialogue.from_app), expected);
    }
    assert_eq!(dialogue.session.retired(), Some(RetireReason::Balance));
}

/// As while balancing is in force, and after it.
#[test]
fn requests_that_do_not_count_do_not_reach_the_limit() {
    let mut dialogue = Dialogue::opened(2);
    for (stream, uncounted, announced) in
        [(1, u32::MAX, false), (3, u32::MAX, false), (5, u32::MAX, false), (7, 3, false), (9, 3, true)]
    {
        dialogue.client(&headers(stream));
        let moment = || Moment { age: Duration::ZERO, draining: false, marked: false, uncounted };
        put(&mut dialogue.from_app, &headers(stream));
        dialogue.session.examine_app(&mut dialogue.from_app, moment).unwrap();
        assert_eq!(dialogue.session.holds_app(), announced, "stream {stream}");
        take(&mut dialogue.from_app);
    }
}

#[test]
fn responses_of_earlier_streams_do_not_begin_it() {
    let mut dialogue = Dialogue::opened(2);
    dialogue.client(&[headers(1), headers(3)].concat());
    assert_eq!(dialogue.app(&headers(1)), headers(1));
    assert_eq!(dialogue.app(&headers(3)), [first_step(), headers(3)].concat());
}

/// Telling a 103 from the final response takes the state of its field compression, which is the client's and the app's.
#[test]
fn an_interim_response_announces_like_a_final_one() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    let interim = frame(1, 0x4, 1, b"103");
    assert_eq!(dialogue.app(&interim), [first_step(), interim.clone()].concat());
    assert_eq!(dialogue.app(&[interim.clone(), headers(1)].concat()), [interim, headers(1)].concat());
}

#[test]
fn a_limit_of_one_waits_for_the_apps_settings() {
    let mut dialogue = Dialogue::with_limit(1);
    dialogue.client(&[PREFACE, &settings(), &headers(1)].concat());
    assert_eq!(dialogue.app(&[settings(), headers(1)].concat()), [settings(), first_step(), headers(1)].concat());
}

#[test]
fn the_second_step_names_the_last_stream_and_the_app_never_sees_our_ping() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    dialogue.app(&headers(1));
    assert_eq!(dialogue.client(&headers(3)), headers(3), "opened before the client knew");
    assert_eq!(dialogue.client(&ping_ack(*b"theirown")), ping_ack(*b"theirown"));
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::Asked);
    assert_eq!(dialogue.client(&ping_ack(OUR_PING)), b"");
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::Settling);
    assert_eq!(dialogue.client(&headers(5)), headers(5), "opened while the client's reader answered");
    assert_eq!(dialogue.elapse(), b"", "two streams are open");
    dialogue.app(&headers(3));
    assert_eq!(dialogue.rest(), b"");
    dialogue.app(&headers(5));
    assert_eq!(dialogue.rest(), last_step(5));
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::Told { last: 5, has_read: false });
    assert!(!dialogue.session.step_is_over(&mut dialogue.from_app), "the connection ends");
}

#[test]
fn the_answer_to_the_last_ping_shows_that_everything_was_read() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    dialogue.app(&headers(1));
    assert_eq!(dialogue.client(&ping_ack(LAST_PING)), b"", "nobody else's, whenever it comes");
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::Asked);
    dialogue.client(&ping_ack(OUR_PING));
    assert_eq!(dialogue.elapse(), last_step(1));
    assert_eq!(dialogue.client(&ping_ack(OUR_PING)), b"");
    assert!(!dialogue.session.has_been_read(), "that was the first");
    assert_eq!(dialogue.client(&ping_ack(LAST_PING)), b"");
    assert!(dialogue.session.has_been_read());
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::Told { last: 1, has_read: true });
}

#[test]
fn a_client_that_never_answers_is_told_all_the_same() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    dialogue.app(&headers(1));
    assert_eq!(dialogue.elapse(), last_step(1));
}

#[test]
fn streams_against_the_goaway_are_served_for_as_long_as_another_is_open() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&[headers(1), frame(1, 0x4, 3, b"upload")].concat());
    dialogue.app(&headers(1));
    dialogue.client(&ping_ack(OUR_PING));
    assert_eq!(dialogue.elapse(), b"");
    assert!(!dialogue.session.was_ignored());
    assert_eq!(dialogue.client(&headers(5)), headers(5));
    assert!(dialogue.session.was_ignored());
    assert_eq!(dialogue.app(&headers(5)), headers(5));
    assert_eq!(dialogue.client(&frame(0, 1, 3, b"end")), frame(0, 1, 3, b"end"));
    dialogue.app(&headers(3));
    assert_eq!(dialogue.rest(), last_step(5));
}

#[test]
fn streams_behind_the_last_never_reach_the_app() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    dialogue.app(&headers(1));
    dialogue.client(&ping_ack(OUR_PING));
    assert_eq!(dialogue.elapse(), last_step(1));
    let late = [frame(1, 0, 5, b"begin"), frame(9, 4, 5, b"end"), frame(0, 1, 5, b"body"), frame(3, 0, 5, &[0; 4])];
    assert_eq!(dialogue.client(&late.concat()), b"");
    let window = frame(8, 0, 0, &[0, 0, 0, 9]);
    assert_eq!(dialogue.client(&[headers(7), window.clone(), headers(9)].concat()), window);
    assert_eq!(dialogue.session.requests_started(), 1);
}

/// What a dropped field block would have put into the app's decompression is missing from then on: no later one passes, not
/// even the trailers of a stream that is served. The connection ends within a second.
#[test]
fn no_field_block_follows_a_dropped_one() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&[headers(1), frame(1, 0x4, 3, b"lasting")].concat());
    dialogue.app(&headers(1));
    dialogue.client(&ping_ack(OUR_PING));
    dialogue.elapse();
    assert_eq!(dialogue.elapse(), last_step(3));
    let (data, trailers) = (frame(0, 0, 3, b"more"), [frame(1, 1, 3, b"trail"), frame(9, 4, 3, b"ers")].concat());
    assert_eq!(dialogue.client(&[headers(5), data.clone(), trailers].concat()), data);
}

#[test]
fn streams_that_outlive_the_grace_end_with_the_connection() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&[headers(1), frame(1, 0x4, 3, b"lasting")].concat());
    dialogue.app(&headers(1));
    dialogue.client(&ping_ack(OUR_PING));
    assert_eq!(dialogue.elapse(), b"");
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::Finishing);
    dialogue.app(&frame(0, 0, 3, b"more")[..11]);
    assert!(!dialogue.session.step_is_over(&mut dialogue.from_app), "a frame that does not end has no boundary");
    dialogue.app(&frame(0, 0, 3, b"more")[11..]);
    assert_eq!(dialogue.elapse(), last_step(3));
    assert!(!dialogue.session.step_is_over(&mut dialogue.from_app));
}

/// `PUSH_PROMISE` on a stream of the client's.
fn promise(stream: u32, promised: u32) -> Vec<u8> {
    frame(5, 0x4, stream, &[&promised.to_be_bytes()[..], b"hpack"].concat())
}

/// A stream that the app has opened is one like any other, from its promise on; the last stream is the client's.
#[test]
fn pushed_streams_are_served_to_their_end() {
    let begun = [frame(1, 0x4, 2, b"hpack"), frame(0, 0, 2, b"some")].concat();
    let padded = frame(5, 0xc, 1, b"\x03\0\0\0\x04hpack\0\0\0");
    for (promises, end) in [
        (promise(1, 2), frame(0, 1, 2, b"end")),
        (promise(1, 2), frame(1, 5, 2, b"trailers")),
        (promise(1, 2), frame(3, 0, 2, &[0; 4])),
        ([promise(1, 2), padded].concat(), [frame(0, 1, 2, b"end"), frame(1, 5, 4, b"hpack")].concat()),
    ] {
        let mut dialogue = Dialogue::opened(1);
        dialogue.client(&headers(1));
        assert_eq!(dialogue.app(&promises), promises);
        assert_eq!(dialogue.app(&headers(1)), [first_step(), headers(1)].concat());
        dialogue.client(&ping_ack(OUR_PING));
        assert_eq!(dialogue.elapse(), b"", "promised, and not begun");
        assert!(dialogue.session.has_open_streams());
        assert_eq!(dialogue.app(&begun), begun);
        assert_eq!(dialogue.rest(), b"");
        assert_eq!(dialogue.app(&end), end);
        assert_eq!(dialogue.rest(), last_step(1));
    }
}

#[test]
fn a_client_that_refuses_a_push_ends_it() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    dialogue.app(&[promise(1, 2), headers(1)].concat());
    dialogue.client(&ping_ack(OUR_PING));
    assert_eq!(dialogue.elapse(), b"");
    dialogue.client(&frame(3, 0, 2, &[0, 0, 0, 8]));
    assert_eq!(dialogue.rest(), last_step(1));
}

/// What a push brings is no response to the request that a client waits for.
#[test]
fn pushed_fields_announce_nothing() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    let pushed = [promise(1, 2), headers(2)].concat();
    assert_eq!(dialogue.app(&pushed), pushed);
    assert_eq!(dialogue.app(&headers(1)), [first_step(), headers(1)].concat());
}

#[test]
fn nothing_is_put_into_a_field_block_or_a_frame() {
    let mut dialogue = Dialogue::opened(1000);
    dialogue.app(&frame(1, 0, 2, b"begin"));
    assert!(!dialogue.session.drain(false, &mut dialogue.from_app));
    dialogue.app(&frame(9, 4, 2, b"end"));
    let (first, rest) = (&frame(0, 0, 2, b"body")[..11].to_vec(), &frame(0, 0, 2, b"body")[11..].to_vec());
    dialogue.app(first);
    assert!(!dialogue.session.drain(false, &mut dialogue.from_app));
    dialogue.app(rest);
    put(&mut dialogue.from_app, &headers(2)[..5]);
    assert!(dialogue.session.drain(false, &mut dialogue.from_app), "half a header is still a boundary");
    assert_eq!(take(&mut dialogue.from_app), first_step());
    assert_eq!(dialogue.app(&headers(2)[5..]), headers(2));
}

#[test]
fn a_drain_waits_for_awaited_responses_and_for_nothing_else() {
    let mut dialogue = Dialogue::opened(1000);
    dialogue.client(&headers(1));
    dialogue.draining = true;
    assert!(!dialogue.session.drain(false, &mut dialogue.from_app), "a response is awaited");
    assert_eq!(dialogue.app(&headers(1)), [first_step(), headers(1)].concat());
    assert_eq!(dialogue.session.retired(), Some(RetireReason::Drain));
    assert!(!dialogue.session.drain(false, &mut dialogue.from_app), "once is enough");

    let mut ending = Dialogue::opened(1000);
    ending.client(&headers(1));
    assert!(ending.session.drain(true, &mut ending.from_app), "it ends, and would fail the request anyway");
    assert_eq!(take(&mut ending.from_app), first_step());
    assert_eq!(ending.app(&headers(1)), headers(1));

    let mut idle = Dialogue::opened(1000);
    assert!(idle.session.drain(false, &mut idle.from_app));
    let mut unopened = Dialogue::with_limit(1000);
    assert!(!unopened.session.drain(false, &mut unopened.from_app), "the app's SETTINGS come first");
}

#[test]
fn an_app_that_leaves_sends_its_own_goaway() {
    let mut dialogue = Dialogue::opened(1);
    let of_the_app = goaway(1, ErrorCode::NoError).to_vec();
    dialogue.client(&headers(1));
    assert_eq!(dialogue.app(&[of_the_app.clone(), headers(1)].concat()), [of_the_app, headers(1)].concat());
    assert_eq!(dialogue.session.retired(), None);
}

#[test]
fn the_apps_goaway_takes_the_place_of_ours() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    dialogue.app(&headers(1));
    dialogue.client(&[ping_ack(OUR_PING), headers(3)].concat());
    let of_the_app = goaway(1, ErrorCode::NoError).to_vec();
    assert_eq!(dialogue.app(&of_the_app), of_the_app);
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::None, "a last stream above the app's would be a lie");
    dialogue.app(&headers(3));
    assert_eq!(dialogue.rest(), b"");
    assert_eq!(dialogue.session.retired(), Some(RetireReason::MaxRequests));
}

#[test]
fn open_streams_are_bounded() {
    let mut dialogue = Dialogue::opened(1000);
    let mut open = |number: u32| dialogue.try_client(&headers(2 * number + 1)).map(|_| ());
    for number in 0..65_536 {
        open(number).unwrap();
    }
    assert_eq!(open(65_536), Err(ProtocolError::client(Fault::TooManyStreams)));
}

#[test]
fn faults_stop_the_connection_before_the_frame() {
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
    fn the_way_that_frames_arrive_changes_nothing(cuts in prop::collection::vec(0usize..400, 0..8)) {
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

/// As JDK 17's own client begins.
fn abandoning(max_requests: u32) -> Dialogue {
    let entries = [(1, 16_384_u32), (2, 1), (3, 100), (4, 16_777_216), (5, 16_384)];
    let entries: Vec<u8> =
        entries.iter().flat_map(|(identifier, value)| [&[0, *identifier], &value.to_be_bytes()[..]].concat()).collect();
    let mut dialogue = Dialogue::with_limit(max_requests);
    dialogue.client(&[PREFACE, &frame(4, 0, 0, &entries)].concat());
    dialogue.app(&settings());
    dialogue
}

#[test]
fn a_client_that_abandons_streams_is_told_behind_its_response() {
    for limit in [1, 2, 10] {
        let mut dialogue = abandoning(limit);
        for n in 0..limit - 1 {
            dialogue.client(&headers(2 * n + 1));
            assert_eq!(dialogue.app(&headers(2 * n + 1)), headers(2 * n + 1));
        }
        let last = 2 * limit - 1;
        dialogue.client(&headers(last));
        assert_eq!(dialogue.app(&headers(last)), [headers(last), first_goaway().to_vec()].concat());
        assert_eq!(dialogue.session.retired(), Some(RetireReason::MaxRequests));
        assert_eq!(dialogue.client(&headers(last + 2)), headers(last + 2), "it had been on its way");
        assert_eq!(dialogue.app(&headers(last + 2)), headers(last + 2));
        assert_eq!(dialogue.elapse(), ping(OUR_PING));
        assert_eq!(dialogue.client(&ping_ack(OUR_PING)), b"");
        assert_eq!(dialogue.session.shutdown(), GracefulShutdown::Settling);
        assert_eq!(dialogue.elapse(), last_step(last + 2));
    }
}

#[test]
fn its_goaway_follows_the_end_of_the_response_and_no_other_frame() {
    let mut dialogue = abandoning(1);
    dialogue.client(&headers(1));
    let begin = [frame(1, 0x4, 1, b"103"), frame(1, 0x4, 1, b"200"), frame(0, 0, 1, b"message")].concat();
    assert_eq!(dialogue.app(&begin), begin);
    let trailers = [frame(1, 1, 1, b"trail"), frame(9, 4, 1, b"ers")].concat();
    let (most, rest) = trailers.split_at(trailers.len() - 3);
    assert_eq!(dialogue.app(most), most);
    let window = frame(8, 0, 0, &[0, 0, 1, 0]);
    // Frames that came along with the end stand in front: none may be behind it.
    let cancel = frame(3, 0, 1, &[0; 4]);
    let expected = [rest, &cancel, &window, &first_goaway()].concat();
    assert_eq!(dialogue.app(&[rest, &cancel, &window].concat()), expected);
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::Said);
    // In the middle of a frame the PING has to wait.
    assert_eq!(dialogue.app(&window[..10]), window[..10]);
    assert_eq!(dialogue.elapse(), b"");
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::Said);
    dialogue.app(&window[10..]);
    assert_eq!(dialogue.elapse(), ping(OUR_PING));
}

#[test]
fn with_other_streams_open_its_goaway_stands_in_front() {
    let mut dialogue = abandoning(2);
    dialogue.client(&[headers(1), headers(3)].concat());
    assert_eq!(dialogue.app(&headers(3)), [first_step(), headers(3)].concat());

    let mut overtaken = abandoning(1);
    overtaken.client(&headers(1));
    let begin = frame(1, 0x4, 1, b"200");
    assert_eq!(overtaken.app(&begin), begin);
    assert!(matches!(overtaken.session.shutdown(), GracefulShutdown::AtEnd { stream: 1, .. }));
    overtaken.client(&headers(3));
    let end = frame(0, 1, 1, b"");
    assert_eq!(overtaken.app(&end), end);
    assert_eq!(overtaken.session.retired(), None);
    assert_eq!(overtaken.app(&headers(3)), [first_step(), headers(3)].concat(), "alone, but the second time");

    let mut beside = abandoning(1);
    beside.client(&headers(1));
    beside.app(&begin);
    beside.client(&headers(3));
    assert_eq!(beside.app(&headers(3)), [first_step(), headers(3)].concat(), "the first response is under way");
}

#[test]
fn a_response_that_is_reset_ends_as_well() {
    let reset = frame(3, 0, 1, &[0; 4]);
    let window = frame(8, 0, 0, &[0, 0, 1, 0]);
    let begin = frame(1, 0x4, 1, b"200");
    let mut by_app = abandoning(1);
    by_app.client(&headers(1));
    by_app.app(&begin);
    assert_eq!(by_app.app(&reset), [&reset[..], &first_goaway()].concat());

    let mut by_client = abandoning(1);
    by_client.client(&headers(1));
    by_client.app(&begin);
    by_client.client(&reset);
    assert_eq!(by_client.app(&window), [&window[..], &first_goaway()].concat());
}

/// An app that does not read the whole upload goes on behind its early response (RFC 9113 §8.1).
#[test]
fn an_early_response_has_no_goaway_behind_it() {
    let upload = frame(1, 0x4, 1, b"upload");
    let reset = frame(3, 0, 1, &[0; 4]);
    let window = frame(8, 0, 0, &[0, 0, 1, 0]);
    let ended = [headers(1), reset.clone(), window.clone(), reset.clone()].concat();
    let failed = [frame(1, 0x4, 1, b"200"), reset.clone(), window.clone()].concat();
    for answer in [ended, failed] {
        let mut dialogue = abandoning(1);
        dialogue.client(&upload);
        assert_eq!(dialogue.app(&answer), answer);
        assert_eq!(dialogue.session.retired(), None);
        dialogue.client(&headers(3));
        assert_eq!(dialogue.app(&headers(3)), [headers(3), first_goaway().to_vec()].concat(), "the next one");
    }

    let mut dialogue = abandoning(1);
    dialogue.client(&upload);
    assert_eq!(dialogue.app(&headers(1)), headers(1));
    dialogue.client(&frame(0, 1, 1, b"rest"));
    assert_eq!(dialogue.app(&window), window, "the app answers an upload that it drops");
}

#[test]
fn a_drain_does_not_wait_for_the_end_of_a_long_response() {
    let mut dialogue = abandoning(1);
    dialogue.client(&headers(1));
    dialogue.app(&frame(1, 0x4, 1, b"200"));
    assert!(dialogue.session.drain(false, &mut dialogue.from_app));
    assert_eq!(take(&mut dialogue.from_app), first_step());
    assert_eq!(dialogue.session.retired(), Some(RetireReason::Drain));
    let end = frame(0, 1, 1, b"");
    assert_eq!(dialogue.app(&end), end, "once is enough");
}

#[test]
fn the_apps_goaway_takes_the_place_of_one_that_waits() {
    let of_the_app = goaway(1, ErrorCode::NoError).to_vec();
    for ended in [false, true] {
        let mut dialogue = abandoning(1);
        dialogue.client(&headers(1));
        dialogue.app(&frame(1, if ended { 0x5 } else { 0x4 }, 1, b"200"));
        assert_eq!(dialogue.app(&of_the_app), of_the_app);
        assert_eq!(dialogue.session.shutdown(), GracefulShutdown::None);
        let end = frame(0, 1, 1, b"");
        assert_eq!(dialogue.app(&end), end);
    }
}

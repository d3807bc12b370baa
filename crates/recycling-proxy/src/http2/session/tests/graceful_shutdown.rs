//! The graceful shutdown: when it begins, its two steps, and what follows them.

use super::*;

#[test]
fn the_first_goaway_precedes_the_response_at_the_limit() {
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

/// The announcing response and later frames wait until GOAWAY may be sent.
#[test]
fn the_apps_frames_are_held_back_until_the_goaway_may_be_sent() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    let state = || ConnectionState { age: Duration::ZERO, draining: false, marked: false, uncounted: 0 };
    let before = frame(8, 0, 0, &[0, 0, 1, 0]);
    let held = [headers(1), frame(6, 0, 0, b"theirown")].concat();
    dialogue.from_app.receive(&[before.clone(), held.clone()].concat());
    for passes in [&before[..], b""] {
        dialogue.session.examine_app(&mut dialogue.from_app, state).unwrap();
        assert_eq!(dialogue.from_app.send(), passes);
        assert_eq!(dialogue.session.shutdown(), GracefulShutdown::Due { stream: 1, reason: RetireReason::MaxRequests });
        assert_eq!(dialogue.session.retired(), None);
    }
    assert_eq!(dialogue.client(&headers(3)), headers(3), "the client is not held back");
    assert!(!dialogue.session.drain(false, &mut dialogue.from_app), "a second announcement");
    assert!(dialogue.session.step_is_over(&mut dialogue.from_app));
    assert_eq!(dialogue.session.retired(), Some(RetireReason::MaxRequests));
    dialogue.session.examine_app(&mut dialogue.from_app, state).unwrap();
    assert_eq!(dialogue.from_app.send(), [first_step(), held].concat());
}

#[test]
fn a_marked_connection_is_retired_with_the_next_response() {
    let mut dialogue = Dialogue::opened(1000);
    let state = || ConnectionState { age: Duration::ZERO, draining: false, marked: true, uncounted: 0 };
    dialogue.client(&headers(1));
    for (frame, expected) in
        [(frame(6, 0, 0, b"theirown"), vec![]), (headers(1), first_step())].map(|(f, e)| (f.clone(), [e, f].concat()))
    {
        dialogue.from_app.receive(&frame);
        dialogue.session.examine_app(&mut dialogue.from_app, state).unwrap();
        assert!(dialogue.session.step_is_over(&mut dialogue.from_app));
        dialogue.session.examine_app(&mut dialogue.from_app, state).unwrap();
        assert_eq!(dialogue.from_app.send(), expected);
    }
    assert_eq!(dialogue.session.retired(), Some(RetireReason::Balance));
}

/// Balancing is in force, and ceases to be.
#[test]
fn requests_that_do_not_count_do_not_reach_the_limit() {
    let mut dialogue = Dialogue::opened(2);
    for (stream, uncounted, announced) in
        [(1, u32::MAX, false), (3, u32::MAX, false), (5, u32::MAX, false), (7, 3, false), (9, 3, true)]
    {
        dialogue.client(&headers(stream));
        let state = || ConnectionState { age: Duration::ZERO, draining: false, marked: false, uncounted };
        dialogue.from_app.receive(&headers(stream));
        dialogue.session.examine_app(&mut dialogue.from_app, state).unwrap();
        assert_eq!(dialogue.session.holds_app(), announced, "stream {stream}");
        dialogue.from_app.send();
    }
}

#[test]
fn responses_of_earlier_streams_do_not_begin_the_shutdown() {
    let mut dialogue = Dialogue::opened(2);
    dialogue.client(&[headers(1), headers(3)].concat());
    assert_eq!(dialogue.app(&headers(1)), headers(1));
    assert_eq!(dialogue.app(&headers(3)), [first_step(), headers(3)].concat());
}

/// The proxy cannot distinguish a 103 from the final response: it does not have the state of field compression.
#[test]
fn an_interim_response_begins_the_shutdown_like_a_final_one() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    let interim = frame(1, 0x4, 1, b"103");
    assert_eq!(dialogue.app(&interim), [first_step(), interim.clone()].concat());
    assert_eq!(dialogue.app(&[interim.clone(), headers(1)].concat()), [interim, headers(1)].concat());
}

#[test]
fn the_first_goaway_waits_for_the_apps_settings() {
    let mut dialogue = Dialogue::with_limit(1);
    dialogue.client(&[PREFACE, &settings(), &headers(1)].concat());
    assert_eq!(dialogue.app(&[settings(), headers(1)].concat()), [settings(), first_step(), headers(1)].concat());
}

#[test]
fn the_last_goaway_names_the_last_stream_and_our_ping_never_reaches_the_app() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    dialogue.app(&headers(1));
    assert_eq!(dialogue.client(&headers(3)), headers(3), "opened before the client had read the GOAWAY");
    assert_eq!(dialogue.client(&ping_ack(*b"theirown")), ping_ack(*b"theirown"));
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::PingSent);
    assert_eq!(dialogue.client(&ping_ack(OUR_PING)), b"");
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::Settling);
    assert_eq!(dialogue.client(&headers(5)), headers(5), "opened while the client answered the PING");
    assert_eq!(dialogue.elapse(), b"", "two streams are open");
    dialogue.app(&headers(3));
    assert_eq!(dialogue.rest(), b"");
    dialogue.app(&headers(5));
    assert_eq!(dialogue.rest(), last_step(5));
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::LastGoawaySent { last: 5, has_read: false });
    assert!(!dialogue.session.step_is_over(&mut dialogue.from_app), "the connection ends");
}

#[test]
fn the_ack_of_the_last_ping_shows_that_the_client_has_read_everything() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    dialogue.app(&headers(1));
    assert_eq!(dialogue.client(&ping_ack(LAST_PING)), b"", "the answer to the proxy's PING is never forwarded");
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::PingSent);
    dialogue.client(&ping_ack(OUR_PING));
    assert_eq!(dialogue.elapse(), last_step(1));
    assert_eq!(dialogue.client(&ping_ack(OUR_PING)), b"");
    assert!(!dialogue.session.has_been_read(), "the answer to the first PING");
    assert_eq!(dialogue.client(&ping_ack(LAST_PING)), b"");
    assert!(dialogue.session.has_been_read());
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::LastGoawaySent { last: 1, has_read: true });
}

#[test]
fn a_client_that_never_acknowledges_the_ping_gets_the_last_goaway() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    dialogue.app(&headers(1));
    assert_eq!(dialogue.elapse(), last_step(1));
}

#[test]
fn streams_opened_after_the_goaway_are_served_while_another_is_open() {
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
fn streams_after_the_last_never_reach_the_app() {
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

/// The app's decompression state lacks the dropped field block. So no later one is forwarded, not even the trailers of a
/// served stream. The connection ends within a second.
#[test]
fn no_field_block_passes_after_a_dropped_one() {
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
fn streams_that_outlive_the_grace_period_end_with_the_connection() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&[headers(1), frame(1, 0x4, 3, b"lasting")].concat());
    dialogue.app(&headers(1));
    dialogue.client(&ping_ack(OUR_PING));
    assert_eq!(dialogue.elapse(), b"");
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::Finishing);
    dialogue.app(&frame(0, 0, 3, b"more")[..11]);
    assert!(!dialogue.session.step_is_over(&mut dialogue.from_app), "GOAWAY is inserted within a frame");
    dialogue.app(&frame(0, 0, 3, b"more")[11..]);
    assert_eq!(dialogue.elapse(), last_step(3));
    assert!(!dialogue.session.step_is_over(&mut dialogue.from_app));
}

#[test]
fn a_drain_waits_only_for_awaited_responses() {
    let mut dialogue = Dialogue::opened(1000);
    dialogue.client(&headers(1));
    dialogue.draining = true;
    assert!(!dialogue.session.drain(false, &mut dialogue.from_app), "a response is awaited");
    assert_eq!(dialogue.app(&headers(1)), [first_step(), headers(1)].concat());
    assert_eq!(dialogue.session.retired(), Some(RetireReason::Drain));
    assert!(!dialogue.session.drain(false, &mut dialogue.from_app), "a second announcement");

    let mut ending = Dialogue::opened(1000);
    ending.client(&headers(1));
    assert!(ending.session.drain(true, &mut ending.from_app), "the drain ends, and would fail the request anyway");
    assert_eq!(ending.from_app.send(), first_step());
    assert_eq!(ending.app(&headers(1)), headers(1));

    let mut idle = Dialogue::opened(1000);
    assert!(idle.session.drain(false, &mut idle.from_app));
    let mut unopened = Dialogue::with_limit(1000);
    assert!(!unopened.session.drain(false, &mut unopened.from_app), "the app's SETTINGS come first");
}

#[test]
fn no_goaway_of_ours_follows_the_apps() {
    let mut dialogue = Dialogue::opened(1);
    let of_the_app = goaway(1, ErrorCode::NoError).to_vec();
    dialogue.client(&headers(1));
    assert_eq!(dialogue.app(&[of_the_app.clone(), headers(1)].concat()), [of_the_app, headers(1)].concat());
    assert_eq!(dialogue.session.retired(), None);
}

#[test]
fn the_apps_goaway_replaces_our_last_one() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    dialogue.app(&headers(1));
    dialogue.client(&[ping_ack(OUR_PING), headers(3)].concat());
    let of_the_app = goaway(1, ErrorCode::NoError).to_vec();
    assert_eq!(dialogue.app(&of_the_app), of_the_app);
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::None, "the last stream would be above the app's");
    dialogue.app(&headers(3));
    assert_eq!(dialogue.rest(), b"");
    assert_eq!(dialogue.session.retired(), Some(RetireReason::MaxRequests));
}

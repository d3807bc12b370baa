//! Clients that abandon open streams at a GOAWAY get it after the end of a response.

use super::*;

/// The first bytes of JDK 17's own client.
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
fn a_client_that_abandons_streams_gets_goaway_after_its_response() {
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
        assert_eq!(dialogue.client(&headers(last + 2)), headers(last + 2), "a request in flight");
        assert_eq!(dialogue.app(&headers(last + 2)), headers(last + 2));
        assert_eq!(dialogue.elapse(), ping(OUR_PING));
        assert_eq!(dialogue.client(&ping_ack(OUR_PING)), b"");
        assert_eq!(dialogue.session.shutdown(), GracefulShutdown::Settling);
        assert_eq!(dialogue.elapse(), last_step(last + 2));
    }
}

#[test]
fn the_goaway_follows_the_end_of_the_response_and_no_other_frame() {
    let mut dialogue = abandoning(1);
    dialogue.client(&headers(1));
    let begin = [frame(1, 0x4, 1, b"103"), frame(1, 0x4, 1, b"200"), frame(0, 0, 1, b"message")].concat();
    assert_eq!(dialogue.app(&begin), begin);
    let trailers = [frame(1, 1, 1, b"trail"), frame(9, 4, 1, b"ers")].concat();
    let (most, rest) = trailers.split_at(trailers.len() - 3);
    assert_eq!(dialogue.app(most), most);
    let window = frame(8, 0, 0, &[0, 0, 1, 0]);
    // Frames that arrived with the end come first: none may follow the GOAWAY.
    let cancel = frame(3, 0, 1, &[0; 4]);
    let expected = [rest, &cancel, &window, &first_goaway()].concat();
    assert_eq!(dialogue.app(&[rest, &cancel, &window].concat()), expected);
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::GoawaySent);
    // Within a frame the PING waits.
    assert_eq!(dialogue.app(&window[..10]), window[..10]);
    assert_eq!(dialogue.elapse(), b"");
    assert_eq!(dialogue.session.shutdown(), GracefulShutdown::GoawaySent);
    dialogue.app(&window[10..]);
    assert_eq!(dialogue.elapse(), ping(OUR_PING));
}

#[test]
fn with_other_streams_open_the_goaway_precedes_the_response() {
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
    assert_eq!(
        overtaken.app(&headers(3)),
        [first_step(), headers(3)].concat(),
        "no other stream, but the second attempt"
    );

    let mut beside = abandoning(1);
    beside.client(&headers(1));
    beside.app(&begin);
    beside.client(&headers(3));
    assert_eq!(beside.app(&headers(3)), [first_step(), headers(3)].concat(), "the first response is incomplete");
}

#[test]
fn the_goaway_follows_a_response_that_is_reset() {
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

/// An app that does not read the whole upload sends more frames after its early response (RFC 9113 §8.1).
#[test]
fn no_goaway_follows_an_early_response_whose_upload_goes_on() {
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
        assert_eq!(dialogue.app(&headers(3)), [headers(3), first_goaway().to_vec()].concat(), "the next response");
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
    assert_eq!(dialogue.from_app.send(), first_step());
    assert_eq!(dialogue.session.retired(), Some(RetireReason::Drain));
    let end = frame(0, 1, 1, b"");
    assert_eq!(dialogue.app(&end), end, "a second GOAWAY");
}

#[test]
fn the_apps_goaway_replaces_one_that_is_pending() {
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

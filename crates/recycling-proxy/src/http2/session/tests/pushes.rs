//! Streams that the app opens (RFC 9113 §8.4).

use super::*;

/// Returns a `PUSH_PROMISE` on a stream of the client.
fn promise(stream: u32, promised: u32) -> Vec<u8> {
    frame(5, 0x4, stream, &[&promised.to_be_bytes()[..], b"hpack"].concat())
}

/// A promised stream counts as open. GOAWAY names the last stream of the client.
#[test]
fn pushed_streams_are_served_to_completion() {
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
        assert_eq!(dialogue.elapse(), b"", "a stream is promised");
        assert!(dialogue.session.has_open_streams());
        assert_eq!(dialogue.app(&begun), begun);
        assert_eq!(dialogue.rest(), b"");
        assert_eq!(dialogue.app(&end), end);
        assert_eq!(dialogue.rest(), last_step(1));
    }
}

#[test]
fn a_push_refused_by_the_client_has_ended() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    dialogue.app(&[promise(1, 2), headers(1)].concat());
    dialogue.client(&ping_ack(OUR_PING));
    assert_eq!(dialogue.elapse(), b"");
    dialogue.client(&frame(3, 0, 2, &[0, 0, 0, 8]));
    assert_eq!(dialogue.rest(), last_step(1));
}

/// A pushed response does not answer the request that a client waits for.
#[test]
fn pushed_responses_do_not_begin_the_shutdown() {
    let mut dialogue = Dialogue::opened(1);
    dialogue.client(&headers(1));
    let pushed = [promise(1, 2), headers(2)].concat();
    assert_eq!(dialogue.app(&pushed), pushed);
    assert_eq!(dialogue.app(&headers(1)), [first_step(), headers(1)].concat());
}

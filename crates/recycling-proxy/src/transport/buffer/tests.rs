//! The bytes and the memory of buffers.

use super::*;

#[test]
fn bytes_are_examined_then_cleared_then_written() {
    let mut buffer = Buffer::default();
    buffer.receive(b"headbody");
    assert_eq!((buffer.cleared(), buffer.unexamined()), (&b""[..], &b"headbody"[..]));
    buffer.clear(4);
    assert_eq!((buffer.cleared(), buffer.unexamined()), (&b"head"[..], &b"body"[..]));
    buffer.written(3);
    buffer.receive(b"!");
    buffer.clear_all();
    assert_eq!(buffer.cleared(), b"dbody!");
    buffer.written(6);
    assert!(buffer.is_empty() && buffer.chunk.is_none());
}

#[test]
fn an_empty_read_holds_no_memory() {
    let mut buffer = Buffer::default();
    buffer.room();
    buffer.filled(0);
    assert!(buffer.chunk.is_none());
}

#[test]
fn long_streams_get_larger_chunks_while_they_fill_them() {
    let mut buffer = Buffer::default();
    for (room, read) in [(CHUNK, CHUNK), (LARGE_CHUNK, LARGE_CHUNK), (LARGE_CHUNK, 100), (CHUNK, 100)] {
        assert_eq!(buffer.room().len(), room);
        buffer.filled(read);
        buffer.discard();
    }
}

#[test]
fn a_head_is_read_into_a_small_room() {
    let mut buffer = Buffer::default();
    buffer.expect_head();
    assert_eq!(buffer.room().len(), HEAD_ROOM);
    buffer.filled(0);
    assert_eq!(buffer.room().len(), HEAD_ROOM);
    buffer.filled(HEAD_ROOM);
    assert_eq!(buffer.room().len(), CHUNK - HEAD_ROOM);
    buffer.discard();
    assert_eq!(buffer.room().len(), CHUNK);
}

#[test]
fn room_is_made_by_moving_and_growing() {
    let mut buffer = Buffer::default();
    let first: Vec<u8> = (0..=250).cycle().take(CHUNK).collect();
    buffer.receive(&first);
    assert!(buffer.is_full() && buffer.room().is_empty());
    buffer.clear(10);
    buffer.written(4);
    assert_eq!(buffer.room().len(), 4);
    assert_eq!(buffer.cleared(), &first[4..10]);
    buffer.grow();
    assert_eq!(buffer.room().len(), CHUNK + 4);
    assert_eq!((buffer.cleared(), buffer.unexamined()), (&first[4..10], &first[10..]));
}

#[test]
fn removed_bytes_are_not_written() {
    let mut buffer = Buffer::default();
    buffer.receive(b"aXXbXcd");
    buffer.clear(1);
    buffer.remove(2);
    buffer.clear(1);
    buffer.remove(1);
    assert_eq!((buffer.cleared(), buffer.unexamined()), (&b"ab"[..], &b"cd"[..]));
    buffer.receive(b"e");
    buffer.clear(1);
    assert_eq!((buffer.cleared(), buffer.unexamined()), (&b"abc"[..], &b"de"[..]));
    buffer.replace(1, b"DD");
    assert_eq!((buffer.cleared(), buffer.unexamined()), (&b"abc"[..], &b"DDe"[..]));
    buffer.remove(3);
    buffer.written(3);
    assert!(buffer.is_empty() && buffer.chunk.is_none());
}

#[test]
fn a_gap_is_reused_as_room() {
    let mut buffer = Buffer::default();
    buffer.receive(&[b'a'; CHUNK]);
    buffer.clear(10);
    buffer.remove(CHUNK - 30);
    assert!(!buffer.is_full());
    assert_eq!(buffer.room().len(), CHUNK - 30);
    assert_eq!((buffer.cleared(), buffer.unexamined()), (&[b'a'; 10][..], &[b'a'; 20][..]));
    buffer.remove(5);
    buffer.grow();
    assert_eq!((buffer.cleared(), buffer.unexamined()), (&[b'a'; 10][..], &[b'a'; 15][..]));
    assert_eq!(buffer.room().len(), 2 * CHUNK - 25);
}

/// An insertion must not move the bytes after it: the cost would grow with the square of their number.
#[test]
fn many_insertions_move_each_byte_only_a_few_times() {
    let mut buffer = Buffer::default();
    let (mut expected, mut moves) = (Vec::new(), 0);
    buffer.was_filled = true;
    let all: Vec<u8> = (0..=250).cycle().take(LARGE_CHUNK / 15 * 15).collect();
    buffer.receive(&all);
    for frame in all.chunks(15) {
        let behind = buffer.unexamined().as_ptr_range().end;
        buffer.exchange(0, 3, &frame[..3]);
        buffer.clear(frame.len());
        buffer.insert_cleared(&[0xff; 28]);
        moves += usize::from(buffer.unexamined().as_ptr_range().end != behind);
        expected.extend_from_slice(frame);
        expected.extend_from_slice(&[0xff; 28]);
    }
    assert!(buffer.cleared() == expected, "the bytes are wrong");
    assert!(moves < 40, "the bytes after it were moved {moves} times");
    assert!(buffer.is_full(), "the cleared bytes do not count");
    let held = buffer.size();
    assert!(held < 5 * LARGE_CHUNK, "it holds {held} bytes");
    buffer.written(expected.len() - LARGE_CHUNK + 1);
    assert!(!buffer.is_full());
}

#[test]
fn bytes_are_inserted_before_and_after_others() {
    for (cleared, written, at, count, text) in [
        (0, 0, 4, 0, "xx"),
        (3, 0, 3, 2, "xxxxxx"),
        (3, 3, 0, 4, "x"),
        (3, 1, 2, 2, "xx"),
        (0, 0, 0, 8, ""),
        (5, 5, 3, 0, "x"),
    ] {
        let mut buffer = Buffer::default();
        buffer.receive(b"abcdefgh");
        buffer.clear(cleared);
        buffer.written(written);
        buffer.exchange(at, count, text.as_bytes());
        let mut unexamined = b"abcdefgh"[cleared..].to_vec();
        let end = (at + count).min(unexamined.len());
        unexamined.splice(at..end, text.bytes());
        assert_eq!(buffer.cleared(), &b"abcdefgh"[written..cleared]);
        assert_eq!(buffer.unexamined(), unexamined);
        buffer.clear_all();
        assert_eq!(buffer.cleared(), [&b"abcdefgh"[written..cleared], &unexamined].concat());
    }
}

#[test]
fn a_head_is_replaced_in_place() {
    for replacement in [&b"H"[..], b"HEAD", b"LONGER HEAD"] {
        let mut buffer = Buffer::default();
        buffer.receive(b"1xxheadbody");
        buffer.clear(3);
        buffer.replace(4, replacement);
        assert_eq!(buffer.cleared(), b"1xx");
        assert_eq!(buffer.unexamined(), [replacement, b"body"].concat());
    }
    let mut buffer = Buffer::default();
    buffer.receive(&[b'a'; CHUNK]);
    buffer.replace(1, b"bcd");
    assert_eq!(buffer.unexamined().len(), CHUNK + 2);
}

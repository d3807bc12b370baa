//! A byte buffer that holds memory only while bytes are in flight.
//!
//! ```text
//!    start            cleared       next             end
//!      │ may be written │ taken out │ to be examined │ free
//! ```
//!
//! Bytes are read behind `end`, *cleared* once the framing has allowed them to pass, and leave at `start`. An empty
//! buffer gives its memory back to a pool of the thread, so that an idle connection owns none.
//!
//! What is taken out leaves a gap, into which later bytes move as they are cleared: each byte moves once, however many
//! pieces are taken out. What is put in uses such a gap up, and makes one that is large enough for many more.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::memory::pool::Use;
use crate::memory::{Account, Shortage};
use crate::relay::side::Side;

/// What a buffer holds where memory is short. Every connection has as much, whatever the others have.
const SMALL_CHUNK: usize = 4 * 1024;
/// What a buffer holds at first: most messages fit, and small ones stay small.
const CHUNK: usize = 16 * 1024;
/// What it holds once a read has filled it: long bodies cost a system call for each, and memory only while they flow.
const LARGE_CHUNK: usize = 64 * 1024;
/// What is read at first of a message whose body is expected to take another way: its head, and little else.
const HEAD_ROOM: usize = 4 * 1024;
/// Memory of each size that a thread keeps for the next bytes.
const POOLED: usize = 1024 * 1024;

/// What memory of this size costs its connection; a small buffer is among what every connection pays.
const fn charged(size: usize) -> usize {
    if size > SMALL_CHUNK { size } else { 0 }
}

thread_local! {
    static CHUNKS: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
    static LARGE_CHUNKS: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

fn take(size: usize) -> Box<[u8]> {
    let pooled = match size {
        CHUNK => CHUNKS.with_borrow_mut(Vec::pop),
        LARGE_CHUNK => LARGE_CHUNKS.with_borrow_mut(Vec::pop),
        _ => None,
    };
    pooled.unwrap_or_else(|| vec![0; size].into_boxed_slice())
}

fn give_back(memory: Box<[u8]>) {
    let size = memory.len();
    let keep = |pool: &mut Vec<Box<[u8]>>| {
        if pool.len().saturating_mul(size) < POOLED {
            pool.push(memory);
        }
    };
    match size {
        CHUNK => CHUNKS.with_borrow_mut(keep),
        LARGE_CHUNK => LARGE_CHUNKS.with_borrow_mut(keep),
        _ => {}
    }
}

/// Bytes on their way from one peer to the other.
#[derive(Default)]
pub struct Buffer {
    memory: Box<[u8]>,
    start: usize,
    cleared: usize,
    next: usize,
    end: usize,
    /// The last read has filled it: there may be much more.
    was_filled: bool,
    expects_head: bool,
    /// A message needs more than there is memory for.
    is_starved: bool,
    /// Who pays for it, and whose bytes these are; nobody in pure tests.
    payer: Option<(Arc<Account>, Side)>,
}

/// Offsets and not the bytes, which are the users' own.
impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, start, cleared, next, end, .. } = self;
        write!(f, "Buffer {{ start: {start}, cleared: {cleared}, next: {next}, end: {end}, size: {} }}", memory.len())
    }
}

impl Buffer {
    /// What it holds is `account`'s from now on; the bytes come from `side`.
    pub(crate) fn charge(&mut self, account: &Arc<Account>, side: Side) {
        self.payer = Some((Arc::clone(account), side));
        if let Some((account, _)) = &self.payer
            && charged(self.memory.len()) > 0
        {
            account.take(charged(self.memory.len()), Use::Essential);
        }
    }

    /// Who pays for what is on its way, and whose bytes these are.
    pub(crate) fn payer(&self) -> Option<(&Account, Side)> {
        self.payer.as_ref().map(|(account, side)| (account.as_ref(), *side))
    }

    /// Something of the connection has moved, be it past this buffer.
    pub(crate) fn has_moved(&self) {
        if let Some((account, _)) = &self.payer {
            account.has_moved();
        }
    }

    /// Whether no byte is in flight.
    pub fn is_empty(&self) -> bool {
        self.start == self.cleared && self.next == self.end
    }

    /// Bytes that may be written.
    pub fn cleared(&self) -> &[u8] {
        self.slice(self.start..self.cleared)
    }

    /// Bytes on which the framing has not spoken yet.
    pub fn unexamined(&self) -> &[u8] {
        self.slice(self.next..self.end)
    }

    /// Allows the next `count` unexamined bytes to pass; there are as many.
    pub fn clear(&mut self, count: usize) {
        debug_assert!(count <= self.unexamined().len(), "{count} bytes are cleared of {self:?}");
        let from = self.next;
        self.next = from.saturating_add(count).min(self.end);
        if from == self.cleared {
            self.cleared = self.next;
        } else {
            self.memory.copy_within(from..self.next, self.cleared);
            self.cleared = self.cleared.saturating_add(self.next.saturating_sub(from));
        }
    }

    /// Allows every byte to pass.
    pub fn clear_all(&mut self) {
        self.clear(self.unexamined().len());
    }

    /// Takes the next `count` unexamined bytes out; there are as many.
    pub fn take_out(&mut self, count: usize) {
        debug_assert!(count <= self.unexamined().len(), "{count} bytes are taken out of {self:?}");
        self.next = self.next.saturating_add(count).min(self.end);
        self.close_gap_if_free();
        self.release_if_empty();
    }

    /// Notes that `count` cleared bytes were written.
    pub fn written(&mut self, count: usize) {
        debug_assert!(count <= self.cleared().len(), "{count} bytes were written of {self:?}");
        self.start = self.start.saturating_add(count).min(self.cleared);
        self.has_moved();
        self.close_gap_if_free();
        self.release_if_empty();
    }

    /// Drops everything.
    pub fn discard(&mut self) {
        (self.start, self.cleared, self.next) = (self.end, self.end, self.end);
        self.release_if_empty();
    }

    /// Room for more bytes; empty where the buffer is full.
    pub fn room(&mut self) -> &mut [u8] {
        if self.memory.is_empty() {
            self.memory = self.first_memory();
        } else if self.end == self.memory.len() {
            self.compact();
        }
        let short = self.expects_head && self.end == 0;
        let end = if short { HEAD_ROOM } else { self.memory.len() };
        self.memory.get_mut(self.end..end).unwrap_or_default()
    }

    /// The next read finds little room: what comes first is a head, and what is read along with it has to be copied.
    pub fn expect_head(&mut self) {
        self.expects_head = true;
    }

    /// Whether no more should be read: [`Buffer::room`] would find none, or as much as a buffer holds waits to be written. With
    /// what was put in, that may be more than was read.
    pub fn is_full(&self) -> bool {
        self.has_no_room() || self.cleared.saturating_sub(self.start) >= LARGE_CHUNK
    }

    /// Whether [`Buffer::room`] would find none: a message that needs more has to wait for what is in front of it to be
    /// written, or for the buffer to [grow](Buffer::grow).
    pub fn has_no_room(&self) -> bool {
        let is_filled = self.start == 0 && self.next == self.cleared && self.end == self.memory.len();
        !self.memory.is_empty() && is_filled
    }

    /// Notes that `count` bytes were read into the room.
    pub fn filled(&mut self, count: usize) {
        debug_assert!(count <= self.memory.len().saturating_sub(self.end), "{count} bytes were read into {self:?}");
        self.end = self.end.saturating_add(count).min(self.memory.len());
        self.was_filled = self.end == self.memory.len();
        self.expects_head &= count == 0;
        if count > 0 {
            self.has_moved();
        }
        self.release_if_empty();
    }

    /// Doubles the memory: a head is longer than the buffer, and more of it is allowed. Where there is no memory for it yet,
    /// the buffer is starved.
    pub fn grow(&mut self) {
        let size = self.memory.len().saturating_mul(2).max(CHUNK);
        let granted = match &self.payer {
            None => true,
            // What an app is asked for is bounded by the requests that have passed, and must not be cut short.
            Some((account, Side::App)) => account.take(charged(size), Use::Essential),
            Some((account, Side::Client)) => account.take_unfinished(charged(size)),
        };
        self.is_starved = !granted;
        if granted {
            self.move_to(take(size));
        }
    }

    /// Whether it has little memory for want of more.
    pub(crate) fn is_small(&self) -> bool {
        self.memory.len() == SMALL_CHUNK
    }

    /// Whether a message waits for memory: [`Buffer::grow`] may find it now.
    pub(crate) const fn is_starved(&self) -> bool {
        self.is_starved
    }

    /// Memory of the usual size for the first bytes, or else a little.
    fn first_memory(&self) -> Box<[u8]> {
        let usual = if self.was_filled { LARGE_CHUNK } else { CHUNK };
        let Some((account, _)) = &self.payer else { return take(usual) };
        for size in [usual, CHUNK] {
            if account.take(charged(size), Use::Buffer) {
                return take(size);
            }
        }
        account.note(Shortage::SmallBuffer);
        take(SMALL_CHUNK)
    }

    fn release(&mut self, memory: Box<[u8]>) {
        if let Some((account, _)) = &self.payer {
            account.give(charged(memory.len()));
        }
        give_back(memory);
    }

    /// Moves everything into memory that was paid for.
    fn move_to(&mut self, mut larger: Box<[u8]>) {
        self.compact();
        let held = self.slice(0..self.end);
        if let Some(front) = larger.get_mut(..held.len()) {
            front.copy_from_slice(held);
        }
        let smaller = std::mem::replace(&mut self.memory, larger);
        self.release(smaller);
    }

    /// Puts `replacement` in the place of the first `count` unexamined bytes; it is unexamined, too.
    pub fn replace(&mut self, count: usize, replacement: &[u8]) {
        self.exchange(0, count, replacement);
    }

    /// Puts bytes between those that may be written and those on which the framing has not spoken yet; they may pass.
    pub fn put_in(&mut self, bytes: &[u8]) {
        self.exchange(0, 0, bytes);
        self.clear(bytes.len());
    }

    /// Puts `replacement` in the place of `count` unexamined bytes behind the first `at`; it is unexamined, too.
    ///
    /// What is in front of it moves, into a gap, and what is behind it stays: so that many small additions to a full
    /// buffer cost as much as they are long.
    pub fn exchange(&mut self, at: usize, count: usize, replacement: &[u8]) {
        let unexamined = self.unexamined().len();
        debug_assert!(at.saturating_add(count) <= unexamined, "{count} bytes at {at} are replaced in {self:?}");
        let at = at.min(unexamined);
        let count = count.min(unexamined.saturating_sub(at));
        let longer = replacement.len().saturating_sub(count);
        if longer > 0 {
            self.make_gap(longer);
        }
        let front = self.next;
        self.next = front.saturating_add(count).saturating_sub(replacement.len());
        if self.next != front {
            self.memory.copy_within(front..front.saturating_add(at), self.next);
        }
        let place = self.next.saturating_add(at);
        if let Some(place) = self.memory.get_mut(place..place.saturating_add(replacement.len())) {
            place.copy_from_slice(replacement);
        }
        self.close_gap_if_free();
        self.release_if_empty();
    }

    /// A gap of at least `needed` bytes in front of those that are unexamined; more where many are, for what moves them all
    /// must not happen often.
    fn make_gap(&mut self, needed: usize) {
        if self.start == self.cleared && needed <= self.next {
            // Nothing is cleared: what is in front of these bytes is free.
            (self.start, self.cleared) = (self.next.saturating_sub(needed), self.next.saturating_sub(needed));
        }
        let there = self.next.saturating_sub(self.cleared);
        if there >= needed {
            return;
        }
        let unexamined = self.end.saturating_sub(self.next);
        let gap = needed.max(unexamined.div_ceil(2));
        let held = self.cleared.saturating_sub(self.start).saturating_add(gap).saturating_add(unexamined);
        self.make_room_for(held);
        let next = self.cleared.saturating_add(gap);
        self.memory.copy_within(self.next..self.end, next);
        (self.next, self.end) = (next, next.saturating_add(unexamined));
    }

    /// Room for `held` bytes from `start` on.
    fn make_room_for(&mut self, held: usize) {
        if held > self.memory.len() {
            // Memory of the pools where it will do.
            let size = [SMALL_CHUNK, CHUNK, LARGE_CHUNK].into_iter().find(|size| held <= *size).unwrap_or(held);
            if let Some((account, _)) = &self.payer {
                account.take(charged(size), Use::Essential);
            }
            self.move_to(take(size));
        } else if self.start.saturating_add(held) > self.memory.len() {
            self.compact();
        }
    }

    /// Moves everything to the front, without a gap.
    fn compact(&mut self) {
        self.memory.copy_within(self.start..self.cleared, 0);
        self.cleared = self.cleared.saturating_sub(self.start);
        self.memory.copy_within(self.next..self.end, self.cleared);
        self.end = self.cleared.saturating_add(self.end.saturating_sub(self.next));
        (self.start, self.next) = (0, self.cleared);
    }

    /// A gap behind nothing is none: no byte has to move into it.
    fn close_gap_if_free(&mut self) {
        if self.start == self.cleared {
            (self.start, self.cleared) = (self.next, self.next);
        }
    }

    fn release_if_empty(&mut self) {
        if self.is_empty() {
            let memory = std::mem::take(&mut self.memory);
            self.release(memory);
            (self.start, self.cleared, self.next, self.end) = (0, 0, 0, 0);
            self.is_starved = false;
        }
    }

    fn slice(&self, range: Range<usize>) -> &[u8] {
        debug_assert!(
            range.start <= range.end && range.end <= self.memory.len(),
            "{range:?} of {} bytes",
            self.memory.len()
        );
        self.memory.get(range).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        self.release(memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut Buffer, bytes: &[u8]) {
        buffer.room()[..bytes.len()].copy_from_slice(bytes);
        buffer.filled(bytes.len());
    }

    #[test]
    fn bytes_are_examined_cleared_and_written() {
        let mut buffer = Buffer::default();
        put(&mut buffer, b"headbody");
        assert_eq!((buffer.cleared(), buffer.unexamined()), (&b""[..], &b"headbody"[..]));
        buffer.clear(4);
        assert_eq!((buffer.cleared(), buffer.unexamined()), (&b"head"[..], &b"body"[..]));
        buffer.written(3);
        put(&mut buffer, b"!");
        buffer.clear_all();
        assert_eq!(buffer.cleared(), b"dbody!");
        buffer.written(6);
        assert!(buffer.is_empty() && buffer.memory.is_empty());
    }

    #[test]
    fn an_empty_read_holds_no_memory() {
        let mut buffer = Buffer::default();
        buffer.room();
        buffer.filled(0);
        assert!(buffer.memory.is_empty());
    }

    #[test]
    fn long_streams_get_larger_chunks_for_as_long_as_they_fill_them() {
        let mut buffer = Buffer::default();
        for (room, read) in [(CHUNK, CHUNK), (LARGE_CHUNK, LARGE_CHUNK), (LARGE_CHUNK, 100), (CHUNK, 100)] {
            assert_eq!(buffer.room().len(), room);
            buffer.filled(read);
            buffer.discard();
        }
    }

    #[test]
    fn a_head_that_is_expected_is_read_with_little_behind_it() {
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
    fn room_is_found_again_by_moving_and_growing() {
        let mut buffer = Buffer::default();
        let first: Vec<u8> = (0..=250).cycle().take(CHUNK).collect();
        put(&mut buffer, &first);
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
    fn what_is_taken_out_leaves_no_trace() {
        let mut buffer = Buffer::default();
        put(&mut buffer, b"aXXbXcd");
        buffer.clear(1);
        buffer.take_out(2);
        buffer.clear(1);
        buffer.take_out(1);
        assert_eq!((buffer.cleared(), buffer.unexamined()), (&b"ab"[..], &b"cd"[..]));
        put(&mut buffer, b"e");
        buffer.clear(1);
        assert_eq!((buffer.cleared(), buffer.unexamined()), (&b"abc"[..], &b"de"[..]));
        buffer.replace(1, b"DD");
        assert_eq!((buffer.cleared(), buffer.unexamined()), (&b"abc"[..], &b"DDe"[..]));
        buffer.take_out(3);
        buffer.written(3);
        assert!(buffer.is_empty() && buffer.memory.is_empty());
    }

    #[test]
    fn a_gap_is_room() {
        let mut buffer = Buffer::default();
        put(&mut buffer, &[b'a'; CHUNK]);
        buffer.clear(10);
        buffer.take_out(CHUNK - 30);
        assert!(!buffer.is_full());
        assert_eq!(buffer.room().len(), CHUNK - 30);
        assert_eq!((buffer.cleared(), buffer.unexamined()), (&[b'a'; 10][..], &[b'a'; 20][..]));
        buffer.take_out(5);
        buffer.grow();
        assert_eq!((buffer.cleared(), buffer.unexamined()), (&[b'a'; 10][..], &[b'a'; 15][..]));
        assert_eq!(buffer.room().len(), 2 * CHUNK - 25);
    }

    /// Each insertion must not move what is behind it: the work would grow with the square of the bytes.
    #[test]
    fn many_insertions_move_each_byte_a_few_times() {
        let mut buffer = Buffer::default();
        let (mut expected, mut moves) = (Vec::new(), 0);
        buffer.was_filled = true;
        let all: Vec<u8> = (0..=250).cycle().take(LARGE_CHUNK / 15 * 15).collect();
        put(&mut buffer, &all);
        for frame in all.chunks(15) {
            let behind = buffer.unexamined().as_ptr_range().end;
            buffer.exchange(0, 3, &frame[..3]);
            buffer.clear(frame.len());
            buffer.put_in(&[0xff; 28]);
            moves += usize::from(buffer.unexamined().as_ptr_range().end != behind);
            expected.extend_from_slice(frame);
            expected.extend_from_slice(&[0xff; 28]);
        }
        assert!(buffer.cleared() == expected, "something else came of it");
        assert!(moves < 40, "all that is behind has moved {moves} times");
        assert!(buffer.is_full(), "three times as much as was read waits to be written");
        let held = buffer.memory.len();
        assert!(held < 5 * LARGE_CHUNK, "it holds {held} bytes");
        buffer.written(expected.len() - LARGE_CHUNK + 1);
        assert!(!buffer.is_full());
    }

    #[test]
    fn insertions_before_and_behind_other_bytes() {
        for (cleared, written, at, count, text) in [
            (0, 0, 4, 0, "xx"),
            (3, 0, 3, 2, "xxxxxx"),
            (3, 3, 0, 4, "x"),
            (3, 1, 2, 2, "xx"),
            (0, 0, 0, 8, ""),
            (5, 5, 3, 0, "x"),
        ] {
            let mut buffer = Buffer::default();
            put(&mut buffer, b"abcdefgh");
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
            put(&mut buffer, b"1xxheadbody");
            buffer.clear(3);
            buffer.replace(4, replacement);
            assert_eq!(buffer.cleared(), b"1xx");
            assert_eq!(buffer.unexamined(), [replacement, b"body"].concat());
        }
        let mut buffer = Buffer::default();
        put(&mut buffer, &[b'a'; CHUNK]);
        buffer.replace(1, b"bcd");
        assert_eq!(buffer.unexamined().len(), CHUNK + 2);
    }
}

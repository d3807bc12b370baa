//! A fixed-size piece of memory for bytes in flight, with their offsets.
#![expect(clippy::unnecessary_box_returns, clippy::vec_box, reason = "pools keep chunks where they are")]

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

/// The size if memory is short. Every connection has reserved this much.
pub(super) const SMALL_CHUNK: usize = 4 * 1024;
/// The initial size. Most messages fit.
pub(super) const CHUNK: usize = 16 * 1024;
/// The size after a read has filled a chunk: a long body needs fewer system calls, and has the memory only while it is
/// relayed.
pub(super) const LARGE_CHUNK: usize = 64 * 1024;
/// The most bytes of each size that a thread pools.
const POOLED: usize = 1024 * 1024;

thread_local! {
    static CHUNKS: RefCell<Vec<Box<Chunk>>> = const { RefCell::new(Vec::new()) };
    static LARGE_CHUNKS: RefCell<Vec<Box<Chunk>>> = const { RefCell::new(Vec::new()) };
}

/// Memory of a fixed size. The offsets are here and not in the buffer, so that an idle connection has none.
///
/// ```text
///    start       cleared   next          end
///      │  cleared   │  gap  │  unexamined  │ free
/// ```
pub(super) struct Chunk {
    memory: Box<[u8]>,
    start: usize,
    cleared: usize,
    next: usize,
    end: usize,
}

/// Shows the offsets and not the bytes, which belong to users.
impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, start, cleared, next, end } = self;
        write!(f, "start: {start}, cleared: {cleared}, next: {next}, end: {end}, size: {}", memory.len())
    }
}

impl Chunk {
    /// Returns an empty chunk, from the pool of the thread if it has one of this size.
    pub(super) fn take(size: usize) -> Box<Self> {
        let pooled = match size {
            CHUNK => CHUNKS.with_borrow_mut(Vec::pop),
            LARGE_CHUNK => LARGE_CHUNKS.with_borrow_mut(Vec::pop),
            _ => None,
        };
        pooled.unwrap_or_else(|| {
            Box::new(Self { memory: vec![0; size].into_boxed_slice(), start: 0, cleared: 0, next: 0, end: 0 })
        })
    }

    /// Returns it to the pool of the thread. Its bytes are dropped.
    pub(super) fn give_back(mut self: Box<Self>) {
        self.forget();
        let size = self.size();
        let keep = |pool: &mut Vec<Box<Self>>| {
            if pool.len().saturating_mul(size) < POOLED {
                pool.push(self);
            }
        };
        match size {
            CHUNK => CHUNKS.with_borrow_mut(keep),
            LARGE_CHUNK => LARGE_CHUNKS.with_borrow_mut(keep),
            _ => {}
        }
    }

    const fn forget(&mut self) {
        (self.start, self.cleared, self.next, self.end) = (0, 0, 0, 0);
    }

    /// Returns the size in bytes.
    pub(super) fn size(&self) -> usize {
        self.memory.len()
    }

    /// Returns whether no byte is in flight.
    pub(super) const fn is_empty(&self) -> bool {
        self.start == self.cleared && self.next == self.end
    }

    /// Returns the bytes that may be written.
    pub(super) fn cleared(&self) -> &[u8] {
        self.slice(self.start..self.cleared)
    }

    /// Returns the bytes that the framing has not cleared yet.
    pub(super) fn unexamined(&self) -> &[u8] {
        self.slice(self.next..self.end)
    }

    /// Clears the next `count` unexamined bytes.
    pub(super) fn clear(&mut self, count: usize) {
        let from = self.next;
        self.next = from.saturating_add(count).min(self.end);
        if from == self.cleared {
            self.cleared = self.next;
        } else {
            self.memory.copy_within(from..self.next, self.cleared);
            self.cleared = self.cleared.saturating_add(self.next.saturating_sub(from));
        }
    }

    /// Removes the next `count` unexamined bytes.
    pub(super) fn remove(&mut self, count: usize) {
        self.next = self.next.saturating_add(count).min(self.end);
        self.close_gap_if_free();
    }

    /// Removes `count` cleared bytes, which were written.
    pub(super) fn written(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.cleared);
        self.close_gap_if_free();
    }

    /// Returns the room for the next read, of at most `most` bytes if the chunk is empty.
    pub(super) fn room(&mut self, most: usize) -> &mut [u8] {
        if self.end == self.memory.len() {
            self.compact();
        }
        let end = if self.end == 0 { most.min(self.memory.len()) } else { self.memory.len() };
        self.memory.get_mut(self.end..end).unwrap_or_default()
    }

    /// Returns whether [`Chunk::room`] would be empty.
    pub(super) fn has_no_room(&self) -> bool {
        self.start == 0 && self.next == self.cleared && self.end == self.memory.len()
    }

    /// Appends `count` bytes, which were read into the room. Returns whether they fill it.
    pub(super) fn filled(&mut self, count: usize) -> bool {
        debug_assert!(count <= self.memory.len().saturating_sub(self.end), "{count} bytes were read into {self:?}");
        self.end = self.end.saturating_add(count).min(self.memory.len());
        self.end == self.memory.len()
    }

    /// Moves all bytes into the empty chunk `larger`, which takes its place. Returns the old memory.
    pub(super) fn move_to(self: &mut Box<Self>, mut larger: Box<Self>) -> Box<Self> {
        self.compact();
        let held = self.slice(0..self.end);
        if let Some(front) = larger.memory.get_mut(..held.len()) {
            front.copy_from_slice(held);
        }
        (larger.cleared, larger.next, larger.end) = (self.cleared, self.next, self.end);
        std::mem::replace(self, larger)
    }

    /// Returns the size that a gap of `needed` bytes before the unexamined ones takes; `None` if this chunk is large
    /// enough.
    pub(super) fn size_for_gap(&self, needed: usize) -> Option<usize> {
        let held = self.held_with_gap(self.gap(needed)?);
        (held > self.size()).then_some(held)
    }

    /// Makes a gap of `needed` bytes before the unexamined ones. The chunk must be [large enough](Chunk::size_for_gap).
    pub(super) fn make_gap(&mut self, needed: usize) {
        let Some(gap) = self.gap(needed) else {
            if self.start == self.cleared {
                // No bytes are cleared, so the memory before the unexamined ones is free.
                (self.start, self.cleared) = (self.next.saturating_sub(needed), self.next.saturating_sub(needed));
            }
            return;
        };
        if self.start.saturating_add(self.held_with_gap(gap)) > self.size() {
            self.compact();
        }
        let next = self.cleared.saturating_add(gap);
        let unexamined = self.unexamined().len();
        self.memory.copy_within(self.next..self.end, next);
        (self.next, self.end) = (next, next.saturating_add(unexamined));
    }

    /// Returns the size of the gap to make; `None` if there are `needed` bytes already. It grows with the number of
    /// unexamined bytes, because making it moves them all.
    fn gap(&self, needed: usize) -> Option<usize> {
        let free = if self.start == self.cleared { self.next } else { self.next.saturating_sub(self.cleared) };
        (free < needed).then(|| needed.max(self.unexamined().len().div_ceil(2)))
    }

    /// Returns the number of bytes from `start` to `end` with a gap of this size.
    fn held_with_gap(&self, gap: usize) -> usize {
        self.cleared().len().saturating_add(gap).saturating_add(self.unexamined().len())
    }

    /// Replaces `count` unexamined bytes after the first `at` by `replacement`. The first `at` bytes move. If
    /// `replacement` is longer, there must be a [gap](Chunk::make_gap) for the difference.
    pub(super) fn exchange(&mut self, at: usize, count: usize, replacement: &[u8]) {
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
    }

    /// Moves all bytes to the front, without a gap.
    fn compact(&mut self) {
        self.memory.copy_within(self.start..self.cleared, 0);
        self.cleared = self.cleared.saturating_sub(self.start);
        self.memory.copy_within(self.next..self.end, self.cleared);
        self.end = self.cleared.saturating_add(self.end.saturating_sub(self.next));
        (self.start, self.next) = (0, self.cleared);
    }

    /// Removes the gap if no byte is cleared: then no byte has to move into it.
    const fn close_gap_if_free(&mut self) {
        if self.start == self.cleared {
            (self.start, self.cleared) = (self.next, self.next);
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

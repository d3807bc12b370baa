//! Memory for bytes in flight, and where they are in it.
#![expect(clippy::unnecessary_box_returns, clippy::vec_box, reason = "pools keep chunks where they are")]

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

/// What a buffer holds where memory is short. Every connection has as much, whatever the others have.
pub(super) const SMALL_CHUNK: usize = 4 * 1024;
/// What a buffer holds at first: most messages fit, and small ones stay small.
pub(super) const CHUNK: usize = 16 * 1024;
/// What it holds once a read has filled it: long bodies cost a system call for each, and memory only while they flow.
pub(super) const LARGE_CHUNK: usize = 64 * 1024;
/// Memory of each size that a thread keeps for the next bytes.
const POOLED: usize = 1024 * 1024;

thread_local! {
    static CHUNKS: RefCell<Vec<Box<Chunk>>> = const { RefCell::new(Vec::new()) };
    static LARGE_CHUNKS: RefCell<Vec<Box<Chunk>>> = const { RefCell::new(Vec::new()) };
}

/// Memory of a fixed size. The offsets are here, and not in the buffer, so that an idle connection has none.
///
/// ```text
///    start            cleared       next             end
///      │ may be written │ taken out │ to be examined │ free
/// ```
pub(super) struct Chunk {
    memory: Box<[u8]>,
    start: usize,
    cleared: usize,
    next: usize,
    end: usize,
}

/// Offsets and not the bytes, which are the users' own.
impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, start, cleared, next, end } = self;
        write!(f, "start: {start}, cleared: {cleared}, next: {next}, end: {end}, size: {}", memory.len())
    }
}

impl Chunk {
    /// Returns one that is empty, from the pools of the thread where they have this size.
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

    /// Gives it to the pools of the thread, whatever it holds.
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

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        self.memory.len()
    }

    /// Whether no byte is in flight.
    pub(super) const fn is_empty(&self) -> bool {
        self.start == self.cleared && self.next == self.end
    }

    /// Bytes that may be written.
    pub(super) fn cleared(&self) -> &[u8] {
        self.slice(self.start..self.cleared)
    }

    /// Bytes on which the framing has not spoken yet.
    pub(super) fn unexamined(&self) -> &[u8] {
        self.slice(self.next..self.end)
    }

    /// Allows the next `count` unexamined bytes to pass.
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

    /// Takes the next `count` unexamined bytes out.
    pub(super) fn take_out(&mut self, count: usize) {
        self.next = self.next.saturating_add(count).min(self.end);
        self.close_gap_if_free();
    }

    /// Notes that `count` cleared bytes were written.
    pub(super) fn written(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.cleared);
        self.close_gap_if_free();
    }

    /// Room for more bytes; up to `most` bytes where nothing is before them.
    pub(super) fn room(&mut self, most: usize) -> &mut [u8] {
        if self.end == self.memory.len() {
            self.compact();
        }
        let end = if self.end == 0 { most.min(self.memory.len()) } else { self.memory.len() };
        self.memory.get_mut(self.end..end).unwrap_or_default()
    }

    /// Whether [`Chunk::room`] would find none.
    pub(super) fn has_no_room(&self) -> bool {
        self.start == 0 && self.next == self.cleared && self.end == self.memory.len()
    }

    /// Notes that `count` bytes were read into the room. Returns whether they fill it.
    pub(super) fn filled(&mut self, count: usize) -> bool {
        debug_assert!(count <= self.memory.len().saturating_sub(self.end), "{count} bytes were read into {self:?}");
        self.end = self.end.saturating_add(count).min(self.memory.len());
        self.end == self.memory.len()
    }

    /// Moves everything into an empty one, which is at least as large. Returns this one.
    pub(super) fn move_to(self: &mut Box<Self>, mut larger: Box<Self>) -> Box<Self> {
        self.compact();
        let held = self.slice(0..self.end);
        if let Some(front) = larger.memory.get_mut(..held.len()) {
            front.copy_from_slice(held);
        }
        (larger.cleared, larger.next, larger.end) = (self.cleared, self.next, self.end);
        std::mem::replace(self, larger)
    }

    /// Returns the size that it takes to put `needed` bytes in front of those that are unexamined; `None` where this one has it.
    pub(super) fn size_for_gap(&self, needed: usize) -> Option<usize> {
        let held = self.held_with_gap(self.gap(needed)?);
        (held > self.size()).then_some(held)
    }

    /// Makes room for `needed` bytes in front of those that are unexamined; it is [large enough](Chunk::size_for_gap).
    pub(super) fn make_gap(&mut self, needed: usize) {
        let Some(gap) = self.gap(needed) else {
            if self.start == self.cleared {
                // Nothing is cleared: what is in front of these bytes is free.
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

    /// Returns the gap to make where there are not `needed` bytes in front of those that are unexamined; more where many are,
    /// for what moves them all must not happen often.
    fn gap(&self, needed: usize) -> Option<usize> {
        let free = if self.start == self.cleared { self.next } else { self.next.saturating_sub(self.cleared) };
        (free < needed).then(|| needed.max(self.unexamined().len().div_ceil(2)))
    }

    /// Bytes from `start` on, with such a gap.
    fn held_with_gap(&self, gap: usize) -> usize {
        self.cleared().len().saturating_add(gap).saturating_add(self.unexamined().len())
    }

    /// Puts `replacement` in the place of `count` unexamined bytes behind the first `at`, all of which move to the left or right;
    /// there is a [gap](Chunk::make_gap) for what it is longer.
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

    /// Moves everything to the front, without a gap.
    fn compact(&mut self) {
        self.memory.copy_within(self.start..self.cleared, 0);
        self.cleared = self.cleared.saturating_sub(self.start);
        self.memory.copy_within(self.next..self.end, self.cleared);
        self.end = self.cleared.saturating_add(self.end.saturating_sub(self.next));
        (self.start, self.next) = (0, self.cleared);
    }

    /// A gap behind nothing is none: no byte has to move into it.
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

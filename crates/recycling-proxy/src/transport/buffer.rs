//! A byte buffer that holds memory only while bytes are in flight.
//!
//! Bytes are appended as they are read, *cleared* once the framing allows them to pass, and removed from the front once
//! they are written. An empty buffer returns its memory to a pool of the thread, so that an idle connection owns none.
//!
//! Removed bytes leave a gap, into which later bytes move as they are cleared. So each byte moves once, however many
//! pieces are removed. Inserted bytes use the gap, or make one that is large enough for further insertions.

#[cfg(test)]
mod testing;

use std::fmt;
use std::sync::Arc;

use super::chunk::{CHUNK, Chunk, LARGE_CHUNK, SMALL_CHUNK};
use crate::memory::pool::Use;
use crate::memory::{Account, Shortage};
use crate::relay::side::Side;

/// The size of the first read of a message whose body is likely to be spliced: enough for its head, and little more to
/// copy.
const HEAD_ROOM: usize = 4 * 1024;

/// Returns the bytes that memory of this size is charged. A small buffer is included in what every connection reserves.
const fn charged(size: usize) -> usize {
    if size > SMALL_CHUNK { size } else { 0 }
}

/// Bytes in flight from one peer to the other.
pub struct Buffer {
    /// `None` while no byte is in flight.
    chunk: Option<Box<Chunk>>,
    /// The account that its memory is charged to; `None` in tests of the pure cores.
    account: Option<Arc<Account>>,
    /// The side that sent the bytes.
    from: Side,
    /// Whether the last read filled it, so that more bytes are likely to follow.
    was_filled: bool,
    expects_head: bool,
    /// Whether a message needs more memory than there is.
    is_starved: bool,
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            chunk: None,
            account: None,
            from: Side::Client,
            was_filled: false,
            expects_head: false,
            is_starved: false,
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.chunk {
            Some(chunk) => write!(f, "Buffer {{ {chunk:?} }}"),
            None => write!(f, "Buffer {{}}"),
        }
    }
}

impl Buffer {
    /// Charges its memory to `account` from now on. `side` sends the bytes.
    pub(crate) fn charge(&mut self, account: &Arc<Account>, side: Side) {
        if charged(self.size()) > 0 {
            account.charge(charged(self.size()), Use::Essential);
        }
        (self.account, self.from) = (Some(Arc::clone(account)), side);
    }

    /// Returns the account that its memory is charged to, and the side that sends the bytes.
    pub(crate) fn charged_account(&self) -> Option<(&Account, Side)> {
        self.account.as_ref().map(|account| (account.as_ref(), self.from))
    }

    /// Records progress of the connection, also by bytes that bypass this buffer.
    pub(crate) fn record_progress(&self) {
        if let Some(account) = &self.account {
            account.record_progress();
        }
    }

    /// Returns whether no byte is in flight.
    pub fn is_empty(&self) -> bool {
        self.chunk.as_ref().is_none_or(|chunk| chunk.is_empty())
    }

    /// Returns the bytes that may be written.
    pub fn cleared(&self) -> &[u8] {
        self.chunk.as_ref().map_or(&[], |chunk| chunk.cleared())
    }

    /// Returns the bytes that the framing has not cleared yet.
    pub fn unexamined(&self) -> &[u8] {
        self.chunk.as_ref().map_or(&[], |chunk| chunk.unexamined())
    }

    /// Returns the size of its memory in bytes.
    fn size(&self) -> usize {
        self.chunk.as_ref().map_or(0, |chunk| chunk.size())
    }

    /// Clears the next `count` unexamined bytes; there must be as many.
    pub fn clear(&mut self, count: usize) {
        debug_assert!(count <= self.unexamined().len(), "{count} bytes are cleared of {self:?}");
        if let Some(chunk) = &mut self.chunk {
            chunk.clear(count);
        }
    }

    /// Clears all bytes.
    pub fn clear_all(&mut self) {
        self.clear(self.unexamined().len());
    }

    /// Removes the next `count` unexamined bytes; there must be as many.
    pub fn remove(&mut self, count: usize) {
        debug_assert!(count <= self.unexamined().len(), "{count} bytes are taken out of {self:?}");
        if let Some(chunk) = &mut self.chunk {
            chunk.remove(count);
        }
        self.release_if_empty();
    }

    /// Removes `count` cleared bytes, which were written.
    pub fn written(&mut self, count: usize) {
        debug_assert!(count <= self.cleared().len(), "{count} bytes were written of {self:?}");
        if let Some(chunk) = &mut self.chunk {
            chunk.written(count);
        }
        self.record_progress();
        self.release_if_empty();
    }

    /// Removes all bytes.
    pub fn discard(&mut self) {
        if let Some(chunk) = self.chunk.take() {
            self.release(chunk);
        }
        self.is_starved = false;
    }

    /// Returns the room for the next read; empty if the buffer is full.
    pub fn room(&mut self) -> &mut [u8] {
        if self.chunk.is_none() {
            self.chunk = Some(self.first_memory());
        }
        let most = if self.expects_head { HEAD_ROOM } else { usize::MAX };
        self.chunk.as_mut().map_or(&mut [], |chunk| chunk.room(most))
    }

    /// Makes the next read small: a head is expected, and body bytes that are read with it must be copied.
    pub fn expect_head(&mut self) {
        self.expects_head = true;
    }

    /// Returns whether no more should be read: [`Buffer::room`] would be empty, or the cleared bytes are as many as a
    /// buffer holds. With inserted bytes there may be more than were read.
    pub fn is_full(&self) -> bool {
        self.chunk.as_ref().is_some_and(|chunk| chunk.has_no_room() || chunk.cleared().len() >= LARGE_CHUNK)
    }

    /// Returns whether [`Buffer::room`] would be empty. A longer message must wait until the bytes before it are
    /// written, or until the buffer [grows](Buffer::grow).
    pub fn has_no_room(&self) -> bool {
        self.chunk.as_ref().is_some_and(|chunk| chunk.has_no_room())
    }

    /// Appends `count` bytes, which were read into the room.
    pub fn filled(&mut self, count: usize) {
        if let Some(chunk) = &mut self.chunk {
            self.was_filled = chunk.filled(count);
        }
        self.expects_head &= count == 0;
        if count > 0 {
            self.record_progress();
        }
        self.release_if_empty();
    }

    /// Doubles the memory for a head that is longer than the buffer. If there is no memory, the buffer is starved.
    pub fn grow(&mut self) {
        let size = self.size().saturating_mul(2).max(CHUNK);
        let granted = match (&self.account, self.from) {
            (None, _) => true,
            // A response head must not be truncated, and there is at most one for each forwarded request.
            (Some(account), Side::App) => account.charge(charged(size), Use::Essential),
            (Some(account), Side::Client) => account.charge_unfinished(charged(size)),
        };
        self.is_starved = !granted;
        if granted {
            self.move_to(Chunk::take(size));
        }
    }

    /// Returns whether it has a small chunk because there was no memory for a larger one.
    pub(crate) fn is_small(&self) -> bool {
        self.size() == SMALL_CHUNK
    }

    /// Returns whether a message waits for memory. Another call of [`Buffer::grow`] may get it.
    pub(crate) const fn is_starved(&self) -> bool {
        self.is_starved
    }

    /// Returns memory for the first bytes: a chunk of the usual size, or a small one if there is no memory for it.
    #[expect(clippy::unnecessary_box_returns, reason = "pools keep chunks where they are")]
    fn first_memory(&self) -> Box<Chunk> {
        let usual = if self.was_filled { LARGE_CHUNK } else { CHUNK };
        let Some(account) = &self.account else { return Chunk::take(usual) };
        for size in [usual, CHUNK] {
            if account.charge(charged(size), Use::Buffer) {
                return Chunk::take(size);
            }
        }
        account.record_shortage(Shortage::SmallBuffer);
        Chunk::take(SMALL_CHUNK)
    }

    fn release(&self, chunk: Box<Chunk>) {
        if let Some(account) = &self.account {
            account.uncharge(charged(chunk.size()));
        }
        chunk.give_back();
    }

    /// Moves all bytes into `larger`, which is already charged.
    fn move_to(&mut self, larger: Box<Chunk>) {
        let Some(chunk) = &mut self.chunk else {
            self.chunk = Some(larger);
            return;
        };
        let smaller = chunk.move_to(larger);
        self.release(smaller);
    }

    /// Replaces the first `count` unexamined bytes by `replacement`, which is unexamined, too.
    pub fn replace(&mut self, count: usize, replacement: &[u8]) {
        self.exchange(0, count, replacement);
    }

    /// Inserts cleared bytes between the cleared and the unexamined ones.
    pub fn insert_cleared(&mut self, bytes: &[u8]) {
        self.exchange(0, 0, bytes);
        self.clear(bytes.len());
    }

    /// Replaces `count` unexamined bytes after the first `at` by `replacement`, which is unexamined, too.
    ///
    /// The bytes before it move into a gap, and those after it stay. So the cost of many small insertions does not
    /// depend on the bytes after them.
    pub fn exchange(&mut self, at: usize, count: usize, replacement: &[u8]) {
        let unexamined = self.unexamined().len();
        debug_assert!(at.saturating_add(count) <= unexamined, "{count} bytes at {at} are replaced in {self:?}");
        let at = at.min(unexamined);
        let count = count.min(unexamined.saturating_sub(at));
        self.make_gap(replacement.len().saturating_sub(count));
        if let Some(chunk) = &mut self.chunk {
            chunk.exchange(at, count, replacement);
        }
        self.release_if_empty();
    }

    /// Makes a gap of at least `needed` bytes before the unexamined ones.
    fn make_gap(&mut self, needed: usize) {
        if needed == 0 {
            return;
        }
        let lacking = self.chunk.as_ref().map_or(Some(needed), |chunk| chunk.size_for_gap(needed));
        if let Some(held) = lacking {
            // A size that is pooled, if it is enough.
            let size = [SMALL_CHUNK, CHUNK, LARGE_CHUNK].into_iter().find(|size| held <= *size).unwrap_or(held);
            if let Some(account) = &self.account {
                account.charge(charged(size), Use::Essential);
            }
            self.move_to(Chunk::take(size));
        }
        if let Some(chunk) = &mut self.chunk {
            chunk.make_gap(needed);
        }
    }

    fn release_if_empty(&mut self) {
        if self.is_empty() {
            self.discard();
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.discard();
    }
}

#[cfg(test)]
mod tests;

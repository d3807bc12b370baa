//! One direction of an exchange.

use crate::http1::body::Body;
use crate::http1::fault::Fault;
use crate::http1::lines::HeadEnd;
use crate::transport::buffer::Buffer;

/// The state of one direction of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// No message is expected.
    Rest,
    Head(HeadEnd),
    Body(Body),
    Done,
}

impl Half {
    /// Returns how many of the next bytes need no examination.
    pub(super) const fn unseen(&self) -> u64 {
        match self {
            Self::Body(body) => body.unseen(),
            Self::Rest | Self::Head(_) | Self::Done => 0,
        }
    }

    /// Records that `count` bytes were forwarded without examination; at most [`Half::unseen`].
    pub(super) const fn passed_unseen(&mut self, count: u64) {
        if let Self::Body(body) = self {
            body.passed_unseen(count);
            if body.is_done() {
                *self = Self::Done;
            }
        } else {
            debug_assert!(count == 0, "bytes have passed where there was no body");
        }
    }
}

/// Returns the head of `length` bytes at the front of the buffer, which must have as many.
pub(super) fn front(buffer: &Buffer, length: usize) -> &[u8] {
    let bytes = buffer.unexamined();
    debug_assert!(length <= bytes.len(), "a head of {length} bytes in {buffer:?}");
    bytes.get(..length).unwrap_or_default()
}

/// Returns the length of the head at the front of the buffer, once it is complete.
pub(super) fn complete_head(end: &mut HeadEnd, buffer: &mut Buffer, head_limit: usize) -> Result<Option<usize>, Fault> {
    let bytes = buffer.unexamined();
    // Bytes beyond the limit are not parsed, so that the result does not depend on how they are split.
    match end.find(bytes.get(..head_limit).unwrap_or(bytes))? {
        Some(length) => Ok(Some(length)),
        None if bytes.len() >= head_limit => Err(Fault::HeadTooLong),
        None => {
            // If the buffer is full of cleared bytes, there is room once they are written, and it need not grow.
            if buffer.has_no_room() {
                buffer.grow();
            }
            Ok(None)
        }
    }
}

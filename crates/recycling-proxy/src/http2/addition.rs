//! The client's address at the end of each request's field block.
//!
//! A literal without indexing leaves the dynamic table as it is, so that header compression stays between the client and
//! the app. What the block says before is not decoded; a second `x-forwarded-for` line is the same as a longer first
//! one (RFC 9110 §5.3).

use super::fault::Fault;
use super::field_block::FieldBlock;
use super::frame::{FrameHeader, HEADER, Kind, LEAST_MAX_FRAME, continuation, relabelled};
use super::walk::Walk;
use crate::relay::forwarded_for::{ForwardedFor, NAME};
use crate::transport::buffer::Buffer;

/// Puts a field of ours into requests.
#[derive(Clone, Debug)]
pub(crate) struct Addition {
    /// The field, as a literal without indexing (RFC 7541 §6.2.2).
    field: Box<[u8]>,
    /// The client's own fields of the present request.
    block: FieldBlock,
    /// A request's block goes on in a CONTINUATION.
    is_open: bool,
    frame: Frame,
}

/// The frame that is passing.
#[derive(Clone, Copy, Debug)]
struct Frame {
    stream: u32,
    padding: usize,
    growth: Growth,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// Its block goes on: it passes as it is.
    None,
    /// The field is put between its fragment and its padding.
    Longer,
    /// It may not be longer: the field comes behind it, in a frame of our own. Its padding is left out, as RFC 9113
    /// §10.7 allows.
    Followed,
}

/// The parts of a frame that carries fields (RFC 9113 §6.2, §6.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    front: usize,
    fragment: usize,
    padding: usize,
}

impl Addition {
    /// Of the address of this client.
    pub(crate) fn of(client: ForwardedFor) -> Self {
        let (name, value) = (NAME.to_ascii_lowercase(), client.to_string());
        Self {
            field: [&[0][..], &string(&name), &string(&value)].concat().into(),
            block: FieldBlock::default(),
            is_open: false,
            frame: Frame { stream: 0, padding: 0, growth: Growth::None },
        }
    }

    /// Returns whether the frame is part of a request's fields; `begins` says whether it begins a request.
    pub(crate) fn concerns(&self, header: FrameHeader, begins: bool) -> bool {
        begins || (header.kind == Kind::Continuation && self.is_open)
    }

    /// Lets the front of such a frame pass, made ready for what will come at its end.
    pub(crate) fn enter(&mut self, header: FrameHeader, walk: &mut Walk, buffer: &mut Buffer) -> Result<(), Fault> {
        let Parts { front, fragment, padding } = Parts::of(header, buffer.unexamined())?;
        if header.kind == Kind::Headers {
            self.block = FieldBlock::default();
        }
        self.is_open = header.leaves_block_open();
        let longer = u32::try_from(self.field.len()).ok().and_then(|field| header.length.checked_add(field));
        // What every receiver takes at any time: the app may take back a larger size that it has allowed.
        let longer = longer.filter(|length| *length <= LEAST_MAX_FRAME);
        let growth = match longer {
            _ if self.is_open => Growth::None,
            Some(length) => {
                relabel(buffer, length, false);
                Growth::Longer
            }
            None => {
                let length = header.length.saturating_sub(u32::try_from(padding).unwrap_or_default());
                relabel(buffer, length, true);
                if header.is_padded() {
                    buffer.exchange(HEADER, 1, &[0]);
                }
                Growth::Followed
            }
        };
        self.frame = Frame { stream: header.stream, padding, growth };
        walk.pass_front(header, front, fragment, buffer);
        Ok(())
    }

    /// Lets `count` bytes of fields pass.
    pub(crate) fn read(&mut self, count: usize, walk: &mut Walk, buffer: &mut Buffer) -> Result<(), Fault> {
        let mut left = count;
        while left > 0 {
            let taken = self.block.advance(buffer.unexamined().get(..left).unwrap_or_default())?;
            walk.pass_fields(taken, buffer);
            left = left.saturating_sub(taken);
        }
        Ok(())
    }

    /// Puts the field in, at the end of the fields.
    ///
    /// A block that ends within a field of the client's is refused: ours would become the rest of it, and a client could
    /// so keep its address from the app.
    pub(crate) fn end(&mut self, walk: &mut Walk, buffer: &mut Buffer) -> Result<(), Fault> {
        let Frame { stream, padding, growth } = self.frame;
        if growth != Growth::None && !self.block.is_at_boundary() {
            return Err(Fault::BadFieldBlock);
        }
        match growth {
            Growth::None => walk.end_fields(padding),
            Growth::Longer => {
                buffer.put_in(&self.field);
                walk.end_fields(padding);
            }
            Growth::Followed => {
                buffer.put_in(&continuation(stream, &self.field));
                walk.end_fields_without(padding);
            }
        }
        Ok(())
    }
}

impl Parts {
    fn of(header: FrameHeader, bytes: &[u8]) -> Result<Self, Fault> {
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let front = header.front();
        let padding = if header.is_padded() { bytes.get(HEADER).copied().map_or(0, usize::from) } else { 0 };
        let fragment = length.checked_sub(front).and_then(|rest| rest.checked_sub(padding));
        fragment.map(|fragment| Self { front, fragment, padding }).ok_or(Fault::BrokenFieldBlock)
    }
}

fn relabel(buffer: &mut Buffer, length: u32, goes_on: bool) {
    if let Some(front) = relabelled(buffer.unexamined(), length, goes_on) {
        buffer.exchange(0, front.len(), &front);
    }
}

/// Returns a string literal without Huffman coding (RFC 7541 §5.2), shorter than 127 octets as names and addresses are.
fn string(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or_default();
    [&[length], text.as_bytes()].concat()
}

#[cfg(test)]
mod tests;

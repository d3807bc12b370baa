//! Appends the client's address to each request's field block.
//!
//! It is a literal without indexing, which does not change the dynamic table, so that header compression stays between
//! the client and the app. The rest of the block is not decoded: a second `x-forwarded-for` line means the same as a
//! longer first one (RFC 9110 §5.3).

use super::fault::Fault;
use super::field_block::FieldBlock;
use super::frame::{FrameHeader, HEADER, Kind, LEAST_MAX_FRAME, continuation, relabelled};
use super::frame_parser::FrameParser;
use crate::relay::forwarded_for::{ForwardedFor, NAME};
use crate::transport::buffer::Buffer;

/// Appends a field to requests.
#[derive(Clone, Debug)]
pub(crate) struct Addition {
    /// The field, as a literal without indexing (RFC 7541 §6.2.2).
    field: Box<[u8]>,
    /// The state of the client's field block in the current request.
    block: FieldBlock,
    /// Whether the block continues in a CONTINUATION frame.
    is_open: bool,
    frame: Frame,
}

/// The current frame.
#[derive(Clone, Copy, Debug)]
struct Frame {
    stream: u32,
    padding: usize,
    growth: Growth,
}

/// How the field is added to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// Not at all, because its block continues.
    None,
    /// Between its fragment and its padding.
    Longer,
    /// In an additional frame after it, because it has the maximum length. Its padding is removed, as RFC 9113 §10.7
    /// allows.
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
    /// Returns the addition of this client's address.
    pub(crate) fn of(client: ForwardedFor) -> Self {
        let (name, value) = (NAME.to_ascii_lowercase(), client.to_string());
        Self {
            field: [&[0][..], &string(&name), &string(&value)].concat().into(),
            block: FieldBlock::default(),
            is_open: false,
            frame: Frame { stream: 0, padding: 0, growth: Growth::None },
        }
    }

    /// Returns whether the frame is part of a request's field block. `begins` is true if it begins a request.
    pub(crate) fn concerns(&self, header: FrameHeader, begins: bool) -> bool {
        begins || (header.kind == Kind::Continuation && self.is_open)
    }

    /// Forwards the part of such a frame before its fragment, with the length that it will have.
    pub(crate) fn enter(
        &mut self,
        header: FrameHeader,
        parser: &mut FrameParser,
        buffer: &mut Buffer,
    ) -> Result<(), Fault> {
        let Parts { front, fragment, padding } = Parts::of(header, buffer.unexamined())?;
        if header.kind == Kind::Headers {
            self.block = FieldBlock::default();
        }
        self.is_open = header.leaves_block_open();
        let longer = u32::try_from(self.field.len()).ok().and_then(|field| header.length.checked_add(field));
        // The minimum that every receiver accepts. The app may lower a larger size that it has allowed.
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
        parser.pass_front(header, front, fragment, buffer);
        Ok(())
    }

    /// Forwards `count` bytes of the fragment.
    pub(crate) fn read(&mut self, count: usize, parser: &mut FrameParser, buffer: &mut Buffer) -> Result<(), Fault> {
        let mut left = count;
        while left > 0 {
            let taken = self.block.advance(buffer.unexamined().get(..left).unwrap_or_default())?;
            parser.pass_fields(taken, buffer);
            left = left.saturating_sub(taken);
        }
        Ok(())
    }

    /// Adds the field at the end of the fragment.
    ///
    /// # Errors
    /// If the block ends within a field: the added field would become the rest of it, and the client could hide its
    /// address from the app.
    pub(crate) fn end(&mut self, parser: &mut FrameParser, buffer: &mut Buffer) -> Result<(), Fault> {
        let Frame { stream, padding, growth } = self.frame;
        if growth != Growth::None && !self.block.is_at_boundary() {
            return Err(Fault::BadFieldBlock);
        }
        match growth {
            Growth::None => parser.end_fields(padding),
            Growth::Longer => {
                buffer.insert_cleared(&self.field);
                parser.end_fields(padding);
            }
            Growth::Followed => {
                buffer.insert_cleared(&continuation(stream, &self.field));
                parser.end_fields_without(padding);
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

fn relabel(buffer: &mut Buffer, length: u32, continues: bool) {
    if let Some(front) = relabelled(buffer.unexamined(), length, continues) {
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

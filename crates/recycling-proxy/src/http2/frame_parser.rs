//! The frame parser of one direction, independent of how the bytes are split.

use super::fault::Fault;
use super::frame::{FrameHeader, HEADER, Kind, LEAST_MAX_FRAME, PING_PAYLOAD, SETTING};
use crate::detection::protocol::HTTP2_PREFACE;
use crate::transport::buffer::Buffer;

/// The state of the parser.
///
/// ```text
/// Preface ──▶ Boundary ──header──▶ Payload ──▶ Boundary …
///                     └──header──▶ Dropping ──▶ Boundary …     (not for the other side)
///                     └──header──▶ Settings ──▶ Boundary …     (entries are read as they pass)
///                     └──header──▶ Fields ──▶ Payload or Dropping (the padding) ──▶ Boundary …
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preface { left: usize },
    Boundary,
    Payload { left: usize },
    Dropping { left: usize },
    Settings { left: usize },
    Fields { left: usize },
}

/// The frame parser of one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameParser {
    state: State,
    /// The stream whose field block is incomplete. No other frame may follow before its end.
    block: Option<u32>,
    /// The highest `SETTINGS_MAX_FRAME_SIZE` that the receiver has sent.
    max_frame: u32,
    /// The number of frames so far.
    frames: u64,
}

/// The next element of the direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A frame that has not been forwarded yet.
    Frame(FrameHeader),
    /// A SETTINGS entry, still unexamined.
    Setting,
    /// This many bytes of a field block, still unexamined.
    Fields(usize),
    /// The end of the fields in a frame; padding may follow.
    EndOfFields,
    /// Nothing until more bytes arrive.
    NeedMore,
}

impl FrameParser {
    /// Returns the parser of the app's frames.
    pub(crate) const fn of_app() -> Self {
        Self { state: State::Boundary, block: None, max_frame: LEAST_MAX_FRAME, frames: 0 }
    }

    /// Returns the parser of the client's preface and frames.
    pub(crate) const fn of_client() -> Self {
        Self { state: State::Preface { left: HTTP2_PREFACE.len() }, ..Self::of_app() }
    }

    /// Records that the receiver allows frames of `size`. A lower size applies only after the sender's acknowledgement,
    /// so the highest counts.
    pub(crate) fn allow(&mut self, size: u32) {
        self.max_frame = self.max_frame.max(size);
    }

    /// Returns the number of frames that were forwarded or removed.
    pub(crate) const fn frames(&self) -> u64 {
        self.frames
    }

    /// Returns whether a frame can be inserted here.
    pub(crate) fn is_at_boundary(&self) -> bool {
        self.state == State::Boundary && self.block.is_none()
    }

    /// Clears bytes up to the next element that needs a decision, and returns that.
    pub(crate) fn advance(&mut self, buffer: &mut Buffer) -> Result<Next, Fault> {
        loop {
            let there = buffer.unexamined().len();
            match &mut self.state {
                State::Boundary => return self.header(buffer),
                State::Fields { left: 0 } => return Ok(Next::EndOfFields),
                State::Fields { .. } if there == 0 => return Ok(Next::NeedMore),
                State::Fields { left } => return Ok(Next::Fields(there.min(*left))),
                State::Settings { left: 1.. } if there >= SETTING => return Ok(Next::Setting),
                State::Preface { left: 0 }
                | State::Payload { left: 0 }
                | State::Dropping { left: 0 }
                | State::Settings { left: 0 } => self.state = State::Boundary,
                State::Settings { .. } => return Ok(Next::NeedMore),
                State::Preface { left: 1.. } | State::Payload { left: 1.. } | State::Dropping { left: 1.. }
                    if there == 0 =>
                {
                    return Ok(Next::NeedMore);
                }
                State::Preface { left } => {
                    let expected = HTTP2_PREFACE.get(HTTP2_PREFACE.len().saturating_sub(*left)..).unwrap_or_default();
                    let same = buffer.unexamined().iter().zip(expected).take_while(|(came, byte)| came == byte).count();
                    if same == 0 {
                        return Err(Fault::BadPreface);
                    }
                    *left = left.saturating_sub(same);
                    buffer.clear(same);
                }
                State::Payload { left } => {
                    let passed = there.min(*left);
                    *left = left.saturating_sub(passed);
                    buffer.clear(passed);
                }
                State::Dropping { left } => {
                    let dropped = there.min(*left);
                    *left = left.saturating_sub(dropped);
                    buffer.remove(dropped);
                }
            }
        }
    }

    fn header(&self, buffer: &Buffer) -> Result<Next, Fault> {
        let Some(header) = FrameHeader::read(buffer.unexamined()) else { return Ok(Next::NeedMore) };
        if header.length > self.max_frame {
            return Err(Fault::FrameTooLong);
        }
        self.check_block(header)?;
        check_stream(header)?;
        check_size(header)?;
        // The payload of a PING shows whether it answers the proxy's. The octets before a fragment have the padding
        // length and the promised stream.
        let front = if header.kind == Kind::Ping { PING_PAYLOAD } else { header.front().min(length(header)) };
        let needed = HEADER.saturating_add(front);
        Ok(if buffer.unexamined().len() < needed { Next::NeedMore } else { Next::Frame(header) })
    }

    fn check_block(&self, header: FrameHeader) -> Result<(), Fault> {
        let continues = header.kind == Kind::Continuation;
        match self.block {
            Some(stream) if continues && header.stream == stream => Ok(()),
            None if !continues => Ok(()),
            Some(_) | None => Err(Fault::BrokenFieldBlock),
        }
    }

    /// Forwards the frame.
    pub(crate) fn pass(&mut self, header: FrameHeader, buffer: &mut Buffer) {
        self.enter(header);
        buffer.clear(HEADER);
        let left = length(header);
        self.state = match header.kind {
            Kind::Settings if !header.is_ack() => State::Settings { left },
            Kind::Data
            | Kind::Headers
            | Kind::RstStream
            | Kind::Settings
            | Kind::PushPromise
            | Kind::Ping
            | Kind::GoAway
            | Kind::Continuation
            | Kind::Other => State::Payload { left },
        };
    }

    /// Forwards the octets before the fragment of the frame; `fragment` bytes of fields follow.
    pub(crate) fn pass_front(&mut self, header: FrameHeader, front: usize, fragment: usize, buffer: &mut Buffer) {
        self.enter(header);
        buffer.clear(HEADER.saturating_add(front));
        self.state = State::Fields { left: fragment };
    }

    /// Forwards `count` bytes of fields.
    pub(crate) fn pass_fields(&mut self, count: usize, buffer: &mut Buffer) {
        let State::Fields { left } = &mut self.state else {
            debug_assert!(false, "fields pass outside of a field block: {:?}", self.state);
            return;
        };
        debug_assert!(count <= *left, "{count} bytes of fields pass where {left} are left");
        *left = left.saturating_sub(count);
        buffer.clear(count);
    }

    /// Ends the fields, and forwards this much padding.
    pub(crate) fn end_fields(&mut self, padding: usize) {
        debug_assert!(self.state == State::Fields { left: 0 }, "fields end too early: {:?}", self.state);
        self.state = State::Payload { left: padding };
    }

    /// Ends the fields, and removes this much padding.
    pub(crate) fn end_fields_without(&mut self, padding: usize) {
        debug_assert!(self.state == State::Fields { left: 0 }, "fields end too early: {:?}", self.state);
        self.state = State::Dropping { left: padding };
    }

    /// Removes the frame.
    pub(crate) fn drop_frame(&mut self, header: FrameHeader, buffer: &mut Buffer) {
        self.enter(header);
        buffer.remove(HEADER);
        self.state = State::Dropping { left: length(header) };
    }

    /// Forwards the next SETTINGS entry.
    pub(crate) fn pass_setting(&mut self, buffer: &mut Buffer) {
        let State::Settings { left } = &mut self.state else {
            debug_assert!(false, "an entry passes outside of SETTINGS: {:?}", self.state);
            return;
        };
        debug_assert!(*left >= SETTING, "an entry passes where {left} bytes are left");
        *left = left.saturating_sub(SETTING);
        buffer.clear(SETTING);
    }

    fn enter(&mut self, header: FrameHeader) {
        debug_assert!(self.state == State::Boundary, "a frame begins in the middle of another: {:?}", self.state);
        self.frames = self.frames.saturating_add(1);
        if matches!(header.kind, Kind::Headers | Kind::PushPromise | Kind::Continuation) {
            self.block = header.leaves_block_open().then_some(header.stream);
        }
    }
}

fn length(header: FrameHeader) -> usize {
    usize::try_from(header.length).unwrap_or(usize::MAX)
}

fn check_stream(header: FrameHeader) -> Result<(), Fault> {
    let of_connection = header.stream == 0;
    let right = match header.kind {
        Kind::Data | Kind::Headers | Kind::RstStream | Kind::PushPromise | Kind::Continuation => !of_connection,
        Kind::Settings | Kind::Ping | Kind::GoAway => of_connection,
        Kind::Other => true,
    };
    if right { Ok(()) } else { Err(Fault::WrongStream) }
}

fn check_size(header: FrameHeader) -> Result<(), Fault> {
    let right = match header.kind {
        Kind::Ping => header.length == 8,
        Kind::RstStream => header.length == 4,
        Kind::Settings if header.is_ack() => header.length == 0,
        Kind::Settings => header.length.is_multiple_of(6),
        Kind::GoAway => header.length >= 8,
        Kind::Data | Kind::Headers | Kind::PushPromise | Kind::Continuation | Kind::Other => true,
    };
    if right { Ok(()) } else { Err(Fault::WrongSize) }
}

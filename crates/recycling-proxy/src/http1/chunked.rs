//! A strict parser of the chunked transfer coding (RFC 9112 §7.1).

use super::fault::Fault;
use super::fields::{is_lookalike_byte, is_token};
use super::forwarded::is_read_as_byte;
use crate::relay::forwarded_for;

/// The most digits of a chunk size. Leading zeros are allowed, but not without bound.
const MOST_SIZE_DIGITS: u8 = 16;
/// The most bytes of a chunk's extensions, and of the trailer section; far above any in use.
const LONGEST_SIDE_TEXT: u16 = 16 * 1024;
/// Fields that trailers must not have: those for framing and routing (RFC 9110 §6.5.1), and `X-Forwarded-For`, because
/// some programs append trailers to the fields of the head.
const FORBIDDEN: [(&[u8], Spelling); 4] = [
    (b"content-length", is_lookalike_byte),
    (b"transfer-encoding", is_lookalike_byte),
    (b"host", is_lookalike_byte),
    (forwarded_for::NAME.as_bytes(), is_read_as_byte),
];

/// Returns whether some program may read the first byte, of a field name, as the second, of a forbidden name.
type Spelling = fn(u8, u8) -> bool;

/// The state of the parser.
///
/// ```text
///  ┌──────────────────────────────────────────────────────────────────────┐
///  ▼                                                                      │
/// Size ─;─▶ Extension ─CR─▶ SizeLf ─LF, size > 0─▶ Data ─▶ DataCr ─▶ DataLf
///  │                           │
///  └──────────CR───────────────┘└─LF, size = 0─▶ TrailerStart ─CR─▶ EndLf ─LF─▶ Done
///                                                  ▲      │
///                                                  │      ▼
///                                        TrailerLf ◀─CR─ TrailerValue ◀─:─ TrailerName
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunked {
    state: State,
    /// The bytes of this chunk's extensions, or of the trailer section.
    side_text: u16,
    /// Whether white space is allowed between a size and its CRLF.
    size_may_be_padded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size {
        value: u64,
        digits: u8,
    },
    /// White space after the size. An extension must follow, or in a response also the end of the line.
    Padding {
        value: u64,
    },
    Extension {
        value: u64,
    },
    SizeLf {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName(Name),
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

impl Chunked {
    /// Returns the state at the start of a request body.
    pub(crate) const fn of_request() -> Self {
        Self { state: State::Size { value: 0, digits: 0 }, side_text: 0, size_may_be_padded: false }
    }

    /// Returns the state at the start of a response body. Old servers pad sizes with white space; parsers that accept
    /// it all read the same size.
    pub(crate) const fn of_response() -> Self {
        Self { size_may_be_padded: true, ..Self::of_request() }
    }

    /// Returns whether the last chunk and the trailer section are complete.
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// See [`super::body::Body::unseen`]: the rest of a chunk's data.
    pub(crate) const fn unseen(&self) -> u64 {
        match self.state {
            State::Data { left } => left,
            _ => 0,
        }
    }

    /// See [`super::body::Body::passed_unseen`].
    pub(crate) const fn passed_unseen(&mut self, count: u64) {
        if let State::Data { left } = self.state {
            debug_assert!(count <= left, "more has passed than the chunk has left");
            let left = left.saturating_sub(count);
            self.state = if left == 0 { State::DataCr } else { State::Data { left } };
        } else {
            debug_assert!(count == 0, "bytes have passed where there was no data");
        }
    }

    /// See [`super::body::Body::advance`].
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let mut taken: usize = 0;
        while let Some(rest) = bytes.get(taken..) {
            let Some(first) = rest.first() else { break };
            match self.state {
                State::Done => break,
                State::Data { left } => {
                    let passed = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    taken = taken.saturating_add(passed);
                    let left = left.saturating_sub(passed as u64);
                    self.state = if left == 0 { State::DataCr } else { State::Data { left } };
                }
                state => match self.after(state, *first) {
                    Ok(state) => {
                        self.state = state;
                        taken = taken.saturating_add(1);
                    }
                    Err(fault) if taken == 0 => return Err(fault),
                    Err(_) => break,
                },
            }
        }
        Ok(taken)
    }

    fn after(&mut self, state: State, byte: u8) -> Result<State, Fault> {
        let bad_chunk = Err(Fault::BadChunk);
        match (state, byte) {
            (State::Size { value, digits }, _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                // At most i64::MAX, so that no parser reads a negative size.
                let value = value.checked_mul(16).and_then(|value| value.checked_add(u64::from(digit)));
                match value {
                    Some(value) if digits < MOST_SIZE_DIGITS && i64::try_from(value).is_ok() => {
                        Ok(State::Size { value, digits: digits.saturating_add(1) })
                    }
                    Some(_) | None => bad_chunk,
                }
            }
            (State::Size { digits: 0, .. }, _) => bad_chunk,
            (State::Size { value, .. } | State::Extension { value }, b'\r') => Ok(State::SizeLf { value }),
            (State::Padding { value }, b'\r') if self.size_may_be_padded => Ok(State::SizeLf { value }),
            (State::Size { value, .. } | State::Padding { value }, b';') => {
                self.side_text = 0;
                Ok(State::Extension { value })
            }
            (State::Size { value, .. } | State::Padding { value }, b' ' | b'\t') => {
                self.take_side_text(Fault::BadChunk)?;
                Ok(State::Padding { value })
            }
            (State::Extension { value }, _) if is_field_text(byte) => {
                self.take_side_text(Fault::BadChunk)?;
                Ok(State::Extension { value })
            }
            (State::Size { .. } | State::Padding { .. } | State::Extension { .. }, _) => bad_chunk,
            (State::SizeLf { value: 0 }, b'\n') => {
                self.side_text = 0;
                Ok(State::TrailerStart)
            }
            (State::SizeLf { value }, b'\n') => Ok(State::Data { left: value }),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                self.side_text = 0;
                Ok(State::Size { value: 0, digits: 0 })
            }
            (State::SizeLf { .. } | State::DataCr | State::DataLf, _) => bad_chunk,
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::EndLf, b'\n') => Ok(State::Done),
            (state, byte) => self.after_trailer_byte(state, byte),
        }
    }

    fn after_trailer_byte(&mut self, state: State, byte: u8) -> Result<State, Fault> {
        self.take_side_text(Fault::BadTrailer)?;
        match (state, byte) {
            (State::TrailerStart, _) if is_token(byte) => Ok(State::TrailerName(Name::EMPTY.with(byte))),
            (State::TrailerName(name), _) if is_token(byte) => Ok(State::TrailerName(name.with(byte))),
            (State::TrailerName(name), b':') if !name.is_forbidden() => Ok(State::TrailerValue),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if is_field_text(byte) => Ok(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (_, _) => Err(Fault::BadTrailer),
        }
    }

    fn take_side_text(&mut self, fault: Fault) -> Result<(), Fault> {
        self.side_text = self.side_text.saturating_add(1);
        if self.side_text > LONGEST_SIDE_TEXT { Err(fault) } else { Ok(()) }
    }
}

/// Returns whether field values and extensions may have the byte: visible characters, space, tab and obs-text (RFC 9110
/// §5.5).
fn is_field_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// The prefix of a trailer field's name. It stores which forbidden names may still follow, and not the bytes, because
/// every idle connection has two of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    length: u8,
    like: [bool; FORBIDDEN.len()],
}

impl Name {
    const EMPTY: Self = Self { length: 0, like: [true; FORBIDDEN.len()] };

    fn with(mut self, byte: u8) -> Self {
        for (like, (name, spelling)) in self.like.iter_mut().zip(FORBIDDEN) {
            *like = *like && name.get(usize::from(self.length)).is_some_and(|forbidden| spelling(byte, *forbidden));
        }
        self.length = self.length.saturating_add(1);
        self
    }

    fn is_forbidden(self) -> bool {
        let is_whole = |name: &[u8]| name.len() == usize::from(self.length);
        self.like.iter().zip(FORBIDDEN).any(|(like, (name, _))| *like && is_whole(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many bytes are forwarded, and the result, parsed at once and byte by byte.
    fn read(bytes: &[u8]) -> (usize, Result<bool, Fault>) {
        let whole = read_in(bytes, bytes.len().max(1));
        assert_eq!(whole, read_in(bytes, 1), "{:?}", String::from_utf8_lossy(bytes));
        whole
    }

    fn read_in(bytes: &[u8], step: usize) -> (usize, Result<bool, Fault>) {
        read_by(Chunked::of_request(), bytes, step)
    }

    fn read_by(mut chunked: Chunked, bytes: &[u8], step: usize) -> (usize, Result<bool, Fault>) {
        let mut passed = 0;
        for piece in bytes.chunks(step) {
            let mut rest = piece;
            while !rest.is_empty() && !chunked.is_done() {
                match chunked.advance(rest) {
                    Ok(taken) => {
                        assert!(taken > 0, "no progress");
                        passed += taken;
                        rest = &rest[taken..];
                    }
                    Err(fault) => return (passed, Err(fault)),
                }
            }
        }
        (passed, Ok(chunked.is_done()))
    }

    #[test]
    fn well_formed_chunked_bodies_pass_up_to_their_end() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5;a=b;c=\"d e\"\r\nhello\r\n00\r\n\r\n",
            "5 ;a\r\nhello\r\n0\r\n\r\n",
            "000000000000000A\r\n0123456789\r\n0\r\nA: b\r\nX-Y:\r\n\r\n",
            "1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n",
        ] {
            assert_eq!(read(format!("{body}GET /").as_bytes()), (body.len(), Ok(true)), "{body:?}");
            for cut in 0..body.len() {
                assert_eq!(read(&body.as_bytes()[..cut]), (cut, Ok(false)), "{body:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn malformed_chunks_are_refused_at_the_offending_byte() {
        for (bytes, passed) in [
            ("\r\n", 0),
            (";a\r\n", 0),
            ("0x5\r\nhello", 1),
            (" 5\r\nhello", 0),
            ("+5\r\n", 0),
            ("-1\r\n", 0),
            ("5 \r\nhello", 2),
            ("5\nhello", 1),
            ("5\rhello", 2),
            ("g\r\n", 0),
            ("00000000000000005\r\n", 16),
            ("8000000000000000\r\n", 15),
            ("ffffffffffffffff\r\n", 15),
            ("5;a\nb\r\nhello", 3),
            ("5;a\0\r\nhello", 3),
            ("5\r\nhelloX\r\n", 8),
            ("5\r\nhello\n0\r\n\r\n", 8),
            ("5\r\nhello\rX", 9),
            ("5\r\nhell\r\n0\r\n\r\n", 8),
        ] {
            assert_eq!(read(bytes.as_bytes()), (passed, Err(Fault::BadChunk)), "{bytes:?}");
        }
    }

    #[test]
    fn white_space_may_follow_a_chunk_size_in_a_response() {
        for body in ["5  \r\nhello\r\n0 \r\n\r\n", "5\t\r\nhello\r\n0\t \r\nA: b\r\n\r\n", "5 ;a\r\nhello\r\n0\r\n\r\n"]
        {
            for step in [1, body.len()] {
                let read = read_by(Chunked::of_response(), body.as_bytes(), step);
                assert_eq!(read, (body.len(), Ok(true)), "{body:?}");
            }
        }
        for (bytes, passed) in [("5 5\r\n", 2), (" 5\r\n", 0), ("5 \nhello", 2), ("5\u{b}\r\n", 1), ("5 \r \n", 3)] {
            for step in [1, bytes.len()] {
                let read = read_by(Chunked::of_response(), bytes.as_bytes(), step);
                assert_eq!(read, (passed, Err(Fault::BadChunk)), "{bytes:?}");
            }
        }
    }

    #[test]
    fn malformed_and_forbidden_trailers_are_refused() {
        for trailer in [
            "Content-Length: 5\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n",
            "Transfer_Encoding: chunked\r\n\r\n",
            "HOST: a\r\n\r\n",
            " folded\r\n\r\n",
            "a\r\n\r\n",
            "a : b\r\n\r\n",
            "a: b\n\r\n",
            "a: b\rc\r\n\r\n",
            "a: \0\r\n\r\n",
            ": b\r\n\r\n",
            "\n",
        ] {
            let (_, end) = read(format!("0\r\n{trailer}").as_bytes());
            assert_eq!(end, Err(Fault::BadTrailer), "{trailer:?}");
        }
        assert_eq!(read(b"0\r\n\rX").1, Err(Fault::BadTrailer));
    }

    #[test]
    fn chunk_extensions_and_trailers_are_bounded() {
        let most = usize::from(LONGEST_SIDE_TEXT);
        assert_eq!(read(format!("0;{}\r\n\r\n", "a".repeat(most)).as_bytes()).1, Ok(true));
        assert_eq!(read(format!("0;{}\r\n\r\n", "a".repeat(most + 1)).as_bytes()).1, Err(Fault::BadChunk));
        let extension = "a".repeat(most - 10);
        let many = format!("1;{extension}\r\nx\r\n").repeat(8) + "0\r\n\r\n";
        assert_eq!(read(many.as_bytes()).1, Ok(true), "the bound is one chunk's");
        let trailers = "a: b\r\n".repeat(most / 5);
        assert_eq!(read(format!("0\r\n{trailers}\r\n").as_bytes()).1, Err(Fault::BadTrailer));
    }

    #[test]
    fn long_trailer_names_do_not_match_forbidden_ones() {
        assert_eq!(read(b"0\r\ntransfer-encoding-x: a\r\ncontent-length-: b\r\n\r\n").1, Ok(true));
    }
}

//! Finds the boundaries of fields in a field block (RFC 7541 §6) without decoding them.

use super::fault::Fault;

/// The bound of a string's length, 28 bits. No frame could hold a longer string.
const LONGEST_SHIFT: u32 = 21;

/// The state of a parse of a field block, independent of how it is split.
///
/// ```text
/// Boundary ──an index alone, a table size──▶ Boundary
///    └──a literal──▶ (Number ──▶) Length ──▶ (Longer ──▶) Text ──▶ Length (of the value) … ──▶ Boundary
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldBlock(State);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between two fields.
    #[default]
    Boundary,
    /// In a number that is not a length; this many strings follow.
    Number { strings: u8 },
    /// Before the length of the first of this many strings.
    Length { strings: u8 },
    /// In a length of more than one octet.
    Longer { length: usize, shift: u32, strings: u8 },
    /// In the first of this many strings.
    Text { left: usize, strings: u8 },
}

impl FieldBlock {
    /// Returns whether the last field is complete.
    pub(crate) fn is_at_boundary(self) -> bool {
        self.0 == State::Boundary
    }

    /// Parses `bytes`, and returns the number of valid octets at their front.
    ///
    /// It stops before an invalid octet. The next call, which begins with it, returns the fault. So the result does not
    /// depend on how the octets are split.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let mut taken: usize = 0;
        while let Some(rest) = bytes.get(taken..)
            && let Some(first) = rest.first()
        {
            let (state, passed) = match self.0 {
                State::Text { left, strings } => {
                    let passed = left.min(rest.len());
                    (State::in_text(left.saturating_sub(passed), strings), passed)
                }
                State::Boundary => (State::of_field(*first), 1),
                State::Number { strings } if first & 0x80 == 0 => (State::before(strings), 1),
                State::Number { strings } => (State::Number { strings }, 1),
                State::Length { strings } => (State::of_length(*first, strings), 1),
                State::Longer { length, shift, strings } => match State::longer(length, shift, strings, *first) {
                    Ok(state) => (state, 1),
                    Err(fault) if taken == 0 => return Err(fault),
                    Err(_) => break,
                },
            };
            self.0 = state;
            taken = taken.saturating_add(passed);
        }
        Ok(taken)
    }
}

impl State {
    /// Returns the state after the first octet of a field (RFC 7541 §6.1 to §6.3).
    const fn of_field(first: u8) -> Self {
        match first {
            0x80.. => Self::of_index(first & 0x7f, 0x7f, false),
            0x40..=0x7f => Self::of_index(first & 0x3f, 0x3f, true),
            0x20..=0x3f => Self::of_index(first & 0x1f, 0x1f, false),
            0x00..=0x1f => Self::of_index(first & 0x0f, 0x0f, true),
        }
    }

    const fn of_index(index: u8, longest: u8, is_literal: bool) -> Self {
        match (index, is_literal) {
            // Name and value are strings.
            (0, true) => Self::before(2),
            (index, _) if index == longest => Self::Number { strings: is_literal as u8 },
            (_, _) => Self::before(is_literal as u8),
        }
    }

    const fn before(strings: u8) -> Self {
        match strings {
            0 => Self::Boundary,
            strings => Self::Length { strings },
        }
    }

    const fn in_text(left: usize, strings: u8) -> Self {
        match left {
            0 => Self::before(strings.saturating_sub(1)),
            left => Self::Text { left, strings },
        }
    }

    /// Returns the state after the first octet of a length (RFC 7541 §5.2). The length is the same with Huffman coding.
    const fn of_length(first: u8, strings: u8) -> Self {
        match first & 0x7f {
            0x7f => Self::Longer { length: 0x7f, shift: 0, strings },
            length => Self::in_text(length as usize, strings),
        }
    }

    /// Returns the state after a further octet of a length (RFC 7541 §5.1).
    fn longer(length: usize, shift: u32, strings: u8, octet: u8) -> Result<Self, Fault> {
        if shift > LONGEST_SHIFT {
            return Err(Fault::BadFieldBlock);
        }
        let length = length.saturating_add(usize::from(octet & 0x7f).wrapping_shl(shift));
        Ok(match octet & 0x80 {
            0 => Self::in_text(length, strings),
            _ => Self::Longer { length, shift: shift.saturating_add(7), strings },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7541 appendix C, and longer numbers. Each consists of complete fields.
    const FIELDS: [&[u8]; 10] = [
        b"\x82",
        b"\xff\x9a\x0a",
        b"\x40\x0acustom-key\x0dcustom-header",
        b"\x04\x0c/sample/path",
        b"\x10\x08password\x06secret",
        b"\x0f\x2f\x03abc",
        b"\x7f\x80\x01\x00",
        b"\x3f\xe1\x1f",
        b"\x20",
        b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
    ];

    fn read(pieces: &[&[u8]]) -> Result<bool, Fault> {
        taken(pieces).1
    }

    /// Returns how many octets are valid, and whether they end with a field.
    fn taken(pieces: &[&[u8]]) -> (usize, Result<bool, Fault>) {
        let (mut block, mut count) = (FieldBlock::default(), 0);
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                match block.advance(rest) {
                    Ok(taken) => rest = &rest[taken..],
                    Err(fault) => return (count + piece.len() - rest.len(), Err(fault)),
                }
            }
            count += piece.len();
        }
        (count, Ok(block.is_at_boundary()))
    }

    #[test]
    fn the_end_of_a_field_is_found_and_not_before() {
        for field in &FIELDS[..9] {
            for length in 1..field.len() {
                assert_eq!(read(&[&field[..length]]), Ok(false), "{} of {}", length, field.escape_ascii());
            }
            assert_eq!(read(&[field]), Ok(true), "{}", field.escape_ascii());
        }
    }

    #[test]
    fn a_field_block_is_read_at_every_split() {
        let long = [&b"\x00\x7f\xff\x00"[..], &[b'n'; 254], b"\x7f\x81\x01", &[b'v'; 256]].concat();
        let block = [&FIELDS.concat()[..], &long].concat();
        for cut in 0..=block.len() {
            assert_eq!(read(&[&block[..cut], &block[cut..]]), Ok(true), "cut at {cut}");
        }
    }

    #[test]
    fn an_impossible_length_is_an_error() {
        assert_eq!(read(&[b"\x00\x7f\xff\xff\xff\x7f"]), Ok(false));
        let faulty = b"\x82\x00\x7f\xff\xff\xff\xff\x00\x82";
        for cut in 0..=faulty.len() {
            assert_eq!(taken(&[&faulty[..cut], &faulty[cut..]]), (7, Err(Fault::BadFieldBlock)), "cut at {cut}");
        }
    }
}

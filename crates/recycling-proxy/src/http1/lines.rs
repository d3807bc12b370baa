//! Finds the beginning and the end of a head without reading a byte twice.

use memchr::memchr2;

use super::fault::Fault;

/// The state of a scan for the end of a head, independent of how the bytes are split.
///
/// It rejects bare CR and LF; httparse would accept them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadEnd {
    scanned: usize,
    line: usize,
}

impl HeadEnd {
    /// Returns the state at the first byte of a start line.
    pub const fn new() -> Self {
        Self { scanned: 0, line: 0 }
    }

    /// Continues the scan. `bytes` begin where they began at the last call.
    ///
    /// Returns the length of the head once it is complete, with its empty line.
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        while let Some(at) = self.next_line_end(bytes) {
            let after = at.saturating_add(1);
            match (bytes.get(at), bytes.get(after)) {
                (Some(b'\r'), Some(b'\n')) => {}
                (Some(b'\r'), None) => {
                    // The last byte is a CR, and its LF may follow.
                    self.scanned = at;
                    return Ok(None);
                }
                (_, _) => return Err(Fault::BareLineEnd),
            }
            let is_empty = at == self.line;
            self.scanned = after.saturating_add(1);
            self.line = self.scanned;
            if is_empty {
                return Ok(Some(self.scanned));
            }
        }
        self.scanned = bytes.len();
        Ok(None)
    }

    fn next_line_end(&self, bytes: &[u8]) -> Option<usize> {
        let ahead = bytes.get(self.scanned..)?;
        memchr2(b'\r', b'\n', ahead).map(|at| self.scanned.saturating_add(at))
    }
}

/// The empty lines before a request, independent of how the bytes are split.
///
/// Old clients send one after a body, beyond its length (RFC 9112 §2.2). They belong to no message, so a connection
/// with nothing else is idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EmptyLines {
    /// The number of bytes so far.
    length: u32,
    /// Whether the last byte was a CR.
    after_cr: bool,
}

impl EmptyLines {
    /// Returns the state before the first byte.
    pub(crate) const fn new() -> Self {
        Self { length: 0, after_cr: false }
    }

    /// Returns how many bytes at the front of `bytes`, which follow those of the last call, belong to empty lines.
    ///
    /// # Errors
    /// If a byte other than LF follows a CR, or there are more than `most` bytes of empty lines.
    pub(crate) fn advance(&mut self, bytes: &[u8], most: usize) -> Result<usize, Fault> {
        let mut taken: usize = 0;
        for byte in bytes {
            match (self.after_cr, byte) {
                (false, b'\r') => self.after_cr = true,
                (true, b'\n') => self.after_cr = false,
                (true, _) => return Err(Fault::BareLineEnd),
                (false, _) => break,
            }
            taken = taken.saturating_add(1);
            self.length = self.length.saturating_add(1);
            if self.length as usize > most {
                return Err(Fault::HeadTooLong);
            }
        }
        Ok(taken)
    }

    /// Returns whether `bytes` contain anything but empty lines, so that a request has begun.
    pub(crate) fn precede_request(bytes: &[u8]) -> bool {
        Self::new().advance(bytes, usize::MAX).map_or(true, |taken| taken < bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn the_end_of_a_head_is_found_at_every_split() {
        for cut in 0..=HEAD.len() {
            let mut end = HeadEnd::new();
            let first = end.find(&HEAD[..cut]);
            assert_eq!(first, Ok((cut == HEAD.len()).then_some(HEAD.len())), "cut at {cut}");
            if cut < HEAD.len() {
                assert_eq!(end.find(HEAD), Ok(Some(HEAD.len())), "cut at {cut}");
            }
        }
    }

    #[test]
    fn bytes_after_the_head_are_not_read() {
        assert_eq!(HeadEnd::new().find(&[HEAD, b"\n\n\r\r"].concat()), Ok(Some(HEAD.len())));
    }

    #[test]
    fn an_empty_line_is_an_empty_head() {
        assert_eq!(HeadEnd::new().find(b"\r\nHTTP"), Ok(Some(2)), "an empty head, which does not parse");
    }

    /// Returns how many of these bytes belong to empty lines, examined at once and one by one.
    fn empty_lines(bytes: &[u8], most: usize) -> Result<usize, Fault> {
        let whole = EmptyLines::new().advance(bytes, most);
        let mut lines = EmptyLines::new();
        let one_by_one = bytes.chunks(1).map(|byte| lines.advance(byte, most)).take_while(|taken| *taken != Ok(0));
        assert_eq!(one_by_one.sum::<Result<usize, Fault>>(), whole, "{}", bytes.escape_ascii());
        whole
    }

    #[test]
    fn any_number_of_empty_lines_may_precede_a_request() {
        for (bytes, taken) in
            [(&b"GET"[..], 0), (b"\r\n", 2), (b"\r\n\r\n\r\nGET", 6), (b"\r\n\r", 3), (b"\nGET", 0), (b"\r\n\nGET", 2)]
        {
            assert_eq!(empty_lines(bytes, 100), Ok(taken), "{}", bytes.escape_ascii());
            assert_eq!(EmptyLines::precede_request(bytes), taken < bytes.len(), "{}", bytes.escape_ascii());
        }
        assert_eq!(empty_lines(b"\r\n\r\n", 4), Ok(4));
        assert_eq!(empty_lines(b"\r\n\r\n\rG", 4), Err(Fault::HeadTooLong));
        for bare in [&b"\rGET"[..], b"\r\r\n", b"\r\n\rG"] {
            assert_eq!(empty_lines(bare, 100), Err(Fault::BareLineEnd), "{}", bare.escape_ascii());
            assert!(EmptyLines::precede_request(bare), "a malformed one");
        }
    }

    #[test]
    fn bare_cr_and_lf_are_refused_at_every_position_and_split() {
        for at in 0..HEAD.len() {
            for bare in [b'\r', b'\n'] {
                let mut bytes = HEAD.to_vec();
                bytes.insert(at, bare);
                if bytes[at..].starts_with(b"\r\n\r\n") || at + 2 >= bytes.len() || (bare == b'\r' && at == 0) {
                    continue;
                }
                let whole = HeadEnd::new().find(&bytes);
                let mut end = HeadEnd::new();
                let byte_by_byte = (1..=bytes.len()).find_map(|n| end.find(&bytes[..n]).transpose()).unwrap_or(Ok(0));
                assert!(whole.is_err(), "{bare} at {at}: {whole:?}");
                assert!(byte_by_byte.is_err(), "{bare} at {at}: {byte_by_byte:?}");
            }
        }
    }
}

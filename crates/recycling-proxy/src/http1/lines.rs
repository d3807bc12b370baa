//! Finds the end of a head without reading a byte twice.

use memchr::memchr2;

use super::fault::Fault;

/// Where the scan of a head stands, however the bytes arrive.
///
/// It also holds the law on line ends: CRLF and nothing else, whatever the parser behind it would forgive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadEnd {
    scanned: usize,
    line: usize,
    empty_line_may_precede: bool,
}

impl HeadEnd {
    /// For a request head. One empty line before it is part of it: old clients send one after a body, and servers
    /// ignore it (RFC 9112 §2.2).
    pub const fn of_request() -> Self {
        Self { scanned: 0, line: 0, empty_line_may_precede: true }
    }

    /// For a response head.
    pub const fn of_response() -> Self {
        Self { scanned: 0, line: 0, empty_line_may_precede: false }
    }

    /// Looks on for the end of the head in `bytes`, which begin where they began at the last call.
    ///
    /// `Ok(Some(length))` once the head is complete, its empty line included.
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        while let Some(at) = self.next_line_end(bytes) {
            let after = at.saturating_add(1);
            match (bytes.get(at), bytes.get(after)) {
                (Some(b'\r'), Some(b'\n')) => {}
                (Some(b'\r'), None) => {
                    // The last byte may still wait for its LF.
                    self.scanned = at;
                    return Ok(None);
                }
                (_, _) => return Err(Fault::BareLineEnd),
            }
            let (is_empty, precedes) = (at == self.line, self.line == 0 && self.empty_line_may_precede);
            self.scanned = after.saturating_add(1);
            self.line = self.scanned;
            if is_empty && !precedes {
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

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn finds_the_end_at_every_split() {
        for cut in 0..=HEAD.len() {
            let mut end = HeadEnd::of_request();
            let first = end.find(&HEAD[..cut]);
            assert_eq!(first, Ok((cut == HEAD.len()).then_some(HEAD.len())), "cut at {cut}");
            if cut < HEAD.len() {
                assert_eq!(end.find(HEAD), Ok(Some(HEAD.len())), "cut at {cut}");
            }
        }
    }

    #[test]
    fn stops_at_the_end_of_the_head() {
        assert_eq!(HeadEnd::of_request().find(&[HEAD, b"\n\n\r\r"].concat()), Ok(Some(HEAD.len())));
    }

    #[test]
    fn one_empty_line_may_precede() {
        assert_eq!(HeadEnd::of_request().find(&[b"\r\n", HEAD].concat()), Ok(Some(HEAD.len() + 2)));
        assert_eq!(HeadEnd::of_request().find(b"\r\n\r\n"), Ok(Some(4)), "two are an empty head, which does not parse");
        assert_eq!(HeadEnd::of_response().find(b"\r\nHTTP"), Ok(Some(2)), "before a response there is none");
    }

    #[test]
    fn bare_line_ends_are_faults_at_every_position_and_split() {
        for at in 0..HEAD.len() {
            for bare in [b'\r', b'\n'] {
                let mut bytes = HEAD.to_vec();
                bytes.insert(at, bare);
                if bytes[at..].starts_with(b"\r\n\r\n") || at + 2 >= bytes.len() || (bare == b'\r' && at == 0) {
                    continue;
                }
                let whole = HeadEnd::of_request().find(&bytes);
                let mut end = HeadEnd::of_request();
                let byte_by_byte = (1..=bytes.len()).find_map(|n| end.find(&bytes[..n]).transpose()).unwrap_or(Ok(0));
                assert!(whole.is_err(), "{bare} at {at}: {whole:?}");
                assert!(byte_by_byte.is_err(), "{bare} at {at}: {byte_by_byte:?}");
            }
        }
    }
}

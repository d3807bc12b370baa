//! Recognises lines that even the most lenient HTTP server could parse as a request.
//!
//! With `forwarded-for`, apps rely on the client's address in every request, so a tunnel must not carry requests.
//! Servers differ in what they accept: some skip leading white space and control characters, accept methods in lower
//! case, or any version, or none. A line that no server in use accepts is harmless, because every server closes the
//! connection after it.

/// The longest line that a server accepts: the limits in use are at most 64 KiB.
const LONGEST: u32 = 64 * 1024;

/// The number of bytes of a word that are stored: enough for `https://`.
const KEPT: usize = 8;

/// The beginning of a header of the PROXY protocol, version 1. The word after it is a transport protocol.
const HEADER_V1: &[u8] = b"PROXY";
const HEADER_V1_PROTOCOLS: [&[u8]; 3] = [b"TCP4", b"TCP6", b"UNKNOWN"];
/// The beginning of a header of version 2.
const HEADER_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The result for the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The line is incomplete, and may become a request.
    Open,
    /// No server parses it as a request.
    Harmless,
    /// Some server could parse it as a request.
    Request,
}

/// The first line that is not empty, however its bytes arrive.
///
/// ```text
///            ┌───── a line end without a word ─────┐
///            ▼                                     │
///  bytes ──▶ Open ── words ──────────────────────▶ Open ──line end, 64 KiB, a fourth word──▶ Harmless
///                      │
///                      └─▶ Request:  METHOD /…, METHOD http://…   a method consists of letters, `-` and `_`
///                                    METHOD … HTTP/…              as any later word: some targets have spaces
///                                    any word HTTP/…              as the third word: some accept every method
///                                    GET any                      with the end of the line: HTTP/0.9
///                                    PROXY TCP4, …                the PROXY protocol, version 1
/// ```
///
/// Servers with an optional header of the PROXY protocol serve the request after it. The header of version 2 begins with
/// line ends. As long as the bytes may be such a header, a line end does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstLine {
    reading: Reading,
    length: u32,
    /// The number of words so far.
    words: u8,
    /// The current word.
    word: Word,
    in_word: bool,
    first_is_method: bool,
    first: Word,
    /// The number of bytes of [`HEADER_V2`] so far; `None` if the bytes differ from it.
    header: Option<usize>,
    /// Whether the line has ended, in bytes that may be such a header.
    ended: bool,
}

/// The beginning of a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Word {
    kept: [u8; KEPT],
    length: usize,
}

impl Default for FirstLine {
    fn default() -> Self {
        Self {
            reading: Reading::Open,
            length: 0,
            words: 0,
            word: Word::default(),
            in_word: false,
            first_is_method: true,
            first: Word::default(),
            header: Some(0),
            ended: false,
        }
    }
}

impl FirstLine {
    /// Parses further bytes, unless the result is final.
    pub fn read(&mut self, bytes: &[u8]) -> Reading {
        for byte in bytes {
            if self.reading != Reading::Open {
                break;
            }
            self.reading = self.in_stream(*byte);
        }
        self.reading
    }

    /// Applies the end of the stream, which some servers treat as the end of the line.
    pub fn end(&mut self) -> Reading {
        if self.reading == Reading::Open {
            self.reading = self.at_end();
        }
        self.reading
    }

    fn in_stream(&mut self, byte: u8) -> Reading {
        self.header =
            self.header.filter(|matched| HEADER_V2.get(*matched) == Some(&byte)).map(|it| it.saturating_add(1));
        if self.header == Some(HEADER_V2.len()) {
            return Reading::Request;
        }
        let reading = if self.ended { Reading::Harmless } else { self.in_line(byte) };
        self.ended |= reading == Reading::Harmless;
        if self.ended && self.header.is_some() { Reading::Open } else { reading }
    }

    fn in_line(&mut self, byte: u8) -> Reading {
        self.length = self.length.saturating_add(1);
        match byte {
            b'\n' if self.words == 0 => return Reading::Open,
            b'\n' => return self.at_end(),
            byte if is_white_space(byte) => self.in_word = false,
            byte => self.push(byte),
        }
        if self.in_word && self.names_request() {
            Reading::Request
        } else if self.length >= LONGEST || (self.words > 3 && !self.first_is_method) {
            Reading::Harmless
        } else {
            Reading::Open
        }
    }

    fn push(&mut self, byte: u8) {
        if !self.in_word {
            self.in_word = true;
            self.words = self.words.saturating_add(1);
            self.word = Word::default();
        }
        self.word.push(byte);
        if self.words == 1 {
            self.first_is_method &= byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_');
            self.first = self.word;
        }
    }

    /// Returns whether the word that has just become longer makes the line a request.
    fn names_request(&self) -> bool {
        let word = &self.word;
        let is_target = word.begins(b"/") || word.begins(b"http://") || word.begins(b"https://");
        let is_version = word.kept.starts_with(b"HTTP/");
        let is_protocol = HEADER_V1_PROTOCOLS.iter().any(|protocol| word.is(protocol));
        (self.words == 2 && self.first_is_method && is_target)
            || (is_version && (self.words == 3 || (self.words > 1 && self.first_is_method)))
            || (self.words == 2 && self.first.is(HEADER_V1) && is_protocol)
    }

    fn at_end(&self) -> Reading {
        if self.words > 1 && self.first.is(b"GET") { Reading::Request } else { Reading::Harmless }
    }
}

impl Word {
    fn push(&mut self, byte: u8) {
        if let Some(kept) = self.kept.get_mut(self.length) {
            *kept = byte;
        }
        self.length = self.length.saturating_add(1);
    }

    fn begins(&self, start: &[u8]) -> bool {
        self.kept.get(..start.len()).is_some_and(|kept| kept.eq_ignore_ascii_case(start))
    }

    fn is(&self, whole: &[u8]) -> bool {
        self.length == whole.len() && self.kept.starts_with(whole)
    }
}

/// Returns whether a server in use separates words at this byte. The last ones are white space of Unicode, at which
/// programs in Python split.
const fn is_white_space(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x0b..=b'\r' | 0x1c..=b' ' | 0x85 | 0xa0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the reading of a line, which must not depend on where its bytes are cut.
    fn read(line: &[u8]) -> Reading {
        for cut in 0..=line.len() {
            let mut pieces = FirstLine::default();
            pieces.read(&line[..cut]);
            let mut whole = FirstLine::default();
            assert_eq!(pieces.read(&line[cut..]), whole.read(line), "{} cut at {cut}", line.escape_ascii());
        }
        FirstLine::default().read(line)
    }

    #[test]
    fn first_lines_that_some_server_accepts_are_requests() {
        for line in [
            &b"GET /"[..],
            b"get /",
            b"G-_t /",
            b"\r\n \n\t\x1f\x85\xa0GET\x0b\x0c/",
            b"GET HTTP://",
            b"GET a b HTTP/",
            b"GET HTTP/",
            b"PRI * HTTP/",
            b"\x01 / HTTP/",
            b"\0GET / HTTP/",
            b"9 <> HTTP/",
            b"GET k\n",
            b"\x20GET k l\r\n",
            b"PROXY TCP4",
            b"PROXY UNKNOWN",
            b"\r\n\r\n\0\r\nQUIT\n",
        ] {
            assert_eq!(read(line), Reading::Request, "{}", line.escape_ascii());
            assert_eq!(read(&line[..line.len() - 1]), Reading::Open, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn first_lines_that_no_server_accepts_are_not_requests() {
        for line in [
            &b"EHLO example.org\r\n"[..],
            b"GET\r\n",
            b"get k\r\n",
            b"GETS k\r\n",
            b"296 <34>1 2024-05-01T10:00:00Z w",
            b"10.0.0.1 - - \"",
            b"web1 GET / H",
            b"*1\r\n",
            b"INFO http: TLS handshake error\n",
            b"GET2 k\n",
            b"PROXY udp\n",
            b"\r\n\r\n\0\r\nQUIT\r",
        ] {
            assert_eq!(read(line), Reading::Harmless, "{}", line.escape_ascii());
            assert_eq!(read(&line[..line.len() - 1]), Reading::Open, "{}", line.escape_ascii());
        }
        let long = vec![b'a'; LONGEST as usize];
        assert_eq!(FirstLine::default().read(&long[1..]), Reading::Open);
        assert_eq!(FirstLine::default().read(&long), Reading::Harmless);
    }

    #[test]
    fn the_end_of_the_stream_ends_the_first_line() {
        for (line, reading) in [
            (&b""[..], Reading::Harmless),
            (b"\r\n", Reading::Harmless),
            (b"GET", Reading::Harmless),
            (b"GET k", Reading::Request),
            (b"JDWP-Handshake", Reading::Harmless),
        ] {
            let mut first = FirstLine::default();
            assert_eq!(first.read(line), Reading::Open);
            assert_eq!(first.end(), reading, "{}", line.escape_ascii());
        }
    }
}

//! Detects the protocol of a connection by the client's first bytes.

use crate::http1::fields::is_token;

/// The beginning of every HTTP/2 connection (RFC 9113 §3.4).
pub(crate) const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The longest method, which is longer than any in use. It bounds the bytes of other protocols that are examined.
const LONGEST_METHOD: usize = 32;
/// The most bytes of a line that are examined. A longer request line is left to the HTTP/1 relay and its head limit.
const MOST_EXAMINED: usize = 8 * 1024;

/// The protocol of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A request line came first.
    Http1,
    /// The preface of HTTP/2 came first.
    Http2,
    /// A record of a TLS handshake came first.
    Tls,
    /// Anything else.
    Opaque,
}

/// The result for the first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The protocol is certain: further bytes cannot change it.
    Certain(Protocol),
    /// A request line with a usual method, or the preface of HTTP/2, has begun. The proxy waits for the rest.
    Likely,
    /// A request line with an unusual method may have begun. It is HTTP/1 only if the whole line has arrived already; the
    /// proxy does not wait for it.
    Unlikely,
}

/// Returns the result for these first bytes.
pub fn detect(bytes: &[u8]) -> Verdict {
    if bytes.starts_with(HTTP2_PREFACE) {
        return Verdict::Certain(Protocol::Http2);
    }
    match bytes {
        // A record of the type handshake (22), of any version (RFC 8446 §5.1).
        [0x16] => Verdict::Likely,
        [0x16, 3, ..] => Verdict::Certain(Protocol::Tls),
        bytes if HTTP2_PREFACE.starts_with(bytes) => Verdict::Likely,
        bytes => of_line(without_empty_lines(bytes)),
    }
}

/// Removes empty lines, which servers ignore before a request line (RFC 9112 §2.2).
fn without_empty_lines(mut bytes: &[u8]) -> &[u8] {
    while let [b'\r', b'\n', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn of_line(line: &[u8]) -> Verdict {
    if line == b"\r" {
        return Verdict::Likely;
    }
    let mut reading = RequestLine::default();
    for byte in line.iter().take(MOST_EXAMINED) {
        if let Err(protocol) = reading.read(*byte) {
            return Verdict::Certain(protocol);
        }
    }
    if line.len() >= MOST_EXAMINED {
        return Verdict::Certain(reading.of_long_line());
    }
    if reading.method_is_usual { Verdict::Likely } else { Verdict::Unlikely }
}

/// A lenient parser of `METHOD SP TARGET SP HTTP/x.y`. The HTTP/1 relay checks the line strictly afterwards.
///
/// ```text
/// Method ──SP──▶ Gap ──▶ Target ──white space──▶ Gap ──▶ Word ──white space──▶ Gap ──▶ Word …
///    │            │         │                                │
///    │            │         │        CR or LF after a word that begins with HTTP/ ──▶ Http1
///    └────────────┴─────────┴───── no request line any more, LF after another word ──▶ Opaque
/// ```
///
/// A usual method consists of capital letters, digits, `-` and `_`, and begins with a letter. A target begins with `/`,
/// `*`, or a scheme and `://`; that of CONNECT with any character. Any number of words may follow, since some targets
/// have spaces.
#[derive(Clone, Copy, Debug)]
struct RequestLine {
    state: State,
    method_is_usual: bool,
    /// Whether the last complete word is a version.
    ends_with_version: bool,
    /// Whether words other than a version follow the target.
    has_other_words: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Method {
        length: usize,
        spells_connect: bool,
    },
    /// Before the target, whose form is different for CONNECT.
    BeforeTarget {
        of_connect: bool,
    },
    /// In a word that may be a scheme. `version` is the length of the prefix of `HTTP/` that it equals so far.
    Scheme {
        version: Option<usize>,
    },
    /// After the scheme, before this many slashes.
    Slashes {
        left: u8,
    },
    Target,
    /// Before a word after the target.
    Gap,
    /// In a word after the target. `version` is the length of the prefix of `HTTP/` that it equals so far.
    Word {
        version: Option<usize>,
    },
}

const CONNECT: &[u8] = b"CONNECT";
const VERSION: &[u8] = b"HTTP/";

impl Default for RequestLine {
    fn default() -> Self {
        let state = State::Method { length: 0, spells_connect: true };
        Self { state, method_is_usual: true, ends_with_version: false, has_other_words: false }
    }
}

impl RequestLine {
    /// Parses a byte. Returns the protocol as `Err` once it is certain.
    fn read(&mut self, byte: u8) -> Result<(), Protocol> {
        self.state = match self.state {
            State::Method { length, spells_connect } => self.in_method(length, spells_connect, byte)?,
            State::BeforeTarget { of_connect } => before_target(of_connect, byte)?,
            State::Scheme { version } => in_scheme(version, byte)?,
            State::Slashes { left } if byte == b'/' => match left.saturating_sub(1) {
                0 => State::Target,
                left => State::Slashes { left },
            },
            State::Slashes { .. } => return Err(Protocol::Opaque),
            State::Target | State::Gap | State::Word { .. } => self.in_words(byte)?,
        };
        Ok(())
    }

    fn in_method(&mut self, length: usize, spells_connect: bool, byte: u8) -> Result<State, Protocol> {
        match byte {
            b' ' if length > 0 => {
                return Ok(State::BeforeTarget { of_connect: spells_connect && length == CONNECT.len() });
            }
            byte if !is_token(byte) || length >= LONGEST_METHOD => return Err(Protocol::Opaque),
            b'A'..=b'Z' => {}
            b'0'..=b'9' | b'-' | b'_' if length > 0 => {}
            _ => self.method_is_usual = false,
        }
        let spells_connect = spells_connect && CONNECT.get(length) == Some(&byte);
        Ok(State::Method { length: length.saturating_add(1), spells_connect })
    }

    /// Parses a byte after the first one of the target.
    fn in_words(&mut self, byte: u8) -> Result<State, Protocol> {
        let is_version = matches!(self.state, State::Word { version: Some(matched) } if matched == VERSION.len());
        match (byte, self.state) {
            (b'\r' | b'\n', State::Word { .. }) if is_version => Err(Protocol::Http1),
            (b'\n', State::Gap) if self.ends_with_version => Err(Protocol::Http1),
            (b'\n', _) => Err(Protocol::Opaque),
            (byte, State::Gap) if is_gap(byte) => Ok(State::Gap),
            (byte, _) if is_gap(byte) => {
                self.ends_with_version = is_version;
                Ok(State::Gap)
            }
            (_, State::Target) => Ok(State::Target),
            (_, State::Word { .. }) if is_version => Ok(self.state),
            (byte, State::Word { version }) => Ok(self.word(matched(version, byte))),
            (byte, _) => Ok(self.word(matched(Some(0), byte))),
        }
    }

    const fn word(&mut self, version: Option<usize>) -> State {
        self.has_other_words |= version.is_none();
        State::Word { version }
    }

    /// Returns the protocol of a line without an end in [`MOST_EXAMINED`] bytes. Only a target may be as long.
    const fn of_long_line(self) -> Protocol {
        match self.state {
            State::Target | State::Gap | State::Word { .. } if !self.has_other_words => Protocol::Http1,
            State::Target
            | State::Gap
            | State::Word { .. }
            | State::Method { .. }
            | State::BeforeTarget { .. }
            | State::Scheme { .. }
            | State::Slashes { .. } => Protocol::Opaque,
        }
    }
}

fn before_target(of_connect: bool, byte: u8) -> Result<State, Protocol> {
    match byte {
        // Two spaces: at most a malformed request.
        b' ' => Ok(State::BeforeTarget { of_connect }),
        b'\r' | b'\n' => Err(Protocol::Opaque),
        b'/' | b'*' => Ok(State::Target),
        // With a version at the end of the line, a control character makes it a malformed request.
        byte if byte.is_ascii_control() => Ok(State::Target),
        _ if of_connect => Ok(State::Target),
        byte if byte.is_ascii_alphabetic() => Ok(State::Scheme { version: matched(Some(0), byte) }),
        _ => Err(Protocol::Opaque),
    }
}

fn in_scheme(version: Option<usize>, byte: u8) -> Result<State, Protocol> {
    let version = matched(version, byte);
    match byte {
        b':' => Ok(State::Slashes { left: 2 }),
        // A version without a target: a malformed request.
        b'/' if version == Some(VERSION.len()) => Ok(State::Word { version }),
        b'+' | b'-' | b'.' => Ok(State::Scheme { version }),
        byte if byte.is_ascii_alphanumeric() => Ok(State::Scheme { version }),
        _ => Err(Protocol::Opaque),
    }
}

/// Returns whether a lenient server separates words at this byte (RFC 9112 §3).
const fn is_gap(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c | b'\r')
}

/// Returns the length of the prefix of `HTTP/` that a word equals after another byte; `None` if it equals none.
fn matched(so_far: Option<usize>, byte: u8) -> Option<usize> {
    so_far.filter(|so_far| VERSION.get(*so_far) == Some(&byte)).map(|so_far| so_far.saturating_add(1))
}

/// Returns whether the app's first bytes can be the SETTINGS with which every HTTP/2 server begins (RFC 9113 §3.4).
pub(crate) fn may_begin_http2(bytes: &[u8]) -> bool {
    match *bytes {
        // A length of one byte allows at most 42 settings, which is more than any server sends.
        [0, 0, length, 4, 0, 0, 0, 0, 0, ..] => length.is_multiple_of(6),
        [_, _, _, _, _, _, _, _, _, ..] => false,
        _ => [0, 0].starts_with(bytes.get(..2).unwrap_or(bytes)),
    }
}

#[cfg(test)]
mod tests;

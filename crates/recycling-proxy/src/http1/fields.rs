//! The fields that framing and persistence depend on.

use httparse::Header;

use super::fault::Fault;
use crate::relay::source::Source;

/// The fields of a head that determine its body and the persistence of its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    /// The value of Content-Length.
    pub(crate) length: Option<u64>,
    /// Whether there is a Transfer-Encoding, which then ends in chunked.
    pub(crate) chunked: bool,
    /// Whether Connection has the option `close`.
    pub(crate) close: bool,
    /// Whether Connection has the option `keep-alive`.
    pub(crate) keep_alive: bool,
    /// The number of Upgrade lines.
    pub(crate) upgrades: usize,
    /// The source that User-Agent names.
    pub(crate) source: Source,
    hosts: Hosts,
    encodings: Encodings,
}

/// The Host lines read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hosts {
    #[default]
    None,
    /// One valid host.
    One,
    /// Several lines, or an invalid host.
    Bad,
}

/// The Transfer-Encoding lines read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Encodings {
    #[default]
    None,
    Other,
    Chunked,
}

impl Fields {
    /// Reads the fields.
    ///
    /// # Errors
    /// If two recipients could parse the framing differently.
    pub(crate) fn read(headers: &[Header<'_>]) -> Result<Self, Fault> {
        let mut fields = Self::default();
        for header in headers {
            fields.take(header.name, header.value)?;
        }
        fields.chunked = match fields.encodings {
            Encodings::None => false,
            Encodings::Chunked => true,
            Encodings::Other => return Err(Fault::BadTransferEncoding),
        };
        if fields.chunked && fields.length.is_some() {
            return Err(Fault::LengthAndEncoding);
        }
        Ok(fields)
    }

    /// Reads the fields of a message that never has a body (RFC 9112 §6.3). Its framing fields are ignored, as every
    /// recipient ignores them.
    pub(crate) fn without_framing(headers: &[Header<'_>]) -> Self {
        let mut fields = Self::default();
        for header in headers.iter().filter(|header| header.name.eq_ignore_ascii_case("connection")) {
            fields.connection(header.value);
        }
        fields
    }

    /// Checks that a request has a valid Host. HTTP/1.0 requests may have none.
    pub(crate) fn check_host(&self, version_11: bool) -> Result<(), Fault> {
        match self.hosts {
            Hosts::One => Ok(()),
            Hosts::None if !version_11 => Ok(()),
            Hosts::None | Hosts::Bad => Err(Fault::BadHost),
        }
    }

    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), Fault> {
        // Length and first letter exclude most names without a comparison.
        let initial = name.as_bytes().first().map_or(0, u8::to_ascii_lowercase);
        match (name.len(), initial) {
            (4, b'h') if name.eq_ignore_ascii_case("host") => {
                let first = self.hosts == Hosts::None && trim(value).iter().all(|b| is_authority(*b));
                self.hosts = if first { Hosts::One } else { Hosts::Bad };
            }
            (7, b'u') if name.eq_ignore_ascii_case("upgrade") => self.upgrades = self.upgrades.saturating_add(1),
            (10, b'c') if name.eq_ignore_ascii_case("connection") => self.connection(value),
            (10, b'u') if name.eq_ignore_ascii_case("user-agent") => {
                self.source = Source::of_user_agent(trim(value));
            }
            (14, b'c') if name.eq_ignore_ascii_case("content-length") => self.content_length(value)?,
            (14, b'c') if is_lookalike(name, "content-length") => return Err(Fault::LookalikeField),
            (17, b't') if name.eq_ignore_ascii_case("transfer-encoding") => self.transfer_encoding(value)?,
            (17, b't') if is_lookalike(name, "transfer-encoding") => return Err(Fault::LookalikeField),
            _ => {}
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for token in list(value) {
            self.close |= token.eq_ignore_ascii_case(b"close");
            self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// Accepts one line of digits. RFC 9110 §8.6 allows equal duplicates; this parser does not.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let value = trim(value);
        let plain = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let length = std::str::from_utf8(value).ok().filter(|_| plain).and_then(|digits| digits.parse::<u64>().ok());
        match length {
            // At most i64::MAX, which all parsers can represent.
            Some(length) if self.length.is_none() && i64::try_from(length).is_ok() => self.length = Some(length),
            Some(_) | None => return Err(Fault::BadContentLength),
        }
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        for element in value.split(|b| *b == b',') {
            let coding = trim(element);
            let name = trim(coding.split(|b| *b == b';').next().unwrap_or_default());
            let well_formed = !name.is_empty() && name.iter().all(|b| is_token(*b));
            let after_chunked = self.encodings == Encodings::Chunked;
            if !well_formed || after_chunked {
                return Err(Fault::BadTransferEncoding);
            }
            self.encodings = match name.eq_ignore_ascii_case(b"chunked") {
                // chunked has no parameters (RFC 9112 §7.1).
                true if coding.len() == name.len() => Encodings::Chunked,
                true => return Err(Fault::BadTransferEncoding),
                false => Encodings::Other,
            };
        }
        Ok(())
    }
}

/// Returns the elements of a comma-separated list, without surrounding white space.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(trim).filter(|element| !element.is_empty())
}

/// Returns whether a program that replaces underscores in names, as CGI does, reads `name` as `framing`.
pub(super) fn is_lookalike(name: &str, framing: &str) -> bool {
    let same = |(byte, framing)| is_lookalike_byte(byte, framing);
    name.len() == framing.len() && name.bytes().zip(framing.bytes()).all(same)
}

/// Returns whether some server reads `byte` of a name as `framing`.
pub(super) fn is_lookalike_byte(byte: u8, framing: u8) -> bool {
    byte.eq_ignore_ascii_case(&framing) || (byte == b'_' && framing == b'-')
}

/// Returns the value without optional white space (RFC 9110 §5.6.3): spaces and tabs alone.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Returns whether `uri-host [ ":" port ]` may have the byte (RFC 3986 §3.2.2).
fn is_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

/// Returns whether the byte is a `tchar` (RFC 9110 §5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &[u8])]) -> Result<Fields, Fault> {
        let headers: Vec<Header<'_>> = fields.iter().map(|(name, value)| Header { name, value }).collect();
        Fields::read(&headers)
    }

    #[test]
    fn content_length_must_be_one_decimal_number() {
        assert_eq!(read(&[("Content-Length", b"5")]).unwrap().length, Some(5));
        assert_eq!(read(&[("content-LENGTH", b" 007\t")]).unwrap().length, Some(7));
        for bad in [
            "",
            "+5",
            "-0",
            "0x5",
            "5_0",
            "5, 5",
            "5,5",
            "5 5",
            "1.0",
            "99999999999999999999",
            "9223372036854775808",
            "٥",
        ] {
            assert_eq!(read(&[("Content-Length", bad.as_bytes())]), Err(Fault::BadContentLength), "{bad:?}");
        }
        for second in ["5", "6"] {
            let twice = read(&[("Content-Length", b"5"), ("Content-Length", second.as_bytes())]);
            assert_eq!(twice, Err(Fault::BadContentLength));
        }
    }

    #[test]
    fn transfer_encoding_must_end_with_one_chunked() {
        for good in ["chunked", "Chunked", " chunked\t", "gzip, chunked", "gzip;q=1,chunked"] {
            assert!(read(&[("Transfer-Encoding", good.as_bytes())]).unwrap().chunked, "{good:?}");
        }
        assert!(read(&[("Transfer-Encoding", b"gzip"), ("Transfer-Encoding", b"chunked")]).unwrap().chunked);
        for bad in [
            "",
            "xchunked",
            "identity",
            ",chunked",
            "chunked,",
            "chunked, identity",
            "\"chunked\"",
            "chunked, chunked",
            "chunked;a=b",
            "chunked\u{b}",
            "\u{a0}chunked",
            "gzip",
        ] {
            assert_eq!(read(&[("Transfer-Encoding", bad.as_bytes())]), Err(Fault::BadTransferEncoding), "{bad:?}");
        }
        let twice = read(&[("Transfer-Encoding", b"chunked"), ("Transfer-Encoding", b"chunked")]);
        assert_eq!(twice, Err(Fault::BadTransferEncoding));
    }

    #[test]
    fn contradictory_and_lookalike_framing_fields_are_refused() {
        let both = [("Content-Length", &b"5"[..]), ("Transfer-Encoding", b"chunked")];
        assert_eq!(read(&both), Err(Fault::LengthAndEncoding));
        assert_eq!(read(&[both[1], both[0]]), Err(Fault::LengthAndEncoding));
        assert_eq!(read(&[("Transfer_Encoding", b"chunked")]), Err(Fault::LookalikeField));
        assert_eq!(read(&[("content_length", b"5")]), Err(Fault::LookalikeField));
    }

    #[test]
    fn connection_is_read_as_a_list_of_tokens() {
        let fields = read(&[("Connection", b"Upgrade, CLOSE"), ("connection", b",keep-alive ,")]).unwrap();
        assert!(fields.close && fields.keep_alive);
        let fields = read(&[("Connection", b"closed, not-close"), ("X-Connection", b"close")]).unwrap();
        assert!(!fields.close && !fields.keep_alive);
    }

    #[test]
    fn host_must_be_single_and_well_formed() {
        for good in [&b"a"[..], b"", b"a.b-c_d:80", b"[::1]:80", b" 10.0.0.1 "] {
            assert_eq!(read(&[("Host", good)]).unwrap().check_host(true), Ok(()));
        }
        for bad in [&b"a b"[..], b"a/b", b"a@b", b"a,b\xe9", b"a?b"] {
            assert_eq!(read(&[("Host", bad)]).unwrap().check_host(true), Err(Fault::BadHost));
        }
        assert_eq!(read(&[("Host", b"a"), ("HOST", b"a")]).unwrap().check_host(false), Err(Fault::BadHost));
        assert_eq!(read(&[]).unwrap().check_host(true), Err(Fault::BadHost));
        assert_eq!(read(&[]).unwrap().check_host(false), Ok(()));
    }
}

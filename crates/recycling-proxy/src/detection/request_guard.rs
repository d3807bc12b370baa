//! Detects requests at the beginning of a tunnel, which are not allowed with `forwarded-for`.

use crate::detection::first_line::{FirstLine, Reading};

/// The beginning of every response of an HTTP/1 server.
const RESPONSE: &[u8] = b"HTTP/";

/// The beginning of a tunnel, until no request can follow in it.
///
/// That is the case after a first line that no server accepts as a request, because HTTP servers close the connection
/// then. It is also the case after a response that is not HTTP.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestGuard {
    line: FirstLine,
    response: Response,
}

/// The app's bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Response {
    /// The first bytes of [`RESPONSE`], in this number.
    Http(usize),
    /// Other bytes.
    Other,
}

impl Default for Response {
    fn default() -> Self {
        Self::Http(0)
    }
}

impl RequestGuard {
    /// Examines bytes of the client. `ended` is true after its last byte.
    pub(crate) fn examine_client(&mut self, bytes: &[u8], ended: bool) -> Reading {
        if self.response == Response::Other {
            return Reading::Harmless;
        }
        let reading = self.line.read(bytes);
        if ended { self.line.end() } else { reading }
    }

    /// Examines bytes of the app.
    pub(crate) fn examine_app(&mut self, bytes: &[u8]) {
        if let Response::Http(matched) = self.response {
            let expected = RESPONSE.get(matched..).unwrap_or_default();
            let length = expected.len().min(bytes.len());
            let matches = bytes.get(..length) == expected.get(..length);
            self.response = if matches { Response::Http(matched.saturating_add(length)) } else { Response::Other };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_that_is_not_http_ends_the_guard() {
        for (pieces, reading) in [
            (&["+PONG"][..], Reading::Harmless),
            (&["HT", "+"], Reading::Harmless),
            (&["H", "TTP/", "1.1 400"], Reading::Request),
            (&["HTTP/1.1 400"], Reading::Request),
            (&[], Reading::Request),
        ] {
            let mut guard = RequestGuard::default();
            assert_eq!(guard.examine_client(b"GET", false), Reading::Open);
            for piece in pieces {
                guard.examine_app(piece.as_bytes());
            }
            assert_eq!(guard.examine_client(b" /", false), reading, "{pieces:?}");
        }
    }
}

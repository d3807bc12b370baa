//! Detects requests at the beginning of a tunnel, which are not allowed with `forwarded-for`.

use crate::detection::first_line::{FirstLine, Reading};

/// The beginning of every response of an HTTP/1 server.
const ANSWER: &[u8] = b"HTTP/";

/// What a tunnel has carried so far, as long as a request could still begin in it.
///
/// The watch ends with a first line that no server takes for a request: HTTP servers give such a connection up. It also
/// ends with an answer that no HTTP server gives.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestGuard {
    line: FirstLine,
    answer: Answer,
}

/// The app's bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// This many bytes of [`ANSWER`].
    Http(usize),
    /// Something else.
    Other,
}

impl Default for Answer {
    fn default() -> Self {
        Self::Http(0)
    }
}

impl RequestGuard {
    /// Examines bytes of the client. `ended` is true after its last byte.
    pub(crate) fn examine_client(&mut self, bytes: &[u8], ended: bool) -> Reading {
        if self.answer == Answer::Other {
            return Reading::Harmless;
        }
        let reading = self.line.read(bytes);
        if ended { self.line.end() } else { reading }
    }

    /// Examines bytes of the app.
    pub(crate) fn examine_app(&mut self, bytes: &[u8]) {
        if let Answer::Http(matched) = self.answer {
            let expected = ANSWER.get(matched..).unwrap_or_default();
            let length = expected.len().min(bytes.len());
            let goes_on = bytes.get(..length) == expected.get(..length);
            self.answer = if goes_on { Answer::Http(matched.saturating_add(length)) } else { Answer::Other };
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

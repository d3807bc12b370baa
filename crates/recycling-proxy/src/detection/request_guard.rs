//! Watches the beginning of a tunnel where apps rely on a word of ours in every request.

use crate::detection::first_line::{FirstLine, Reading};

/// How every answer of an HTTP/1 server begins.
const ANSWER: &[u8] = b"HTTP/";

/// What a tunnel has carried so far, as long as a request could still begin in it.
///
/// The watch ends with a first line that no server takes for a request: HTTP servers give such a connection up. It also ends
/// with an answer that no HTTP server gives.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestGuard {
    line: FirstLine,
    answer: Answer,
}

/// What the app has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// So much of how answers begin.
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
    /// Reads on in what the client says; `ended` where no more comes.
    pub(crate) fn client_says(&mut self, bytes: &[u8], ended: bool) -> Reading {
        if self.answer == Answer::Other {
            return Reading::Harmless;
        }
        let reading = self.line.read(bytes);
        if ended { self.line.end() } else { reading }
    }

    /// Reads on in what the app says.
    pub(crate) fn app_says(&mut self, bytes: &[u8]) {
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
            assert_eq!(guard.client_says(b"GET", false), Reading::Open);
            for piece in pieces {
                guard.app_says(piece.as_bytes());
            }
            assert_eq!(guard.client_says(b" /", false), reading, "{pieces:?}");
        }
    }
}

//! The length of a message body (RFC 9112 §6.3).

use super::chunked::Chunked;
use super::fault::Fault;

/// The rest of a message body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body(Rest);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Length(u64),
    Chunked(Chunked),
    UntilEnd,
}

impl Body {
    /// No body.
    pub const fn none() -> Self {
        Self(Rest::Length(0))
    }

    /// Returns a body of `length` bytes.
    pub const fn length(length: u64) -> Self {
        Self(Rest::Length(length))
    }

    /// Returns a request body with the chunked transfer coding.
    pub const fn chunked() -> Self {
        Self(Rest::Chunked(Chunked::of_request()))
    }

    /// Returns a response body with the chunked transfer coding.
    pub const fn chunked_response() -> Self {
        Self(Rest::Chunked(Chunked::of_response()))
    }

    /// Returns a response body that is delimited by the end of the connection.
    pub const fn until_end_of_connection() -> Self {
        Self(Rest::UntilEnd)
    }

    /// Returns whether the end of the connection delimits it.
    pub const fn ends_with_connection(&self) -> bool {
        matches!(self.0, Rest::UntilEnd)
    }

    /// Returns whether it is complete.
    pub const fn is_done(&self) -> bool {
        match &self.0 {
            Rest::Length(left) => *left == 0,
            Rest::Chunked(chunked) => chunked.is_done(),
            Rest::UntilEnd => false,
        }
    }

    /// Returns how many of the next bytes need no examination: data of a known length, or all until the end of the
    /// connection.
    pub const fn unseen(&self) -> u64 {
        match &self.0 {
            Rest::Length(left) => *left,
            Rest::Chunked(chunked) => chunked.unseen(),
            Rest::UntilEnd => u64::MAX,
        }
    }

    /// Records that `count` bytes were forwarded without examination; at most [`Body::unseen`].
    pub const fn passed_unseen(&mut self, count: u64) {
        match &mut self.0 {
            Rest::Length(left) => {
                debug_assert!(count <= *left, "more has passed than the body has left");
                *left = left.saturating_sub(count);
            }
            Rest::Chunked(chunked) => chunked.passed_unseen(count),
            Rest::UntilEnd => {}
        }
    }

    /// Parses `bytes`, and returns how many at their front belong to the body.
    ///
    /// It stops before a byte that violates the framing. The next call, which begins with that byte, returns the fault.
    /// So the result does not depend on how the bytes are split.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        match &mut self.0 {
            Rest::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left = left.saturating_sub(taken as u64);
                Ok(taken)
            }
            Rest::Chunked(chunked) => chunked.advance(bytes),
            Rest::UntilEnd => Ok(bytes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_with_a_length_ends_at_its_length() {
        let mut body = Body::length(5);
        assert_eq!(body.advance(b"abc"), Ok(3));
        assert!(!body.is_done());
        assert_eq!(body.advance(b"defgh"), Ok(2));
        assert!(body.is_done());
        assert_eq!(body.advance(b"x"), Ok(0));
    }

    #[test]
    fn spliced_bytes_count_towards_the_length() {
        let mut body = Body::length(10);
        assert_eq!(body.advance(b"abc"), Ok(3));
        assert_eq!(body.unseen(), 7);
        body.passed_unseen(7);
        assert!(body.is_done());

        let mut body = Body::chunked();
        assert_eq!((body.unseen(), body.advance(b"a\r\nabc"), body.unseen()), (0, Ok(6), 7));
        body.passed_unseen(6);
        assert_eq!((body.unseen(), body.is_done()), (1, false));
        body.passed_unseen(1);
        assert_eq!((body.unseen(), body.advance(b"\r\n0\r\n\r\n"), body.is_done()), (0, Ok(7), true));

        let mut body = Body::until_end_of_connection();
        body.passed_unseen(1 << 40);
        assert_eq!((body.unseen(), body.is_done()), (u64::MAX, false));
    }

    #[test]
    fn an_empty_body_is_done_and_one_until_the_end_of_the_connection_is_not() {
        assert!(Body::none().is_done());
        let mut body = Body::until_end_of_connection();
        assert_eq!(body.advance(b"abc"), Ok(3));
        assert!(!body.is_done());
    }
}

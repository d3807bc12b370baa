//! How far a body reaches (RFC 9112 §6.3).

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

    /// A body of `length` bytes.
    pub const fn length(length: u64) -> Self {
        Self(Rest::Length(length))
    }

    /// A body in chunks.
    pub const fn chunked() -> Self {
        Self(Rest::Chunked(Chunked::new()))
    }

    /// A response body that the end of the app's stream ends.
    pub const fn until_end_of_connection() -> Self {
        Self(Rest::UntilEnd)
    }

    /// Whether only the end of the stream ends it.
    pub const fn ends_with_connection(&self) -> bool {
        matches!(self.0, Rest::UntilEnd)
    }

    /// Whether all of it has passed.
    pub const fn is_done(&self) -> bool {
        match &self.0 {
            Rest::Length(left) => *left == 0,
            Rest::Chunked(chunked) => chunked.is_done(),
            Rest::UntilEnd => false,
        }
    }

    /// Takes the bytes of the body from the front of `bytes` and says how many they are.
    ///
    /// Stops before a byte that breaks the framing and reports it once nothing else is left to take: so that the
    /// result does not depend on how the bytes arrived.
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
    fn a_length_is_counted_down() {
        let mut body = Body::length(5);
        assert_eq!(body.advance(b"abc"), Ok(3));
        assert!(!body.is_done());
        assert_eq!(body.advance(b"defgh"), Ok(2));
        assert!(body.is_done());
        assert_eq!(body.advance(b"x"), Ok(0));
    }

    #[test]
    fn none_is_done_and_the_end_of_the_connection_never_comes_by_itself() {
        assert!(Body::none().is_done());
        let mut body = Body::until_end_of_connection();
        assert_eq!(body.advance(b"abc"), Ok(3));
        assert!(!body.is_done());
    }
}

//! What a peer or a process did that its test did not expect.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use crate::end::End;

/// How long a peer waits for what must come. No run without a fault needs nearly as long, so a busy machine fails
/// nothing.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// How many bytes of a message an [`Excerpt`] shows.
const EXCERPT: usize = 120;

/// What a peer or a process did that is not in the test's script.
#[derive(Debug, thiserror::Error)]
pub enum Unexpected {
    /// It sent or printed nothing more.
    #[error("{who}: waited {TIMEOUT:?} for {what}, had {had} so far")]
    Silence {
        /// The peer or process.
        who: String,
        /// What was to come.
        what: String,
        /// What had come until then.
        had: Excerpt,
    },
    /// The connection ended too early, or in another way.
    #[error("{who}: the connection ended by {end} instead of {what}, after {had}")]
    Ended {
        /// The peer.
        who: String,
        /// How it ended.
        end: End,
        /// What was to come.
        what: String,
        /// What had come until then.
        had: Excerpt,
    },
    /// Other bytes came.
    #[error("{who}: expected\n  {expected}\nbut from byte {at} on got\n  {got}")]
    Different {
        /// The peer.
        who: String,
        /// The first byte that differs.
        at: usize,
        /// What was to come, around that byte.
        expected: Excerpt,
        /// What came, around that byte.
        got: Excerpt,
    },
    /// A system call failed.
    #[error("{who}: {what}: {source}")]
    Io {
        /// The peer or process.
        who: String,
        /// What was attempted.
        what: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl Unexpected {
    /// Compares what came with what was to come. Returns the first difference as an error.
    pub fn unless_equal(who: &str, expected: &[u8], got: &[u8]) -> Result<(), Self> {
        if expected == got {
            return Ok(());
        }
        let at = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
        let around = |bytes: &[u8]| Excerpt::new(&bytes[at.saturating_sub(EXCERPT / 2).min(bytes.len())..]);
        Err(Self::Different { who: who.to_owned(), at, expected: around(expected), got: around(got) })
    }
}

/// Waits for `future`, at most for [`TIMEOUT`].
pub async fn within_timeout<T>(who: &str, what: &str, future: impl Future<Output = T>) -> Result<T, Unexpected> {
    tokio::time::timeout(TIMEOUT, future).await.map_err(|_| Unexpected::Silence {
        who: who.to_owned(),
        what: what.to_owned(),
        had: Excerpt::new(b""),
    })
}

/// The first bytes of a message, escaped, so that a person can read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Returns the first bytes, with the number of all if there are more.
    pub fn new(bytes: &[u8]) -> Self {
        match bytes.get(..EXCERPT) {
            Some(start) if bytes.len() > EXCERPT => {
                Self(format!("\"{}\"… ({} bytes)", start.escape_ascii(), bytes.len()))
            }
            Some(_) | None => Self(format!("\"{}\"", bytes.escape_ascii())),
        }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_different_byte_is_reported() {
        assert!(Unexpected::unless_equal("x", b"abc", b"abc").is_ok());
        for (expected, got, first) in
            [("abc", "abd", 2), ("abc", "ab", 2), ("ab", "abc", 2), ("", "a", 0), ("a", "", 0), ("Host", "host", 0)]
        {
            match Unexpected::unless_equal("x", expected.as_bytes(), got.as_bytes()) {
                Err(Unexpected::Different { at, .. }) => assert_eq!(at, first, "{expected:?} {got:?}"),
                other => panic!("{expected:?} {got:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn long_messages_are_shown_around_their_difference() {
        let expected = vec![b'x'; 100_000];
        let mut got = expected.clone();
        got[77_777] = b'y';
        let sentence = Unexpected::unless_equal("client", &expected, &got).unwrap_err().to_string();
        assert!(
            sentence.contains("from byte 77777 on") && sentence.contains('y') && sentence.len() < 500,
            "{sentence}"
        );
    }
}

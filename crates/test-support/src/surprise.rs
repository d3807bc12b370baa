//! What a test did not expect.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use crate::end::End;

/// How long a peer waits for what must come. Far more than any healthy run needs, so that a busy machine fails nothing.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of a message that are shown on either side of where it differs.
const SHOWN: usize = 120;

/// What a peer or a process did that its script does not say.
#[derive(Debug, thiserror::Error)]
pub enum Surprise {
    /// It did nothing at all.
    #[error("{who}: waited {PATIENCE:?} for {what}, had {had} so far")]
    Silence {
        /// The peer or process.
        who: String,
        /// What was to come.
        what: String,
        /// What had come.
        had: Shown,
    },
    /// The connection ended too early.
    #[error("{who}: the connection ended by {end} instead of {what}, after {had}")]
    Ended {
        /// The peer.
        who: String,
        /// How it ended.
        end: End,
        /// What was to come.
        what: String,
        /// What had come.
        had: Shown,
    },
    /// Other bytes came.
    #[error("{who}: expected\n  {expected}\nbut from byte {at} on got\n  {got}")]
    Different {
        /// The peer.
        who: String,
        /// The first byte that differs.
        at: usize,
        /// What was to come, around that byte.
        expected: Shown,
        /// What came, around that byte.
        got: Shown,
    },
    /// The kernel refused.
    #[error("{who}: {what}: {source}")]
    Io {
        /// The peer or process.
        who: String,
        /// What was attempted.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl Surprise {
    /// Compares what came with what was to come.
    pub fn unless_equal(who: &str, expected: &[u8], got: &[u8]) -> Result<(), Self> {
        if expected == got {
            return Ok(());
        }
        let at = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
        let around = |bytes: &[u8]| Shown::new(&bytes[at.saturating_sub(SHOWN / 2).min(bytes.len())..]);
        Err(Self::Different { who: who.to_owned(), at, expected: around(expected), got: around(got) })
    }
}

/// Waits for `future`, but not for ever.
pub async fn within_patience<T>(who: &str, what: &str, future: impl Future<Output = T>) -> Result<T, Surprise> {
    tokio::time::timeout(PATIENCE, future).await.map_err(|_| Surprise::Silence {
        who: who.to_owned(),
        what: what.to_owned(),
        had: Shown::new(b""),
    })
}

/// Bytes as a person can read them, cut where they are many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// Shows the first bytes, and says how many there are.
    pub fn new(bytes: &[u8]) -> Self {
        match bytes.get(..SHOWN) {
            Some(start) if bytes.len() > SHOWN => {
                Self(format!("\"{}\"… ({} bytes)", start.escape_ascii(), bytes.len()))
            }
            Some(_) | None => Self(format!("\"{}\"", bytes.escape_ascii())),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_different_byte_is_reported() {
        assert!(Surprise::unless_equal("x", b"abc", b"abc").is_ok());
        for (expected, got, first) in
            [("abc", "abd", 2), ("abc", "ab", 2), ("ab", "abc", 2), ("", "a", 0), ("a", "", 0), ("Host", "host", 0)]
        {
            match Surprise::unless_equal("x", expected.as_bytes(), got.as_bytes()) {
                Err(Surprise::Different { at, .. }) => assert_eq!(at, first, "{expected:?} {got:?}"),
                other => panic!("{expected:?} {got:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn long_messages_are_shown_around_their_difference() {
        let expected = vec![b'x'; 100_000];
        let mut got = expected.clone();
        got[77_777] = b'y';
        let sentence = Surprise::unless_equal("client", &expected, &got).unwrap_err().to_string();
        assert!(
            sentence.contains("from byte 77777 on") && sentence.contains('y') && sentence.len() < 500,
            "{sentence}"
        );
    }
}

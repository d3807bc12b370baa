//! What an injection tells the author of the workload.

use std::collections::BTreeSet;
use std::fmt;

use settings::Span;

/// The longest sentence that a warning can be; kubectl prints each on a line of its own.
const LONGEST: usize = 120;

/// What was injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The app ports that pass through the proxy; never empty.
    pub ports: BTreeSet<u16>,
    /// The bound on the drain, after the grace period has had its say.
    pub drain_timeout: Span,
    /// What is not as one would expect.
    pub notes: Vec<Note>,
}

/// Something about an injection that its author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The drain would have outlasted its share of the grace period.
    DrainCut {
        /// What was asked for.
        asked: Span,
        /// What it became.
        cut: Span,
    },
    /// A container keeps a `preStop` hook of its own, and so does not wait for the drain.
    OwnHook {
        /// The container.
        container: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DrainCut { asked, cut } => {
                write!(f, "evenkeel: drain-timeout {asked} is cut to {cut}, two thirds of the grace period")
            }
            Self::OwnHook { container } => {
                write!(f, "evenkeel: {container} has its own preStop: not held for the drain")
            }
        }
    }
}

/// The text, cut where it is longer than a warning can be.
pub(crate) fn sentence(text: &str) -> String {
    if text.chars().nth(LONGEST).is_none() {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(LONGEST - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_fit_with_the_longest_names() {
        let longest: Span = "31535999999ms".parse().unwrap();
        for note in [Note::DrainCut { asked: longest, cut: longest }, Note::OwnHook { container: "a".repeat(63) }] {
            let text = note.to_string();
            assert_eq!(sentence(&text), text, "{} characters", text.chars().count());
        }
    }

    #[test]
    fn sentences_are_cut_by_characters() {
        let fits = "é".repeat(LONGEST);
        assert_eq!(sentence(&fits), fits);
        assert_eq!(sentence(&"é".repeat(LONGEST + 1)).chars().count(), LONGEST);
    }
}

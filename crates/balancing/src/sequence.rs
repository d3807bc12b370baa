//! Sequence numbers of instructions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The largest integer that all JSON implementations read exactly (RFC 8259 §6).
const MOST: u64 = (1 << 53) - 1;

/// The sequence number of an instruction: 1 to 2⁵³ − 1.
///
/// A proxy accepts only a number higher than its last. The balancer takes the number from its clock, in milliseconds
/// since the epoch, so that the numbers of the next leader are higher than those of the last without stored state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Sequence(u64);

/// A number that is out of the range of sequence numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an integer from 1 to 2^53 - 1, found {0}")]
pub struct InvalidSequence(u64);

impl Sequence {
    /// The lowest number.
    pub const MIN: Self = Self(1);
    /// The highest number: no instruction can follow it.
    pub const MAX: Self = Self(MOST);

    /// Returns the sequence number with this value.
    ///
    /// # Errors
    /// If it is 0 or above 2⁵³ − 1.
    pub const fn new(number: u64) -> Result<Self, InvalidSequence> {
        if number >= 1 && number <= MOST { Ok(Self(number)) } else { Err(InvalidSequence(number)) }
    }

    /// Returns the number of the next instruction: that of the clock, or `last` + 1 if that is higher, as after a clock
    /// was set back. Returns `None` if `last` is [`MAX`](Self::MAX).
    pub fn next(since_epoch: Duration, last: Option<Self>) -> Option<Self> {
        let clock = u64::try_from(since_epoch.as_millis()).unwrap_or(MOST).clamp(1, MOST);
        let after = last.map_or(1, |last| last.0.saturating_add(1));
        Self::new(clock.max(after)).ok()
    }

    /// Returns its value.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Sequence {
    type Error = InvalidSequence;

    fn try_from(number: u64) -> Result<Self, InvalidSequence> {
        Self::new(number)
    }
}

impl From<Sequence> for u64 {
    fn from(sequence: Sequence) -> Self {
        sequence.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sequence_numbers_have_a_lowest_and_a_highest() {
        assert!(Sequence::new(0).is_err());
        assert_eq!(Sequence::new(1), Ok(Sequence::MIN));
        assert_eq!(Sequence::new(MOST), Ok(Sequence::MAX));
        assert!(Sequence::new(MOST + 1).is_err());
        assert_eq!(Sequence::next(Duration::ZERO, None), Some(Sequence::MIN));
        assert_eq!(Sequence::next(Duration::MAX, None), Some(Sequence::MAX));
        assert_eq!(Sequence::next(Duration::ZERO, Some(Sequence::MAX)), None);
    }

    proptest! {
        #[test]
        fn sequence_numbers_rise_whatever_the_clock_says(clocks in proptest::collection::vec(0u64..1 << 45, 1..50)) {
            let mut last = None;
            for clock in clocks {
                let next = Sequence::next(Duration::from_millis(clock), last);
                prop_assert!(next > last);
                prop_assert!(next.is_some_and(|next| next.get() >= clock));
                last = next;
            }
        }
    }
}

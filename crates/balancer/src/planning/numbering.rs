//! The lower bound of the next sequence number of a workload.

use std::cmp::Reverse;
use std::time::Duration;

use balancing::Sequence;

/// How far a number that only few pods report may be ahead of the leader's clock. If a clock is set back by less, no
/// instruction is refused.
const MAX_AHEAD_OF_CLOCK: Duration = Duration::from_hours(24);

/// Returns the highest number that the pods of a workload have accepted, as they report it, at the wall clock
/// `since_epoch`.
///
/// A pod accepts only numbers above its last, and can report any number. If one reported the highest possible number
/// and the leader followed it, no leader could send another instruction to the workload. So a number that is more than
/// a day ahead of the clock counts only if more than half of the pods report it or a higher one, as they do if the
/// clock of an earlier leader was wrong.
pub(super) fn last_taken(reported: impl Iterator<Item = Option<Sequence>>, since_epoch: Duration) -> Option<Sequence> {
    let mut numbers: Vec<Option<Sequence>> = reported.collect();
    if numbers.is_empty() {
        return None;
    }
    let plausible = Sequence::next(since_epoch.saturating_add(MAX_AHEAD_OF_CLOCK), None);
    let of_any = numbers.iter().copied().filter(|number| *number <= plausible).max().flatten();
    let middle = numbers.len() / 2;
    let (_, of_most, _) = numbers.select_nth_unstable_by_key(middle, |number| Reverse(*number));
    of_any.max(*of_most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_hours(500_000);
    const DAY: u64 = 86_400_000;
    const MAX: u64 = Sequence::MAX.get();

    #[test]
    fn the_last_number_is_the_highest_that_enough_pods_report() {
        let now = 1_800_000_000_000;
        for (reported, last) in [
            (&[][..], 0),
            (&[0, 0], 0),
            (&[0, 5, 3], 5),
            // One of them has an instruction of a leader whose clock was ahead.
            (&[now, now + DAY], now + DAY),
            // One, and half of them, are not more than half.
            (&[now, now + DAY + 1], now),
            (&[MAX, now], now),
            (&[MAX, 0, 0], 0),
            (&[MAX, MAX - 1, 0, 0], 0),
            // All but a new one have followed a clock that was wrong by a year.
            (&[now + 365 * DAY, now + 365 * DAY, 0], now + 365 * DAY),
            (&[now + 365 * DAY, now + 366 * DAY, MAX], now + 366 * DAY),
            (&[MAX], MAX),
        ] {
            let numbers = reported.iter().map(|number| Sequence::new(*number).ok());
            assert_eq!(last_taken(numbers, NOW).map_or(0, Sequence::get), last, "{reported:?}");
        }
        assert_eq!(last_taken([Some(Sequence::MAX)].into_iter(), Duration::MAX), Some(Sequence::MAX));
    }
}

//! The lower bound of the next sequence number of a workload.

use std::cmp::Reverse;
use std::time::Duration;

use balancing::Sequence;

/// How far a number that few pods report may be ahead of the leader's clock. A clock may be set back by as much without a refusal.
const BELIEVED_AHEAD: Duration = Duration::from_hours(24);

/// Returns the highest number that the pods of a workload have taken, as they report it, at the wall clock `since_epoch`.
///
/// A pod can report any number, and takes only numbers above its last. A leader that sent the highest number could send no further
/// instruction of the workload, nor could later leaders. So a number that is more than a day ahead of the clock counts only if more than
/// half of the pods report it or a higher one. They do if the clock of an earlier leader was wrong.
pub(super) fn last_taken(reported: impl Iterator<Item = Option<Sequence>>, since_epoch: Duration) -> Option<Sequence> {
    let mut numbers: Vec<Option<Sequence>> = reported.collect();
    if numbers.is_empty() {
        return None;
    }
    let believed = Sequence::next(since_epoch.saturating_add(BELIEVED_AHEAD), None);
    let of_any = numbers.iter().copied().filter(|number| *number <= believed).max().flatten();
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
    fn every_case() {
        let now = 1_800_000_000_000;
        for (reported, last) in [
            (&[][..], 0),
            (&[0, 0], 0),
            (&[0, 5, 3], 5),
            // One of them was told by a leader whose clock was ahead.
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

//! Medians and quantiles of many rounds.

/// The median of some rounds, with the lowest and the highest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Summary {
    /// Returns `None` if there is no round.
    pub(crate) fn of(rounds: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = rounds.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self { median: middle(&sorted)?, lowest: *sorted.first()?, highest: *sorted.last()? })
    }
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    Some(if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[sorted.len() / 2 - 1], upper) } else { upper })
}

/// Sorts the samples, and returns the value below which `per_mille` thousandths of them lie.
pub(crate) fn quantile<T: Ord + Copy>(samples: &mut [T], per_mille: usize) -> Option<T> {
    samples.sort_unstable();
    let rank = (samples.len() * per_mille).div_ceil(1000);
    samples.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_that_of_odd_and_even_numbers_of_rounds() {
        assert_eq!(Summary::of([]), None);
        assert_eq!(Summary::of([3.0, 1.0, 2.0]), Some(Summary { median: 2.0, lowest: 1.0, highest: 3.0 }));
        assert_eq!(Summary::of([4.0, 1.0, 2.0, 3.0]).map(|summary| summary.median), Some(2.5));
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let mut samples: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(quantile(&mut samples, 500), Some(50));
        assert_eq!(quantile(&mut samples, 990), Some(99));
        assert_eq!(quantile(&mut samples, 1000), Some(100));
        assert_eq!(quantile(&mut [7], 1), Some(7));
        assert_eq!(quantile::<u32>(&mut [], 500), None);
    }
}

//! Clients of uneven rates.

use std::time::Duration;

use anyhow::Context as _;
use rand::SeedableRng as _;
use rand_distr::{Distribution as _, LogNormal};
use rand_pcg::Pcg64Mcg;

/// Returns the time between two requests of each of `clients`. Their rates are log-normal with this `sigma`, and `mean`
/// requests per second in the mean.
pub(crate) fn intervals(clients: usize, mean: f64, sigma: f64, seed: u64) -> anyhow::Result<Vec<Duration>> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let rates = LogNormal::new(0.0, sigma).context("no log-normal distribution")?;
    let drawn: Vec<f64> = (0..clients).map(|_| rates.sample(&mut random)).collect();
    let drawn_mean = crate::course::mean(drawn.iter().copied());
    Ok(drawn.iter().map(|rate| Duration::from_secs_f64(drawn_mean / (rate * mean))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_rates_have_the_given_mean_and_differ() {
        let intervals = intervals(200, 2.0, 0.8, 1).unwrap();
        let rates: Vec<f64> = intervals.iter().map(|interval| 1.0 / interval.as_secs_f64()).collect();
        let mean = crate::course::mean(rates.iter().copied());
        assert!((mean - 2.0).abs() < 1e-6, "{mean}");
        let above = rates.iter().filter(|rate| **rate > mean).count();
        // A log-normal variable of σ 0.8 is above its mean with a probability of 0.34.
        assert!((50..90).contains(&above), "{above}");
    }
}

//! The estimated request rate of one connection.

use std::time::Duration;

/// The time constant of the exponential decay of requests and time, in seconds.
const MEMORY: f64 = 30.0;

/// The weight of the prior, in requests. Once a connection has carried this many, prior and observation have the same
/// weight.
const PRIOR_REQUESTS: f64 = 3.0;

/// The request rate of one connection, estimated from its own requests and the mean rate of its workload.
///
/// `rate = (n + κ) / (t + κ/ρ)`: `n` requests in `t` seconds, both decaying exponentially with a time constant of 30 s,
/// and a gamma prior of κ = 3 requests at the rate ρ, the mean rate of a connection of the workload (empirical Bayes).
/// So a new connection counts as an average one, and if requests are rare, load is nearly the number of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RateEstimate {
    requests: f64,
    seconds: f64,
}

/// An elapsed time and its decay factor. It is computed once for all estimates, because the exponential costs more than
/// the rest of an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elapsed {
    seconds: f64,
    kept: f64,
}

impl Elapsed {
    /// Returns the elapsed time with its decay factor.
    pub fn new(time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        Self { seconds, kept: (-seconds / MEMORY).exp() }
    }
}

impl RateEstimate {
    /// Returns an estimate that remembers `requests` in `seconds`.
    pub const fn remembering(requests: f64, seconds: f64) -> Self {
        Self { requests, seconds }
    }

    /// Adds `requests` that the connection carried during the time `elapsed`.
    pub fn advance(&mut self, requests: u32, elapsed: Elapsed) {
        let Elapsed { seconds, kept } = elapsed;
        self.requests = self.requests * kept + f64::from(requests);
        self.seconds = self.seconds * kept + seconds;
    }

    /// Returns the rate in requests per second, with the workload's mean rate of a connection as the prior.
    ///
    /// Returns 0 if the prior is 0, infinite or not a number: a workload without requests has no load.
    pub fn rate(&self, prior: f64) -> f64 {
        if prior > 0.0 && prior.is_finite() {
            (self.requests + PRIOR_REQUESTS) / (self.seconds + PRIOR_REQUESTS / prior)
        } else {
            0.0
        }
    }

    /// Returns the decayed number of requests. The prior of a workload is the sum of these divided by the sum of
    /// [`seconds`](Self::seconds).
    pub const fn requests(&self) -> f64 {
        self.requests
    }

    /// Returns the decayed time in seconds.
    pub const fn seconds(&self) -> f64 {
        self.seconds
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn second() -> Elapsed {
        Elapsed::new(Duration::from_secs(1))
    }

    #[test]
    fn a_new_connection_has_the_mean_rate() {
        for prior in [0.01, 1.0, 250.0] {
            assert!((RateEstimate::default().rate(prior) - prior).abs() < 1e-9 * prior);
        }
    }

    #[test]
    fn the_estimate_of_a_busy_connection_approaches_its_own_rate() {
        let mut estimate = RateEstimate::default();
        (0..120).for_each(|_| estimate.advance(50, second()));
        let rate = estimate.rate(1.0);
        assert!((42.0..50.0).contains(&rate), "{rate}");
    }

    #[test]
    fn the_estimate_of_an_idle_connection_falls_but_never_to_zero() {
        let mut estimate = RateEstimate::default();
        (0..600).for_each(|_| estimate.advance(0, second()));
        let rate = estimate.rate(1.0);
        assert!(rate > 0.0 && rate < 0.2, "{rate}");
    }

    #[test]
    fn without_a_positive_prior_the_rate_is_zero() {
        for prior in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(RateEstimate::default().rate(prior).abs() < f64::EPSILON);
        }
    }

    proptest! {
        #[test]
        fn the_estimate_lies_between_the_prior_and_the_observed_rate(
            requests in proptest::collection::vec(0u32..1000, 1..60),
            prior in 0.001f64..1000.0,
        ) {
            let mut estimate = RateEstimate::default();
            for requests in &requests {
                estimate.advance(*requests, second());
            }
            let seen = estimate.requests() / estimate.seconds();
            let rate = estimate.rate(prior);
            prop_assert!(rate >= seen.min(prior) * (1.0 - 1e-9) && rate <= seen.max(prior) * (1.0 + 1e-9));
        }
    }
}

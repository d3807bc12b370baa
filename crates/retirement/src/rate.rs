//! The estimated request rate of one connection.

use std::time::Duration;

/// The time constant with which requests and time are forgotten, in seconds.
const MEMORY: f64 = 30.0;

/// The weight of the prior, in requests: an estimate is half its own once a connection has carried this many.
const PRIOR_REQUESTS: f64 = 3.0;

/// The request rate of one connection, estimated from its own requests and the mean rate of its workload.
///
/// `rate = (n + κ) / (t + κ/ρ)`: `n` requests in `t` seconds, both forgotten with a time constant of 30 s, and a gamma
/// prior of κ = 3 requests at the rate ρ, the mean rate of a connection of the workload (empirical Bayes). A new
/// connection counts as an average one until it has shown what it is, and where requests are rare the rule falls back to
/// counting connections.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RateEstimate {
    requests: f64,
    seconds: f64,
}

/// A time that has passed, and what an estimate keeps of what it remembers after it. One is enough for many estimates: the
/// exponential costs more than the rest of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elapsed {
    seconds: f64,
    kept: f64,
}

impl Elapsed {
    /// Returns the time.
    pub fn new(time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        Self { seconds, kept: (-seconds / MEMORY).exp() }
    }
}

impl RateEstimate {
    /// Takes in that the connection carried `requests` more requests during the time that has `elapsed`.
    pub fn advance(&mut self, requests: u32, elapsed: Elapsed) {
        let Elapsed { seconds, kept } = elapsed;
        self.requests = self.requests * kept + f64::from(requests);
        self.seconds = self.seconds * kept + seconds;
    }

    /// Returns the rate in requests per second, with the workload's mean rate of a connection as the prior.
    ///
    /// Returns 0 if the prior is 0 or no finite number: a workload without requests has no load.
    pub fn rate(&self, prior: f64) -> f64 {
        if prior > 0.0 && prior.is_finite() {
            (self.requests + PRIOR_REQUESTS) / (self.seconds + PRIOR_REQUESTS / prior)
        } else {
            0.0
        }
    }

    /// Returns the remembered requests; their sum over a workload, by that of [`seconds`](Self::seconds), is its prior.
    pub const fn requests(&self) -> f64 {
        self.requests
    }

    /// Returns the remembered time in seconds.
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
    fn a_new_connection_counts_as_an_average_one() {
        for prior in [0.01, 1.0, 250.0] {
            assert!((RateEstimate::default().rate(prior) - prior).abs() < 1e-9 * prior);
        }
    }

    #[test]
    fn a_connection_with_many_requests_shows_its_own_rate() {
        let mut estimate = RateEstimate::default();
        (0..120).for_each(|_| estimate.advance(50, second()));
        let rate = estimate.rate(1.0);
        assert!((42.0..50.0).contains(&rate), "{rate}");
    }

    #[test]
    fn an_idle_connection_falls_but_never_to_zero() {
        let mut estimate = RateEstimate::default();
        (0..600).for_each(|_| estimate.advance(0, second()));
        let rate = estimate.rate(1.0);
        assert!(rate > 0.0 && rate < 0.2, "{rate}");
    }

    #[test]
    fn without_load_in_the_workload_there_is_no_rate() {
        for prior in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(RateEstimate::default().rate(prior).abs() < f64::EPSILON);
        }
    }

    proptest! {
        #[test]
        fn the_rate_lies_between_the_prior_and_what_was_seen(
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

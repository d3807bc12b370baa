//! The figures of the clients in one act. Pure.

use std::ops::Range;
use std::time::Duration;

/// An event of a client. Times are since the act began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A connection was opened.
    Connected,
    /// A request got its whole response.
    Answered(Answer),
    /// A request got no response, an incomplete one or a wrong one.
    Failed(String),
}

/// A response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The pod that answered.
    pub(crate) pod: usize,
    /// When it was complete.
    pub(crate) at: Duration,
    /// The time since the request was due, including a new connection.
    pub(crate) took: Duration,
}

/// The events of all clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    answers: Vec<Answer>,
    failures: Vec<String>,
    connects: u32,
}

impl Tally {
    pub(crate) fn note(&mut self, event: Event) {
        match event {
            Event::Connected => self.connects += 1,
            Event::Answered(answer) => self.answers.push(answer),
            Event::Failed(why) => self.failures.push(why),
        }
    }

    pub(crate) fn requests(&self) -> usize {
        self.answers.len() + self.failures.len()
    }

    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// Returns the number of connections that were opened.
    pub(crate) fn connects(&self) -> u32 {
        self.connects
    }

    /// Returns the requests that each of `pods` answered within `window`.
    pub(crate) fn shares(&self, pods: usize, window: &Range<Duration>) -> Shares {
        let mut counts = vec![0; pods];
        // The live view needs the last second again and again, and responses are almost in order: begin at the end.
        let slack = Duration::from_secs(1);
        let recent = self.answers.iter().rev().take_while(|answer| answer.at + slack >= window.start);
        for answer in recent.filter(|answer| window.contains(&answer.at)) {
            if let Some(count) = counts.get_mut(answer.pod) {
                *count += 1;
            }
        }
        Shares(counts)
    }

    /// Returns the latency that `percent` of all responses do not exceed; zero if there are none.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut times: Vec<Duration> = self.answers.iter().map(|answer| answer.took).collect();
        times.sort_unstable();
        let rank = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(rank).copied().unwrap_or_default()
    }
}

/// Requests by pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shares(pub(crate) Vec<u32>);

impl Shares {
    pub(crate) fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    /// Returns a pod's part of all requests, in percent, rounded.
    pub(crate) fn percent(&self, pod: usize) -> u32 {
        let count = self.0.get(pod).copied().unwrap_or_default();
        (count * 100 + self.total() / 2).checked_div(self.total()).unwrap_or_default()
    }

    /// Returns the busiest pod's requests divided by the mean; 1 is level.
    pub(crate) fn busiest_to_mean(&self) -> f64 {
        self.to_mean(self.0.iter().max())
    }

    /// Returns the requests of the pod with the fewest divided by the mean; 1 is level, 0 is an idle pod.
    pub(crate) fn idlest_to_mean(&self) -> f64 {
        self.to_mean(self.0.iter().min())
    }

    fn to_mean(&self, count: Option<&u32>) -> f64 {
        let pods = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        match (count, self.total()) {
            (None, _) | (_, 0) => 0.0,
            (Some(count), total) => f64::from(*count) * f64::from(pods) / f64::from(total),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn tally(answers: &[(usize, u64, u64)]) -> Tally {
        let mut tally = Tally::default();
        for &(pod, at, took) in answers {
            tally.note(Event::Answered(Answer { pod, at: ms(at), took: ms(took) }));
        }
        tally
    }

    #[test]
    fn shares_count_the_requests_of_the_window() {
        let tally = tally(&[(0, 100, 1), (0, 900, 1), (1, 1_000, 1), (1, 1_100, 1), (0, 1_050, 1), (1, 2_000, 1)]);
        assert_eq!(tally.shares(3, &(ms(0)..ms(1_000))), Shares(vec![2, 0, 0]));
        assert_eq!(tally.shares(3, &(ms(1_000)..ms(2_000))), Shares(vec![1, 2, 0]));
        assert_eq!(tally.shares(1, &(ms(1_000)..ms(2_000))), Shares(vec![1]));
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let tally = tally(&[(0, 0, 30), (0, 0, 10), (0, 0, 20), (0, 0, 40)]);
        assert_eq!((tally.percentile(50), tally.percentile(99), tally.percentile(1)), (ms(20), ms(40), ms(10)));
        assert_eq!(Tally::default().percentile(99), Duration::ZERO);
    }

    #[test]
    fn level_shares_have_a_ratio_of_one() {
        let level = Shares(vec![5, 5, 5, 5]);
        let two_of_four = Shares(vec![10, 10, 0, 0]);
        for (value, is) in [
            (level.busiest_to_mean(), 1.0),
            (level.idlest_to_mean(), 1.0),
            (two_of_four.busiest_to_mean(), 2.0),
            (two_of_four.idlest_to_mean(), 0.0),
            (Shares(vec![0, 0]).busiest_to_mean(), 0.0),
        ] {
            assert!((value - is).abs() < 1e-9, "{value} is not {is}");
        }
        assert_eq!((two_of_four.percent(0), two_of_four.percent(3), Shares(vec![0]).percent(0)), (50, 0, 0));
    }

    #[test]
    fn failed_requests_count_as_requests() {
        let mut tally = tally(&[(0, 0, 1)]);
        tally.note(Event::Connected);
        tally.note(Event::Failed("reset".into()));
        assert_eq!((tally.requests(), tally.connects(), tally.failures().len()), (2, 1, 1));
    }
}

//! The figures of clients.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::client::{Answer, Failure};

/// The figures of a fleet in a period.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// The length of the period.
    pub seconds: f64,
    /// Requests that were answered with 200.
    pub answered: u64,
    /// Requests that failed, by kind of failure.
    pub failed: BTreeMap<&'static str, u64>,
    /// Connections with their first response in the period.
    pub connections: u64,
    /// Responses by pod.
    pub by_pod: BTreeMap<String, u64>,
    /// The median latency, in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile of the latency, in milliseconds.
    pub p99_ms: f64,
    /// The first failures in full, with their times.
    pub examples: Vec<String>,
}

impl Figures {
    /// Returns the figures of requests in a period of this length, each with the time in the period at which it ended.
    pub fn of<'a>(outcomes: impl Iterator<Item = (Duration, &'a Result<Answer, Failure>)>, time: Duration) -> Self {
        const EXAMPLES: usize = 5;
        let mut figures = Self { seconds: time.as_secs_f64(), ..Self::default() };
        let mut latencies = Vec::new();
        for (at, outcome) in outcomes {
            match outcome {
                Ok(answer) => {
                    figures.answered += 1;
                    figures.connections += u64::from(answer.ordinal == 1);
                    *figures.by_pod.entry(answer.pod.to_string()).or_default() += 1;
                    latencies.push(answer.latency);
                }
                Err(failure) => {
                    *figures.failed.entry(failure.kind.label()).or_default() += 1;
                    if figures.examples.len() < EXAMPLES {
                        figures.examples.push(format!("after {:.1} s: {failure}", at.as_secs_f64()));
                    }
                }
            }
        }
        latencies.sort_unstable();
        figures.p50_ms = milliseconds(percentile(&latencies, 50));
        figures.p99_ms = milliseconds(percentile(&latencies, 99));
        figures
    }

    /// Returns the number of all requests that failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Returns the responses of one pod.
    pub fn of_pod(&self, pod: &str) -> u64 {
        self.by_pod.get(pod).copied().unwrap_or(0)
    }

    /// Returns a pod's responses divided by the mean over `pods` pods: 1 is level.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests in minutes, far below 2⁵²")]
    pub fn share(&self, pod: &str, pods: usize) -> f64 {
        if self.answered == 0 { 0.0 } else { self.of_pod(pod) as f64 * pods as f64 / self.answered as f64 }
    }
}

impl fmt::Display for Figures {
    #[expect(clippy::cast_precision_loss, reason = "counts of requests in minutes, far below 2⁵²")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.answered as f64 / self.seconds.max(0.001);
        write!(f, "{} answered ({rate:.0}/s), {} failed", self.answered, self.failures())?;
        for (label, count) in &self.failed {
            write!(f, " [{label}: {count}]")?;
        }
        write!(f, ", {} connections, p50 {:.1} ms, p99 {:.1} ms", self.connections, self.p50_ms, self.p99_ms)?;
        for (pod, count) in &self.by_pod {
            write!(f, "\n    {pod}: {count}")?;
        }
        for example in &self.examples {
            write!(f, "\n    failed: {example}")?;
        }
        Ok(())
    }
}

/// Returns the smallest value that `percent` of the sorted values do not exceed; zero without values.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::FailureKind;

    fn answer(pod: &str, ordinal: u32) -> Answer {
        Answer { pod: pod.into(), connection: 1, ordinal, closes: false, latency: Duration::from_millis(1) }
    }

    #[test]
    fn responses_failures_and_connections_are_counted() {
        let lost = Err(Failure { kind: FailureKind::Answer, detail: "reset".to_owned() });
        let outcomes = [Ok(answer("a", 1)), Ok(answer("a", 2)), Ok(answer("b", 1)), lost, Ok(answer("a", 3))];
        let timed = (1..).map(Duration::from_secs).zip(&outcomes);
        let figures = Figures::of(timed, Duration::from_secs(5));
        assert_eq!((figures.answered, figures.failures(), figures.connections), (4, 1, 2));
        assert_eq!((figures.of_pod("a"), figures.of_pod("b"), figures.of_pod("c")), (3, 1, 0));
        assert!((figures.share("a", 2) - 1.5).abs() < 1e-9);
        assert_eq!(figures.examples, ["after 4.0 s: cut before the answer: reset"]);
    }

    #[test]
    fn percentiles_are_measured_values() {
        let values: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        for (percent, expected) in [(1, 1), (50, 50), (99, 99), (100, 100)] {
            assert_eq!(percentile(&values, percent), Duration::from_millis(expected));
        }
        assert_eq!(percentile(&values[..1], 50), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}

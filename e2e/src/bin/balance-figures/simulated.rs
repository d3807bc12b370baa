//! `evenkeel simulate` with the measured scenario.

use anyhow::Context as _;
use e2e::program;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::mode::Mode;

/// The simulated time before the first event, in seconds.
const BEFORE: f64 = 30.0;

/// A figure of many simulated runs: median and 90th percentile. One is absent if too few runs reached it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: Option<f64>,
    pub(crate) p90: Option<f64>,
}

/// The result of the simulation, from the last event on.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Simulated {
    /// The command that printed it.
    pub(crate) command: String,
    pub(crate) level_after: Spread,
    pub(crate) peak_at_the_end: Spread,
    pub(crate) reconnects: Spread,
    /// The busiest pod against the mean, second by second.
    pub(crate) peak_to_mean: Vec<f64>,
}

/// Returns an event for each number of ready pods after the first, as they were observed. There is no event for 0 pods,
/// as when a starved pod fails its probe: the simulation always has a pod.
pub(crate) fn events(ready: &[(f64, usize)]) -> Vec<String> {
    let first = ready.get(1).map_or(0.0, |(at, _)| *at);
    let event = |(at, pods): &(f64, usize)| {
        let milliseconds = ((at - first + BEFORE) * 1000.0).round();
        ["--event".to_owned(), format!("{milliseconds}ms:scale={pods}")]
    };
    ready.iter().skip(1).filter(|(_, pods)| *pods > 0).flat_map(event).collect()
}

/// Simulates a scenario in this mode.
pub(crate) fn simulate(scenario: &[String], mode: Mode) -> anyhow::Result<Simulated> {
    let arguments: Vec<String> =
        ["simulate".to_owned()].into_iter().chain(scenario.iter().cloned()).chain(mode.arguments()).collect();
    let command = format!("evenkeel {}", arguments.join(" "));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--json"]).collect();
    let document: Value = serde_json::from_str(&program::evenkeel(&arguments)?)?;
    let policy = &document["policies"][mode.place()];
    let course: Vec<f64> = serde_json::from_value(policy["peakToMeanBySecond"].clone()).context("its course")?;
    let last_event = document["lastEventSeconds"].as_f64().context("its last event")?;
    let spread = |name: &str| serde_json::from_value(policy[name].clone()).with_context(|| format!("its {name}"));
    Ok(Simulated {
        command,
        level_after: spread("levelAfterSeconds")?,
        peak_at_the_end: spread("peakToMean")?,
        reconnects: spread("reconnectsPerConnection")?,
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a run, from 0")]
        peak_to_mean: course.into_iter().skip(last_event as usize).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_scale_events_keep_the_times_of_readiness() {
        let ready = [(-20.0, 4), (-2.5, 6), (0.0, 8)];
        assert_eq!(events(&ready), ["--event", "30000ms:scale=6", "--event", "32500ms:scale=8"]);
        assert!(events(&ready[..1]).is_empty(), "no pod was added");
        assert_eq!(events(&[(-9.0, 1), (-1.0, 0), (0.0, 2)]), ["--event", "31000ms:scale=2"]);
    }
}

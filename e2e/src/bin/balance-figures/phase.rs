//! A change of a workload's pods, and its effect on clients.

use std::fmt;
use std::time::Duration;

use e2e::{Event, Figures, Fleet, TestNamespace};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

use crate::course::{answers, course, level_after, mean};
use crate::pods::{self, Readiness};

/// The last seconds of a phase, in which load should be level and connections at rest.
const LAST: usize = 60;

/// The figures of clients around a change. Seconds count from the last readiness.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Phase {
    /// The change.
    pub(crate) what: String,
    /// The number of ready pods since when; the last entry is at 0.
    pub(crate) ready: Vec<(f64, usize)>,
    /// The first second from which the busiest pod had at most 1.2 times the mean, over five seconds.
    pub(crate) level_after: Option<usize>,
    /// The busiest pod against the mean in each five seconds.
    pub(crate) peak_to_mean: Vec<f64>,
    /// The mean of it in the last minute.
    pub(crate) peak_at_the_end: f64,
    /// Connections opened from the change on, for each client.
    pub(crate) reconnects: f64,
    /// Those of them that were opened after the last readiness.
    pub(crate) reconnects_since_ready: f64,
    /// Those of them that were opened in the last minute.
    pub(crate) reconnects_at_the_end: f64,
    /// From the change on.
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    /// After the last readiness.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// A change of the pods.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// A number of pods.
    Scale(u32),
    /// The rollout with this number.
    Rollout(u32),
}

/// Changes the pods, waits until they are ready, and observes the clients for `time`. Returns their figures.
pub(crate) async fn change(
    namespace: &TestNamespace,
    fleet: &Fleet,
    clients: usize,
    what: Change,
    watched: Duration,
) -> anyhow::Result<Phase> {
    change_beside(namespace, fleet, clients, what, watched, None).await
}

/// Does the same, and compares the pods without the one of the name `left_out`.
pub(crate) async fn change_beside(
    namespace: &TestNamespace,
    fleet: &Fleet,
    clients: usize,
    what: Change,
    watched: Duration,
    left_out: Option<&str>,
) -> anyhow::Result<Phase> {
    let before = pods::generation(namespace).await?;
    let from = Instant::now();
    let ready = pods::until_ready(namespace, before);
    let (done, ready) = match what {
        Change::Scale(pods) => tokio::join!(namespace.scale("web", pods), ready),
        Change::Rollout(number) => {
            let reason = number.to_string();
            tokio::join!(namespace.restart("web", &reason), ready)
        }
    };
    done?;
    let ready = ready?;
    let text = match what {
        Change::Scale(pods) => format!("{} → {pods} pods", ready.first().map_or(0, |(_, pods)| *pods)),
        Change::Rollout(number) => format!("rollout {number}"),
    };
    let last = ready.last().map_or(from, |(at, _)| *at);
    sleep_until(last + watched).await;
    let mut names = namespace.pod_names().await?;
    names.retain(|name| Some(name.as_str()) != left_out);
    Ok(Phase::of(text, &fleet.events(), clients, &Pods { from, ready, names, watched }))
}

/// The pods of a phase.
pub(crate) struct Pods {
    /// When the change began.
    pub(crate) from: Instant,
    pub(crate) ready: Readiness,
    /// Those at the end.
    pub(crate) names: Vec<String>,
    /// From the last readiness to the end.
    pub(crate) watched: Duration,
}

impl Phase {
    /// Returns the figures of a phase that has ended.
    pub(crate) fn of(what: String, events: &[Event], clients: usize, pods: &Pods) -> Self {
        let Pods { from, ready, names, watched } = pods;
        let last = ready.last().map_or(*from, |(at, _)| *at);
        let end = last + *watched;
        let within: Vec<Event> = events.iter().filter(|event| (*from..end).contains(&event.at)).cloned().collect();
        let seconds = usize::try_from(watched.as_secs()).unwrap_or(0);
        let peak_to_mean = course(&answers(&within, last), names, seconds);
        let figures = Figures::of(within.iter().map(|event| event.since(*from)), end - *from);
        let ready_events = within.iter().filter(|event| event.at >= last);
        let since_ready = Figures::of(ready_events.map(|event| event.since(last)), *watched);
        let opened_since = |since: Instant| per_client(opened(&within, since), clients);
        Self {
            what,
            ready: ready.iter().map(|(at, pods)| (-(last - *at).as_secs_f64(), *pods)).collect(),
            level_after: level_after(&peak_to_mean),
            peak_at_the_end: mean(peak_to_mean.iter().rev().take(LAST).copied()),
            peak_to_mean,
            reconnects: opened_since(*from),
            reconnects_since_ready: opened_since(last),
            reconnects_at_the_end: opened_since(end - Duration::from_secs(LAST as u64)),
            answered: figures.answered,
            failed: figures.failures(),
            p50_ms: since_ready.p50_ms,
            p99_ms: since_ready.p99_ms,
        }
    }
}

/// Returns how many connections had their first answer from `since` on.
pub(crate) fn opened(events: &[Event], since: Instant) -> usize {
    let later = events.iter().filter(|event| event.at >= since);
    later.filter(|event| event.outcome.as_ref().is_ok_and(|answer| answer.ordinal == 1)).count()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run, far below 2⁵²")]
fn per_client(connections: usize, clients: usize) -> f64 {
    connections as f64 / clients as f64
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, level_after, peak_to_mean, peak_at_the_end, .. } = self;
        let early: Vec<f64> = peak_to_mean.iter().step_by(3).take(10).copied().collect();
        write!(
            f,
            "{what}: ready {:.1?}, level after {level_after:?} s, at the end {peak_at_the_end:.2}; ",
            self.ready
        )?;
        write!(
            f,
            "every 3 s {early:.2?}; {:.2} reconnects, since ready {:.2}, ",
            self.reconnects, self.reconnects_since_ready
        )?;
        write!(
            f,
            "in the last minute {:.3}; {} answered, {} failed, ",
            self.reconnects_at_the_end, self.answered, self.failed
        )?;
        write!(f, "p50 {:.1} ms, p99 {:.1} ms", self.p50_ms, self.p99_ms)
    }
}

//! Scale events, and how long each took to level.

use std::collections::VecDeque;
use std::time::Duration;

use crate::view::WorkloadView;

/// The most events that are kept per workload.
pub(super) const MOST_EVENTS: usize = 64;
/// Pods that settle within this time of each other are one event, as in a rollout or a scale-out of several pods.
const ONE_EVENT: Duration = Duration::from_secs(30);

/// A change of the pods that take traffic: a scale-out, a scale-in, or a rollout.
///
/// ```text
/// pods change ──▶ waiting ── no pod is above the tolerance ──▶ levelled
///                  │  ▲ └── 30 s ── pods change ──▶ another event
///                  └──┘ pods change within 30 s
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleEvent {
    /// When the first of its pods changed.
    pub at: Duration,
    /// When the last of its pods changed.
    pub until: Duration,
    /// The settled pods before.
    pub before: usize,
    /// The settled pods after.
    pub after: usize,
    /// The highest peak-to-mean since then; `None` without load.
    pub peak_to_mean: Option<f64>,
    /// The connections that balancing retired until it was level.
    pub retired: u64,
    /// How it became level; `None` while it has not.
    pub levelled: Option<Levelled>,
}

/// When load was level after a scale event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levelled {
    /// The time since the last of its pods changed.
    pub after: Duration,
    /// The peak-to-mean at that time.
    pub peak_to_mean: f64,
}

/// The scale events of a workload, oldest first.
#[derive(Debug)]
pub(super) struct ScaleEvents {
    events: VecDeque<ScaleEvent>,
    before: Option<Before>,
}

/// The figures of the last view.
#[derive(Clone, Copy, Debug)]
struct Before {
    settled: usize,
    since_change: Duration,
}

impl ScaleEvents {
    pub(super) fn starting() -> Self {
        Self { events: VecDeque::with_capacity(MOST_EVENTS), before: None }
    }

    pub(super) fn record(&mut self, view: &WorkloadView, retired: u64, now: Duration) {
        let (settled, since_change) = (view.summary.settled, view.summary.since_change);
        let before = self.before.replace(Before { settled, since_change });
        // The first view is no event, and neither are the first pods of a workload.
        if let Some(before) = before.filter(|before| before.settled > 0)
            && (before.settled != settled || since_change < before.since_change)
        {
            self.changed(before.settled, settled, now);
        }
        if let Some(event) = self.events.back_mut().filter(|event| event.levelled.is_none()) {
            event.observe(view, retired, now);
        }
    }

    fn changed(&mut self, before: usize, after: usize, now: Duration) {
        if let Some(event) = self.events.back_mut().filter(|event| now.saturating_sub(event.until) <= ONE_EVENT) {
            event.after = after;
            event.until = now;
            event.levelled = None;
            return;
        }
        if self.events.len() == MOST_EVENTS {
            self.events.pop_front();
        }
        let (at, until) = (now, now);
        self.events.push_back(ScaleEvent { at, until, before, after, peak_to_mean: None, retired: 0, levelled: None });
    }

    pub(super) fn within(&self, now: Duration, span: Duration) -> impl Iterator<Item = &ScaleEvent> {
        self.events.iter().filter(move |event| now.saturating_sub(event.at) <= span)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.events.capacity()
    }

    pub(super) fn last(&self) -> Option<&ScaleEvent> {
        self.events.back()
    }
}

impl ScaleEvent {
    fn observe(&mut self, view: &WorkloadView, retired: u64, now: Duration) {
        self.retired = self.retired.saturating_add(retired);
        let Some(peak_to_mean) = view.peak_to_mean() else { return };
        self.peak_to_mean = Some(self.peak_to_mean.map_or(peak_to_mean, |highest| highest.max(peak_to_mean)));
        if view.is_level() == Some(true) {
            self.levelled = Some(Levelled { after: now.saturating_sub(self.until), peak_to_mean });
        }
    }
}

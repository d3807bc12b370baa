//! The last hour of every workload, in memory. Pure: no I/O, no clock.
//!
//! A workload takes [`BYTES_PER_WORKLOAD`], allocated when it is first seen, and at most [`MOST_WORKLOADS`] are
//! remembered: 23 KB each, 24 MB in all. Nothing is stored. A new leader begins without a history.

mod event;
mod ring;

use std::collections::BTreeMap;
use std::time::Duration;

use balancing::Workload;

use crate::view::{View, WorkloadView};
pub use event::{Levelled, ScaleEvent};
use event::{MOST_EVENTS, ScaleEvents};
use ring::Ring;
pub use ring::{POINTS, Point, RESOLUTION};

/// The most workloads with a time line. Further workloads are shown with their present state alone.
pub const MOST_WORKLOADS: usize = 1000;
/// The memory of the points and events of a workload, in bytes.
pub const BYTES_PER_WORKLOAD: usize = POINTS * size_of::<Option<Point>>() + MOST_EVENTS * size_of::<ScaleEvent>();

/// The time lines of all workloads. Times are measured from any point in the past, and never decrease.
#[derive(Debug, Default)]
pub struct History {
    timelines: BTreeMap<Workload, Timeline>,
}

/// The last hour of a workload.
#[derive(Debug)]
pub struct Timeline {
    ring: Ring,
    events: ScaleEvents,
    /// The count of retired connections in the last view.
    retired: u64,
}

impl History {
    /// Records a view at the time `now`. Deletes the history if this replica does not lead: the leader has one.
    pub fn record(&mut self, view: &View, now: Duration) {
        if view.leads {
            self.timelines.retain(|workload, timeline| view.workload(workload).is_some() || timeline.is_recent(now));
            for workload in &view.workloads {
                self.record_workload(workload, now);
            }
        } else {
            self.timelines.clear();
        }
    }

    fn record_workload(&mut self, view: &WorkloadView, now: Duration) {
        let is_room = self.timelines.len() < MOST_WORKLOADS;
        if !self.timelines.contains_key(&view.workload) {
            if !is_room {
                return;
            }
            self.timelines.insert(view.workload.clone(), Timeline::starting(view.retired));
        }
        if let Some(timeline) = self.timelines.get_mut(&view.workload) {
            timeline.record(view, now);
        }
    }

    /// Returns the time line of a workload.
    pub fn timeline(&self, workload: &Workload) -> Option<&Timeline> {
        self.timelines.get(workload)
    }

    /// Returns the memory that all time lines take, in bytes.
    pub fn bytes(&self) -> usize {
        self.timelines.len() * BYTES_PER_WORKLOAD
    }
}

impl Timeline {
    fn starting(retired: u64) -> Self {
        Self { ring: Ring::starting(), events: ScaleEvents::starting(), retired }
    }

    fn record(&mut self, view: &WorkloadView, now: Duration) {
        let before = std::mem::replace(&mut self.retired, view.retired);
        let retired = view.retired.saturating_sub(before);
        self.ring.record(Point::of(view, retired), now);
        self.events.record(view, retired, now);
    }

    /// Returns whether anything was recorded within the last hour. A workload keeps its time line while it is absent
    /// for less.
    fn is_recent(&self, now: Duration) -> bool {
        self.ring.newest_at().is_some_and(|at| now.saturating_sub(at) < ring::SPAN)
    }

    /// Returns the points of the last hour, oldest first, one for each [`RESOLUTION`]; `None` where nothing was
    /// recorded.
    pub fn points(&self, now: Duration) -> impl Iterator<Item = Option<Point>> {
        self.ring.points(now)
    }

    /// Returns the scale events of the last hour, oldest first.
    pub fn events(&self, now: Duration) -> impl Iterator<Item = &ScaleEvent> {
        self.events.within(now, ring::SPAN)
    }

    /// Returns the last scale event, however long ago.
    pub fn last_event(&self) -> Option<&ScaleEvent> {
        self.events.last()
    }
}

#[cfg(test)]
mod tests;

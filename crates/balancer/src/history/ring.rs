//! The points of an hour, in a buffer of fixed size.

use std::collections::VecDeque;
use std::time::Duration;

use crate::view::WorkloadView;

/// The time that the ring spans.
pub(super) const SPAN: Duration = Duration::from_hours(1);
/// The time between two points.
pub const RESOLUTION: Duration = Duration::from_secs(5);
/// The points of an hour.
pub const POINTS: usize = 720;

/// The figures of one interval of [`RESOLUTION`]: the last ones in it, and the sum of `retired`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The load of all pods that report, in requests per second.
    pub load: f32,
    /// The load of the busiest pod divided by the mean; 0 without load.
    pub peak_to_mean: f32,
    /// Client connections.
    pub connections: u32,
    /// Connections that balancing retired in the interval.
    pub retired: u32,
    /// Pods that have settled.
    pub pods: u32,
}

impl Point {
    #[expect(clippy::cast_possible_truncation, reason = "f32 has seven digits, more than a chart shows")]
    pub(super) fn of(view: &WorkloadView, retired: u64) -> Self {
        Self {
            load: view.load() as f32,
            peak_to_mean: view.peak_to_mean().unwrap_or_default() as f32,
            connections: bounded(view.summary.connections),
            retired: bounded(retired),
            pods: u32::try_from(view.summary.settled).unwrap_or(u32::MAX),
        }
    }
}

/// A ring of [`POINTS`], of which the newest belongs to a known interval.
#[derive(Debug)]
pub(super) struct Ring {
    points: VecDeque<Option<Point>>,
    /// The number of the interval of the newest point, counted from the time zero.
    newest: u64,
}

impl Ring {
    pub(super) fn starting() -> Self {
        Self { points: VecDeque::with_capacity(POINTS), newest: 0 }
    }

    pub(super) fn record(&mut self, point: Point, now: Duration) {
        let interval = interval_of(now);
        match self.points.back_mut() {
            Some(newest) if interval <= self.newest => {
                let retired = newest.map_or(0, |newest| newest.retired).saturating_add(point.retired);
                *newest = Some(Point { retired, ..point });
                return;
            }
            Some(_) => {
                // Intervals without a view stay empty.
                let missed = (interval - self.newest - 1).min(POINTS as u64);
                (0..missed).for_each(|_| self.push(None));
            }
            None => {}
        }
        self.push(Some(point));
        self.newest = interval;
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.points.capacity()
    }

    fn push(&mut self, point: Option<Point>) {
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    /// Returns the end of the interval of the newest point.
    pub(super) fn newest_at(&self) -> Option<Duration> {
        let end = RESOLUTION.saturating_mul(u32::try_from(self.newest.saturating_add(1)).unwrap_or(u32::MAX));
        (!self.points.is_empty()).then_some(end)
    }

    /// Returns the points of the hour up to `now`, oldest first, up to the interval that `now` is in.
    pub(super) fn points(&self, now: Duration) -> impl Iterator<Item = Option<Point>> {
        let since = usize::try_from(interval_of(now).saturating_sub(self.newest)).unwrap_or(POINTS).min(POINTS);
        let too_old = (self.points.len() + since).saturating_sub(POINTS);
        self.points.iter().skip(too_old).copied().chain(std::iter::repeat_n(None, since))
    }
}

fn interval_of(now: Duration) -> u64 {
    now.as_secs() / RESOLUTION.as_secs()
}

fn bounded(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

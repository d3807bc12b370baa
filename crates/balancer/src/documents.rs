//! The JSON of `/workloads` and of one workload: public interface, to which members may be added.

use std::time::Duration;

use serde::Serialize;

use crate::history::{History, Point, RESOLUTION, ScaleEvent, Timeline};
use crate::view::{PodView, View, WorkloadView};

/// The response of `/workloads`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List<'a> {
    leads: bool,
    unknown_pods: usize,
    history_bytes: usize,
    workloads: Vec<Present<'a>>,
}

/// The response of `/workloads/NAMESPACE/KIND/NAME`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hour<'a> {
    leads: bool,
    /// Absent if the workload is gone.
    #[serde(flatten)]
    workload: Option<Present<'a>>,
    /// Seconds from one point to the next.
    resolution_seconds: u64,
    /// Seconds of the last point that have passed.
    seconds_into_point: u64,
    points: Points,
    scale_events: Vec<Event>,
}

/// Whether the response includes the pods of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pods {
    Shown,
    Hidden,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Present<'a> {
    workload: &'a str,
    /// `instructed`, or why not.
    state: &'static str,
    settled_pods: usize,
    reporting_pods: usize,
    /// In requests per second, as all rates.
    requests_per_second: f64,
    mean: f64,
    highest: f64,
    peak_to_mean: Option<f64>,
    tolerance: f64,
    level: Option<bool>,
    connection_rate: f64,
    connections: u64,
    marked: u64,
    seconds_since_change: u64,
    interval_seconds: f64,
    last_scale_event: Option<Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pods: Option<Vec<Pod<'a>>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pod<'a> {
    name: &'a str,
    settled: bool,
    reporting: bool,
    requests_per_second: f64,
    share: Option<f64>,
    connections: u32,
    marked: u32,
    retired: u64,
    state: &'static str,
}

/// One list for each figure, oldest first; `null` where nothing was recorded.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Points {
    requests_per_second: Vec<Option<f32>>,
    peak_to_mean: Vec<Option<f32>>,
    connections: Vec<Option<u32>>,
    retired: Vec<Option<u32>>,
    pods: Vec<Option<u32>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    /// Since the first of its pods changed.
    seconds_ago: u64,
    /// From the first change to the last.
    lasted_seconds: u64,
    before: usize,
    after: usize,
    peak_to_mean: Option<f64>,
    retired: u64,
    level: Option<Level>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Level {
    after_seconds: u64,
    peak_to_mean: f64,
}

impl<'a> List<'a> {
    pub(crate) fn of(view: &'a View, pods: Pods, history: &History, now: Duration) -> Self {
        let of_workload = |view| Present::of(view, pods, history, now);
        Self {
            leads: view.leads,
            unknown_pods: view.unknown_pods,
            history_bytes: history.bytes(),
            workloads: view.workloads.iter().map(of_workload).collect(),
        }
    }
}

impl<'a> Hour<'a> {
    /// Returns the hour of a workload; `None` if neither the view nor the history has it.
    pub(crate) fn of(view: &'a View, workload: &balancing::Workload, history: &History, now: Duration) -> Option<Self> {
        let (present, past) = (view.workload(workload), history.timeline(workload));
        (present.is_some() || past.is_some()).then(|| Self {
            leads: view.leads,
            workload: present.map(|view| Present::of(view, Pods::Shown, history, now)),
            resolution_seconds: RESOLUTION.as_secs(),
            seconds_into_point: now.as_secs() % RESOLUTION.as_secs(),
            points: Points::of(&past.map(|past| past.points(now).collect::<Vec<_>>()).unwrap_or_default()),
            scale_events: past.map(|past| events(past, now)).unwrap_or_default(),
        })
    }
}

fn events(timeline: &Timeline, now: Duration) -> Vec<Event> {
    timeline.events(now).map(|event| Event::of(event, now)).collect()
}

impl<'a> Present<'a> {
    fn of(view: &'a WorkloadView, pods: Pods, history: &History, now: Duration) -> Self {
        let summary = &view.summary;
        let last = history.timeline(&view.workload).and_then(Timeline::last_event);
        let of_pod = |pod| Pod::of(pod, summary.mean);
        Self {
            workload: view.workload.as_str(),
            state: summary.withheld.map_or("instructed", |withheld| withheld.label()),
            settled_pods: summary.settled,
            reporting_pods: summary.reporting,
            requests_per_second: view.load(),
            mean: summary.mean,
            highest: summary.highest,
            peak_to_mean: view.peak_to_mean(),
            tolerance: view.tolerance(),
            level: view.is_level(),
            connection_rate: summary.connection_rate,
            connections: summary.connections,
            marked: summary.marked,
            seconds_since_change: summary.since_change.as_secs(),
            interval_seconds: summary.interval.get().as_secs_f64(),
            last_scale_event: last.map(|event| Event::of(event, now)),
            pods: (pods == Pods::Shown).then(|| view.pods.iter().map(of_pod).collect()),
        }
    }
}

impl<'a> Pod<'a> {
    fn of(view: &'a PodView, mean: f64) -> Self {
        Self {
            name: &view.name,
            settled: view.is_settled,
            reporting: view.is_reporting,
            requests_per_second: view.load,
            share: view.share(mean),
            connections: view.connections,
            marked: view.marked,
            retired: view.retired,
            state: view.state.label(),
        }
    }
}

impl Points {
    fn of(points: &[Option<Point>]) -> Self {
        fn each<T>(points: &[Option<Point>], part: impl Fn(Point) -> T) -> Vec<Option<T>> {
            points.iter().map(|point| point.map(&part)).collect()
        }
        let peak = |point: &Option<Point>| point.map(|point| point.peak_to_mean).filter(|peak| *peak > 0.0);
        Self {
            requests_per_second: each(points, |point| point.load),
            peak_to_mean: points.iter().map(peak).collect(),
            connections: each(points, |point| point.connections),
            retired: each(points, |point| point.retired),
            pods: each(points, |point| point.pods),
        }
    }
}

impl Event {
    fn of(event: &ScaleEvent, now: Duration) -> Self {
        let level = |level: crate::history::Levelled| Level {
            after_seconds: level.after.as_secs(),
            peak_to_mean: level.peak_to_mean,
        };
        Self {
            seconds_ago: now.saturating_sub(event.at).as_secs(),
            lasted_seconds: event.until.saturating_sub(event.at).as_secs(),
            before: event.before,
            after: event.after,
            peak_to_mean: event.peak_to_mean,
            retired: event.retired,
            level: event.levelled.map(level),
        }
    }
}

use std::sync::Arc;

use balancing::{BalanceState, Interval};

use super::*;
use crate::planning::Summary;
use crate::view::PodView;

const START: Duration = Duration::from_secs(1000);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns a workload whose pods have these loads.
fn workload(name: &str, loads: &[f64], since_change: Duration) -> WorkloadView {
    let pods = loads.iter().enumerate().map(|(place, load)| PodView {
        uid: format!("{place:03}").into(),
        name: Arc::from(format!("web-{place}")),
        is_settled: true,
        is_reporting: true,
        load: *load,
        connections: 10,
        marked: 0,
        retired: 0,
        state: BalanceState::InForce,
    });
    let mean = loads.iter().sum::<f64>() / f64::from(u32::try_from(loads.len()).unwrap());
    WorkloadView {
        workload: name.parse().unwrap(),
        summary: Summary {
            settled: loads.len(),
            reporting: loads.len(),
            mean,
            highest: loads.iter().copied().fold(0.0, f64::max),
            connection_rate: 1.0,
            connections: 10 * loads.len() as u64,
            marked: 0,
            since_change,
            interval: Interval::WHILE_LEVELLING,
            withheld: None,
        },
        retired: 0,
        pods: pods.collect(),
    }
}

fn web(loads: &[f64], since_change: Duration) -> WorkloadView {
    workload("shop/Deployment/web", loads, since_change)
}

fn view(workloads: Vec<WorkloadView>) -> View {
    View { leads: true, unknown_pods: 0, workloads }
}

fn timeline(history: &History) -> &Timeline {
    history.timeline(&"shop/Deployment/web".parse().unwrap()).unwrap()
}

#[test]
fn a_point_has_the_last_load_of_five_seconds_and_the_sum_of_retirements() {
    let mut history = History::default();
    let mut retired = 0;
    for second in 0..10u32 {
        let mut web = web(&[f64::from(second), 0.0], seconds(60));
        retired += 2;
        web.retired = retired;
        history.record(&view(vec![web]), START + seconds(second.into()));
    }
    let points: Vec<Point> = timeline(&history).points(START + seconds(9)).map(Option::unwrap).collect();
    assert_eq!(points.iter().map(|point| point.load).collect::<Vec<_>>(), [4.0, 9.0]);
    // What the first view says may be of a time before.
    assert_eq!(points.iter().map(|point| point.retired).collect::<Vec<_>>(), [8, 10]);
    assert_eq!(points.iter().map(|point| point.peak_to_mean).collect::<Vec<_>>(), [2.0, 2.0]);
}

#[test]
fn history_is_kept_for_one_hour() {
    let mut history = History::default();
    for second in (0..7200u32).step_by(5) {
        history.record(&view(vec![web(&[f64::from(second)], seconds(60))]), START + seconds(second.into()));
    }
    let now = START + seconds(7195);
    let points: Vec<_> = timeline(&history).points(now).collect();
    assert_eq!(points.len(), POINTS);
    assert_eq!((points[0].unwrap().load, points[POINTS - 1].unwrap().load), (3600.0, 7195.0));
    let half_an_hour_later: Vec<_> = timeline(&history).points(now + seconds(1800)).collect();
    assert_eq!(half_an_hour_later.len(), POINTS);
    assert_eq!((half_an_hour_later[0].unwrap().load, half_an_hour_later[POINTS - 1]), (5400.0, None));
    assert!(timeline(&history).points(now + seconds(86_400)).all(|point| point.is_none()));
    assert!(timeline(&history).ring.capacity() <= POINTS, "it grows");
    assert_eq!(history.bytes(), BYTES_PER_WORKLOAD);
}

#[test]
fn intervals_without_a_sample_stay_empty() {
    let mut history = History::default();
    history.record(&view(vec![web(&[1.0], seconds(60))]), START);
    history.record(&view(vec![web(&[2.0], seconds(60))]), START + seconds(20));
    let loads: Vec<_> =
        timeline(&history).points(START + seconds(20)).map(|point| point.map(|point| point.load)).collect();
    assert_eq!(loads, [Some(1.0), None, None, None, Some(2.0)]);
}

#[test]
fn a_scale_out_is_recorded_until_load_is_level() {
    let mut history = History::default();
    history.record(&view(vec![web(&[10.0, 10.0], seconds(300))]), START);
    assert_eq!(timeline(&history).last_event(), None, "the first pods are an event");
    let later = |second| START + seconds(second);
    history.record(&view(vec![web(&[10.0, 10.0, 0.0], seconds(0))]), later(1));
    // A second pod settles two seconds later.
    history.record(&view(vec![web(&[10.0, 10.0, 0.0, 0.0], seconds(0))]), later(3));
    let mut moving = web(&[8.0, 7.0, 3.0, 2.0], seconds(5));
    moving.retired = 4;
    history.record(&view(vec![moving.clone()]), later(8));
    let event = timeline(&history).last_event().unwrap().clone();
    assert_eq!((event.before, event.after, event.retired, event.levelled), (2, 4, 4, None));
    assert_eq!((event.at, event.until, event.peak_to_mean), (later(1), later(3), Some(2.0)));

    let mut level = web(&[5.5, 5.0, 5.0, 4.5], seconds(9));
    level.retired = 6;
    history.record(&view(vec![level]), later(12));
    let event = timeline(&history).last_event().unwrap();
    assert_eq!(event.levelled, Some(Levelled { after: seconds(9), peak_to_mean: 1.1 }));
    assert_eq!(event.retired, 6);
    history.record(&view(vec![web(&[30.0, 5.0, 5.0, 4.5], seconds(59))]), later(62));
    assert_eq!(
        timeline(&history).last_event().unwrap().levelled.unwrap().after,
        seconds(9),
        "it does not stay levelled"
    );

    history.record(&view(vec![web(&[10.0, 10.0], seconds(0))]), later(120));
    let events: Vec<_> = timeline(&history).events(later(120)).map(|event| (event.before, event.after)).collect();
    assert_eq!(events, [(2, 4), (4, 2)]);
    assert_eq!(timeline(&history).events(later(3700)).count(), 1);
}

#[test]
fn the_first_pods_are_not_recorded_as_a_scale_event() {
    let mut history = History::default();
    let mut none = web(&[10.0], seconds(0));
    none.summary.settled = 0;
    history.record(&view(vec![none]), START);
    history.record(&view(vec![web(&[10.0, 10.0], seconds(0))]), START + seconds(1));
    assert_eq!(timeline(&history).last_event(), None);
}

#[test]
fn replaced_pods_are_recorded_as_a_scale_event() {
    let mut history = History::default();
    history.record(&view(vec![web(&[10.0, 10.0], seconds(300))]), START);
    history.record(&view(vec![web(&[20.0, 0.0], seconds(1))]), START + seconds(1));
    let event = timeline(&history).last_event().unwrap();
    assert_eq!((event.before, event.after, event.peak_to_mean), (2, 2, Some(2.0)));
}

#[test]
fn a_scale_event_without_load_is_neither_level_nor_uneven() {
    let mut history = History::default();
    history.record(&view(vec![web(&[0.0], seconds(300))]), START);
    history.record(&view(vec![web(&[0.0, 0.0], seconds(0))]), START + seconds(1));
    let event = timeline(&history).last_event().unwrap();
    assert_eq!((event.levelled, event.peak_to_mean), (None, None));
}

#[test]
fn the_number_of_scale_events_is_bounded() {
    let mut history = History::default();
    for change in 0..200u64 {
        let loads = [1.0, 1.0];
        let loads = if change % 2 == 0 { &loads[..1] } else { &loads[..] };
        history.record(&view(vec![web(loads, seconds(0))]), START + seconds(change * 31));
    }
    assert_eq!(timeline(&history).events.len(), MOST_EVENTS);
    assert!(timeline(&history).events.capacity() <= MOST_EVENTS);
}

#[test]
fn the_number_of_workloads_with_history_is_bounded() {
    let mut history = History::default();
    let names: Vec<String> = (0..MOST_WORKLOADS + 10).map(|place| format!("shop/Deployment/web-{place:05}")).collect();
    let all: Vec<WorkloadView> = names.iter().map(|name| workload(name, &[1.0], seconds(60))).collect();
    history.record(&view(all.clone()), START);
    history.record(&view(all), START + seconds(1));
    assert_eq!(history.bytes(), MOST_WORKLOADS * BYTES_PER_WORKLOAD);
    assert!(history.bytes() < 24_000_000, "{}", history.bytes());
    // An hour after their end they make room for others.
    history.record(&view(Vec::new()), START + seconds(1800));
    assert_eq!(history.timelines.len(), MOST_WORKLOADS);
    history.record(&view(Vec::new()), START + seconds(3700));
    assert_eq!(history.timelines.len(), 0);
}

#[test]
fn a_replica_that_does_not_lead_keeps_no_history() {
    let mut history = History::default();
    history.record(&view(vec![web(&[1.0], seconds(60))]), START);
    history.record(&View::default(), START + seconds(1));
    assert_eq!(history.bytes(), 0);
    let mut after = web(&[1.0], seconds(60));
    after.retired = 1000;
    history.record(&view(vec![after]), START + seconds(2));
    assert_eq!(timeline(&history).points(START + seconds(2)).last().unwrap().unwrap().retired, 0);
}

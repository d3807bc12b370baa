//! What the model says of scenarios whose outcome is known.

use std::time::Duration;

use retirement::RetireReason;
use settings::{Jitter, MaxRequests};
use simulation::{Change, Event, Figures, Policy, Protocol, Run, Scenario, simulate};

const BALANCE: Policy = Policy { balance: true, ..Policy::NOTHING };

fn limit(max_requests: u32) -> Policy {
    Policy { max_requests: MaxRequests::new(max_requests), ..Policy::NOTHING }
}

fn scenario(clients: usize, rate: f64, pods: usize, events: Vec<Event>) -> Scenario {
    Scenario {
        clients,
        pool: 1,
        protocol: Protocol::Http1,
        rate,
        sigma: 0.0,
        pods,
        capacity: None,
        events,
        duration: Duration::from_mins(2),
    }
}

fn at(seconds: u64, change: Change) -> Event {
    Event { at: Duration::from_secs(seconds), change }
}

fn retired(run: &Run, reason: RetireReason) -> u64 {
    let place = RetireReason::ALL.iter().position(|known| *known == reason).unwrap();
    run.seconds.iter().map(|second| u64::from(second.retired[place])).sum()
}

fn last(run: &Run) -> f64 {
    run.seconds.last().unwrap().peak_to_mean
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_does_not() {
    let scenario = scenario(40, 2.0, 2, vec![at(10, Change::Scale(4))]);
    assert_eq!(simulate(&scenario, BALANCE, 7), simulate(&scenario, BALANCE, 7));
    assert_ne!(simulate(&scenario, BALANCE, 7), simulate(&scenario, BALANCE, 8));
}

#[test]
fn without_recycling_a_new_pod_gets_no_load() {
    let run = simulate(&scenario(200, 2.0, 2, vec![at(10, Change::Scale(4))]), Policy::NOTHING, 1);
    assert_eq!(run.seconds.iter().map(simulation::Second::reconnects).sum::<u32>(), 0);
    assert!(last(&run) >= 2.0, "two of four pods serve everything: {}", last(&run));
}

#[test]
fn a_limit_without_jitter_is_exact() {
    let scenario = scenario(20, 5.0, 3, Vec::new());
    let run = simulate(&scenario, limit(10), 3);
    let requests: u64 = run.seconds.iter().map(|second| second.requests).sum();
    let retired = retired(&run, RetireReason::MaxRequests);
    // Each of the twenty connections that are open at the end has carried fewer than ten.
    assert!(retired * 10 <= requests && requests < retired * 10 + 20 * 10, "{retired} of {requests}");
}

#[test]
fn balancing_levels_load_after_a_scale_out_and_then_rests() {
    let scenario = scenario(400, 2.0, 4, vec![at(30, Change::Scale(8))]);
    let figures = Figures::of(&Scenario { duration: Duration::from_secs(150), ..scenario }, BALANCE, 1, 5);
    assert!(figures.level_after.median <= 15.0, "{figures:?}");
    assert!(figures.reconnects.median <= 1.2, "{figures:?}");
    assert!(figures.at_rest.median <= 0.02, "{figures:?}");
}

#[test]
fn a_single_pod_does_not_balance() {
    let run = simulate(&scenario(50, 5.0, 1, Vec::new()), BALANCE, 1);
    assert_eq!(retired(&run, RetireReason::Balance), 0);
}

#[test]
fn clients_without_requests_are_not_retired() {
    let run = simulate(&scenario(50, 0.000_01, 4, vec![at(10, Change::Scale(8))]), BALANCE, 1);
    assert_eq!(run.seconds.iter().map(simulation::Second::reconnects).sum::<u32>(), 0);
}

#[test]
fn a_terminating_pod_drains_all_its_connections() {
    for policy in [Policy::NOTHING, BALANCE, limit(1000)] {
        let run = simulate(&scenario(100, 10.0, 4, vec![at(10, Change::Scale(2))]), policy, 5);
        let drained = retired(&run, RetireReason::Drain);
        assert!((30..=70).contains(&drained), "{policy}: {drained}");
        assert_eq!(run.seconds.last().unwrap().pods, 2);
    }
}

#[test]
fn a_rollout_replaces_every_pod_and_is_level_again() {
    let run = simulate(&scenario(400, 5.0, 4, vec![at(10, Change::Rollout)]), BALANCE, 5);
    assert!(retired(&run, RetireReason::Drain) >= 400, "each connection has to move");
    assert_eq!(run.seconds.last().unwrap().pods, 4);
    assert!(last(&run) <= 1.3, "{}", last(&run));
}

#[test]
fn a_pod_at_its_capacity_serves_no_more() {
    let scenario = Scenario { capacity: Some(20.0), ..scenario(40, 10.0, 1, Vec::new()) };
    let run = simulate(&scenario, Policy::NOTHING, 1);
    let requests: u64 = run.seconds.iter().map(|second| second.requests).sum();
    assert!((2_200..2_600).contains(&requests), "{requests} in 120 s");
}

#[test]
fn a_client_of_http2_has_one_connection() {
    let http2 = Scenario { protocol: Protocol::Http2, pool: 8, ..scenario(10, 8.0, 2, Vec::new()) };
    assert_eq!(http2.connections(), 10);
    assert_eq!(Scenario { protocol: Protocol::Http1, ..http2 }.connections(), 80);
}

#[test]
fn every_impossible_number_is_reported() {
    let bad = Scenario {
        clients: 0,
        pool: 0,
        rate: f64::NAN,
        sigma: -1.0,
        pods: 0,
        capacity: Some(0.0),
        events: vec![at(500, Change::Rollout), at(1, Change::Scale(0)), at(1, Change::Rate(f64::INFINITY))],
        duration: Duration::from_millis(10),
        protocol: Protocol::Http1,
    };
    assert_eq!(bad.faults().len(), 10, "{:#?}", bad.faults());
    assert!(scenario(1, 1.0, 1, Vec::new()).faults().is_empty());
}

#[test]
fn jitter_requires_a_limit() {
    let jitter: Jitter = "50%".parse().unwrap();
    let run = simulate(&scenario(20, 5.0, 2, Vec::new()), Policy { jitter, ..Policy::NOTHING }, 1);
    assert_eq!(retired(&run, RetireReason::MaxRequests), 0);
}

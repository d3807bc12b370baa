//! How much passes through the proxies, and how evenly.

use settings::{Annotation, MaxRequests, ProxyOption};

use super::super::finding::{Finding, FindingId};
use super::super::workload::Workload;
use super::{LivePod, Reading, rounded};

const REQUESTS: &str = "evenkeel_proxy_requests_total";
const OPEN: &str = "evenkeel_proxy_connections_open";
const RETIRED: &str = "evenkeel_proxy_connections_retired_total";
const BALANCE_STATE: &str = "evenkeel_proxy_balance_state";
/// Fewer requests than these say nothing about shares.
const ENOUGH_REQUESTS: f64 = 100.0;
/// Of fewer requests per second and pod no rate of a connection can be told; and earlier proxies count probes, too.
const ENOUGH_PER_POD: f64 = 2.0;
/// A load of the busiest pod against the mean that random landing alone seldom makes.
const UNEVEN: f64 = 1.5;
/// A limit is for connections to be retired every so many seconds.
const GOAL_SECONDS: f64 = 30.0;
/// A limit that takes so many seconds to reach has no effect while an autoscaler waits for one.
const LONG_SECONDS: f64 = 600.0;

/// Returns what there is to say about requests and connections.
pub(super) fn traffic(workload: &Workload, pods: &[LivePod], peak_to_mean: Option<f64>) -> Vec<Finding> {
    let found = [measured(pods, peak_to_mean), limit(workload, pods), uneven(peak_to_mean)];
    found.into_iter().flatten().collect()
}

/// Returns the rate of the busiest pod divided by the mean; `None` for one pod, and where too little was counted.
pub(super) fn peak_to_mean(pods: &[LivePod]) -> Option<f64> {
    let ready: Vec<f64> =
        readings(pods).filter(|(pod, _)| pod.ready).map(|(_, it)| it.grown_by_clients(REQUESTS)).collect();
    let sum: f64 = ready.iter().sum();
    let mean = sum / f64::from(u32::try_from(ready.len()).ok()?);
    (ready.len() > 1 && sum >= ENOUGH_REQUESTS).then(|| ready.iter().copied().fold(0.0, f64::max) / mean)
}

fn readings(pods: &[LivePod]) -> impl Iterator<Item = (&LivePod, &Reading)> {
    pods.iter().filter_map(|pod| Some((pod, pod.reading()?)))
}

fn rate(pods: &[LivePod], name: &str, labels: &[(&str, &str)]) -> f64 {
    readings(pods).map(|(_, reading)| reading.grown(name, labels) / reading.seconds).sum()
}

/// Requests of clients per second.
fn requests(pods: &[LivePod]) -> f64 {
    readings(pods).map(|(_, reading)| reading.grown_by_clients(REQUESTS) / reading.seconds).sum()
}

fn open(pods: &[LivePod]) -> f64 {
    readings(pods).map(|(_, reading)| reading.after.sum(OPEN, &[])).sum()
}

fn measured(pods: &[LivePod], peak_to_mean: Option<f64>) -> Option<Finding> {
    let (_, first) = readings(pods).next()?;
    let peak = peak_to_mean.map_or(String::new(), |peak| format!(", peak-to-mean {peak:.2}"));
    Some(FindingId::Measured.says(format!(
        "{} requests/s on {} connections, {} retired/s{peak} (in {} s)",
        rounded(requests(pods)),
        rounded(open(pods)),
        rounded(rate(pods, RETIRED, &[])),
        rounded(first.seconds)
    )))
}

fn limit(workload: &Workload, pods: &[LivePod]) -> Option<Finding> {
    let limit: MaxRequests = workload.setting(ProxyOption::MaxRequests)?.parse().ok()?;
    let ages = workload.setting(ProxyOption::MaxAge).is_some_and(|age| age != "off");
    let is_balanced = readings(pods).any(|(_, it)| it.after.current(BALANCE_STATE, "state") == Some("in_force"));
    let (requests, connections) = (requests(pods), open(pods));
    let pods_read = f64::from(u32::try_from(readings(pods).count()).ok()?);
    let retires = rate(pods, RETIRED, &[("reason", "max_requests")]) > 0.0;
    if ages || is_balanced || retires || connections < 1.0 || requests < ENOUGH_PER_POD * pods_read {
        return None;
    }
    let of_one = requests / connections;
    let seconds = f64::from(limit.get()) / of_one;
    (seconds > LONG_SECONDS).then(|| {
        let better = (of_one * GOAL_SECONDS).round().max(1.0);
        let key = Annotation::MaxRequests;
        FindingId::LimitNotReached
            .says(format!(
                "max-requests {} at {} requests/s per connection is reached after {}",
                limit.get(),
                rounded(of_one),
                span(seconds)
            ))
            .fix(format!("for a retirement about every {GOAL_SECONDS:.0} s: {key}={better:.0}"))
            .command(format!(
                "kubectl annotate {} {} --overwrite {key}={better:.0}",
                workload.name,
                workload.in_namespace()
            ))
    })
}

fn span(seconds: f64) -> String {
    let (minutes, hours) = (seconds / 60.0, seconds / 3600.0);
    if hours >= 1.0 { format!("{} h", rounded(hours)) } else { format!("{} min", rounded(minutes)) }
}

fn uneven(peak_to_mean: Option<f64>) -> Option<Finding> {
    peak_to_mean.filter(|peak| *peak > UNEVEN).map(|peak| {
        FindingId::LoadUneven.says(format!("the busiest pod has {peak:.2} times the mean load")).fix(
            "few connections, a limit that is not reached, or session affinity; after a scale event it takes a while",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{ids, pod, with};
    use super::*;

    /// Pods with these requests/s on four connections each.
    fn pods(rates: &[u32]) -> Vec<LivePod> {
        let text =
            |requests: u32| format!("evenkeel_proxy_requests_total {requests}\nevenkeel_proxy_connections_open 4\n");
        rates.iter().map(|rate| pod("a", &text(7), &text(7 + rate * 10))).collect()
    }

    fn found(limit: &str, pods: &[LivePod]) -> Vec<FindingId> {
        ids(&traffic(&with(Annotation::MaxRequests, limit), pods, peak_to_mean(pods)))
    }

    #[test]
    fn a_limit_that_takes_hours_to_reach_has_a_finding() {
        assert_eq!(found("100000", &pods(&[20, 20])), [FindingId::LimitNotReached]);
        assert_eq!(found("1000", &pods(&[20, 20])), []);
        assert_eq!(found("100000", &pods(&[1, 1])), [], "probes alone");
        let findings = traffic(&with(Annotation::MaxRequests, "100000"), &pods(&[20, 20]), None);
        let said = findings.iter().find(|finding| finding.id == FindingId::LimitNotReached).unwrap();
        assert!(said.message.ends_with("at 5 requests/s per connection is reached after 5.6 h"), "{}", said.message);
        assert!(said.command.as_ref().unwrap().ends_with("evenkeel.dev/max-requests=150"));
    }

    #[test]
    fn a_limit_that_is_reached_or_not_needed_has_no_finding() {
        let mut retiring = pods(&[20]);
        let reading = retiring[0].proxy.as_mut().unwrap().reading.as_mut().unwrap();
        let more = "evenkeel_proxy_requests_total 207\nevenkeel_proxy_connections_open 4\n\
                    evenkeel_proxy_connections_retired_total{reason=\"max_requests\"} 1\n";
        reading.after = crate::pod_metrics::Metrics::parse(more).unwrap();
        assert_eq!(found("100000", &retiring), []);
    }

    #[test]
    fn requests_of_probes_do_not_count_as_those_of_clients() {
        let text = |probes: u32| {
            format!(
                "evenkeel_proxy_requests_total{{source=\"probe\"}} {probes}\n\
                 evenkeel_proxy_requests_total{{source=\"client\"}} 7\nevenkeel_proxy_connections_open 4\n"
            )
        };
        let probed = [pod("a", &text(0), &text(1000)), pod("b", &text(0), &text(0))];
        assert_eq!(found("100000", &probed), []);
        assert!(measured(&probed, None).unwrap().message.starts_with("0 requests/s on 8 connections"));
    }

    #[test]
    fn an_uneven_load_has_a_finding() {
        assert_eq!(found("10", &pods(&[20, 22, 18])), []);
        assert_eq!(found("10", &pods(&[60, 0, 0])), [FindingId::LoadUneven]);
        assert_eq!(found("10", &pods(&[60])), [], "of one pod there is no share");
        assert_eq!(peak_to_mean(&pods(&[1, 0])), None, "too little to say");
        assert!((peak_to_mean(&pods(&[30, 10])).unwrap() - 1.5).abs() < 1e-9);
    }
}

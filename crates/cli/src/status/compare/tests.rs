use super::super::balancer::known;
use super::super::table::{Width, text};
use super::*;

const AFTER: Duration = Duration::from_secs(10);

fn owner() -> Owner {
    Owner { namespace: "shop".to_owned(), kind: "Deployment".to_owned(), name: "web".to_owned() }
}

fn facts(name: &str, is_balanced: bool) -> Facts {
    let (owner, name) = (owner(), name.to_owned());
    Facts { owner, name, ready: (2, 2), has_proxy: true, is_balanced, is_terminating: false }
}

/// Returns the metrics of a proxy that has served and retired so much since it started at `start`.
fn metrics(start: u32, requests: u32, retired: u32) -> Metrics {
    let text = format!(
        "process_start_time_seconds {start}
evenkeel_proxy_build_info{{version=\"0.1.0\"}} 1
evenkeel_proxy_connections_open{{port=\"8080\"}} 5
evenkeel_proxy_requests_total{{protocol=\"http1\",source=\"client\",port=\"8080\"}} {requests}
evenkeel_proxy_connections_retired_total{{reason=\"max_requests\"}} {retired}
evenkeel_proxy_connections_retired_total{{reason=\"drain\"}} 0
evenkeel_proxy_balance_state{{state=\"in_force\"}} 0
evenkeel_proxy_balance_state{{state=\"no_instruction\"}} 1
"
    );
    Metrics::parse(&text).unwrap()
}

fn reading(pods: &[(&str, Result<Metrics, String>)], is_balanced: bool) -> Reading {
    Reading {
        pods: pods.iter().map(|(name, _)| facts(name, is_balanced)).collect(),
        metrics: pods
            .iter()
            .map(|(name, metrics)| (("shop".to_owned(), (*name).to_owned()), metrics.clone()))
            .collect(),
        ..Reading::default()
    }
}

#[test]
fn rates_are_differences_of_two_readings() {
    let before = reading(&[("web-a", Ok(metrics(1, 1000, 10))), ("web-b", Ok(metrics(1, 500, 5)))], false);
    let after = reading(&[("web-a", Ok(metrics(1, 1300, 14))), ("web-b", Ok(metrics(1, 600, 5)))], false);
    let expected = "\
deployment/web in namespace shop: load is level, peak/mean 1.50, 40.0 requests/s
  balancing   off: connections are retired at a threshold alone (evenkeel.dev/balance)
  measured    from the pods' proxies in 10.0 s, without probes and scrapes
POD    READY  REQ/S  OF MEAN  CONNS  RETIRED/S          BALANCING       MARKED  VERSION  NOTE
web-a  2/2     30.0    150 %      5  0.40 max_requests  no_instruction  0       0.1.0
web-b  2/2     10.0     50 %      5  0                  no_instruction  0       0.1.0
";
    let status = compare(&before, &after, AFTER);
    assert_eq!(text(&status, Width::Wide), expected);
    assert!(status.has_figures());
}

#[test]
fn a_pod_without_figures_shows_the_reason() {
    let refused = || Err("its metrics may not be read".to_owned());
    let before = reading(&[("web-a", Ok(metrics(1, 10, 0))), ("web-d", refused())], true);
    let mut after = reading(
        &[("web-a", Ok(metrics(5, 3, 0))), ("web-b", Ok(metrics(1, 1, 0))), ("web-c", refused()), ("web-d", refused())],
        true,
    );
    after.pods[2].has_proxy = false;
    after.pods[3].is_terminating = true;
    let status = compare(&before, &after, AFTER);
    let notes: Vec<&str> = status.workloads[0].pods.iter().map(|pod| pod.note.as_deref().unwrap_or_default()).collect();
    assert_eq!(
        notes,
        [
            "the proxy restarted: no rate yet",
            "new: no rate yet",
            "no proxy",
            "terminating, its metrics may not be read"
        ]
    );
    assert!(!status.has_figures());
    let text = text(&status, Width::Narrow);
    assert!(text.starts_with("deployment/web in namespace shop: no figures; 1 of 4 pods have no proxy\n"), "{text}");
    assert!(text.contains("not in force (no_instruction): no instruction has come"), "{text}");
}

/// As the balancer answers.
fn workloads(state: &str, retired: u32) -> String {
    format!(
        r#"{{"leads": true, "unknownPods": 0, "historyBytes": 23424, "workloads": [{{
            "workload": "shop/Deployment/web", "state": "{state}", "settledPods": 2, "mean": 40.0, "level": false,
            "lastScaleEvent": {{"secondsAgo": 130, "lastedSeconds": 0, "before": 1, "after": 2, "peakToMean": 2.0, "retired": 7,
                "level": {{"afterSeconds": 9, "peakToMean": 1.1}}}},
            "pods": [
                {{"name": "web-a", "settled": true, "reporting": true, "requestsPerSecond": 70.0, "share": 1.75,
                  "connections": 7, "marked": 2, "retired": {retired}, "state": "in_force"}},
                {{"name": "web-b", "settled": true, "reporting": true, "requestsPerSecond": 10.0, "share": 0.25,
                  "connections": 1, "marked": 0, "retired": 0, "state": "in_force"}}
            ]}}]}}"#
    )
}

fn from_balancer(state: &str, retired: u32) -> Reading {
    Reading {
        pods: ["web-a", "web-b", "web-new"].map(|name| facts(name, true)).to_vec(),
        known: known(&workloads(state, retired)),
        ..Reading::default()
    }
}

#[test]
fn load_and_scale_events_come_from_the_balancer() {
    let expected = "\
deployment/web in namespace shop: load is uneven, peak/mean 1.75, 80.0 requests/s
  balancing   in force in 2 of 3 pods
  last scale  1 to 2 pods, 2 min ago: level after 9 s, at 1.10 of the mean; 7 connections retired
  measured    by the balancer: estimated load, retired for balance in 10.0 s
POD      READY  REQ/S  OF MEAN  CONNS  RETIRED/S     BALANCING  NOTE
web-a    2/2     70.0    175 %      7  0.50 balance  in_force
web-b    2/2     10.0     25 %      1  0             in_force
web-new  2/2        -        -      -  -             -          has not reported to the balancer
";
    let status = compare(&from_balancer("instructed", 3), &from_balancer("instructed", 8), AFTER);
    assert_eq!(text(&status, Width::Narrow), expected);
}

#[test]
fn status_says_why_balancing_is_not_in_force() {
    for (state, said) in [
        ("few_pods", "not in force (few_pods): fewer than two pods take traffic"),
        ("reports_missing", "not in force (reports_missing): more than a third of the pods do not report"),
        ("starting", "not in force (starting): the balancer waits for the first reports"),
    ] {
        let status = compare(&from_balancer(state, 0), &from_balancer(state, 0), AFTER);
        let text = text(&status, Width::Narrow);
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn the_json_document_has_the_figures_of_the_text() {
    let status = compare(&from_balancer("instructed", 3), &from_balancer("instructed", 8), AFTER);
    let json = super::super::document::json(&status).unwrap();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let workload = &value["workloads"][0];
    assert_eq!((&workload["name"], &workload["source"]), (&"web".into(), &"balancer".into()));
    assert_eq!(workload["pods"][0]["share"], 1.75);
    assert_eq!(workload["pods"][0]["retiredPerSecond"]["balance"], 0.5);
    assert_eq!(workload["lastScaleEvent"]["level"]["afterSeconds"], 9);
    let yaml = super::super::document::yaml(&status).unwrap();
    assert!(yaml.contains("peakToMean: 1.75\n"), "{yaml}");
}

#[test]
fn without_pods_there_are_no_figures() {
    let status = compare(&Reading::default(), &Reading::default(), AFTER);
    assert_eq!(text(&status, Width::Narrow), "no pod has the recycling proxy here\n");
    assert!(!status.has_figures());
    let quiet = reading(&[("web-a", Ok(metrics(1, 10, 0)))], false);
    let status = compare(&quiet, &quiet, AFTER);
    assert!(text(&status, Width::Narrow).starts_with("deployment/web in namespace shop: no load\n"));
    assert!(status.has_figures(), "zero is a figure");
}

//! The Warning Events of a workload, and of the proxy in its pods.

use std::collections::BTreeMap;

use inject::PROXY_CONTAINER;
use k8s_openapi::api::core::v1::{Event, ObjectReference};

use super::super::finding::{Finding, FindingId};
use super::super::workload::Workload;
use super::LivePod;

/// The reporting controller of evenkeel's Events. `check` has rules of its own for what they say, and these look at the
/// present state.
const OURS: &str = "evenkeel-webhook";
/// The reason of our only Event without such a rule.
const REFUSED: &str = "PodsRefused";
/// The reason of failed probes. Probes also fail while a container starts, and during a drain.
const PROBES: &str = "Unhealthy";
/// The most Events to quote.
const MOST: usize = 5;
/// The most characters to quote of an Event.
const LONGEST: usize = 300;

/// Returns what Events say; `now` is in Unix time.
pub(crate) fn events(workload: &Workload, pods: &[LivePod], events: &[Event], now: f64) -> Option<Finding> {
    let mut quoted: BTreeMap<(&str, &str), (i32, f64)> = BTreeMap::new();
    for event in events.iter().filter(|event| concerns(event, workload, pods)) {
        let key = (event.reason.as_deref().unwrap_or_default(), event.message.as_deref().unwrap_or_default());
        let (count, last) = quoted.entry(key).or_insert((0, 0.0));
        *count += event.count.unwrap_or(1).max(1);
        *last = last.max(time(event));
    }
    let mut quoted: Vec<_> = quoted.into_iter().collect();
    quoted.sort_by(|(_, (_, one)), (_, (_, other))| other.total_cmp(one));
    let lines = quoted.iter().take(MOST).map(|((reason, message), (count, last))| {
        let message = shown(message);
        format!("{reason}, {count} times, last {:.0} min ago: {message}", ((now - last) / 60.0).max(0.0))
    });
    let more = quoted.len().saturating_sub(MOST);
    let rest = if more > 0 { format!("; the last {MOST} are") } else { String::new() };
    let finding = FindingId::WarningEvents.says(format!("{} Warning Events in the last hour{rest}", quoted.len()));
    (!quoted.is_empty()).then(|| lines.fold(finding, Finding::detail))
}

/// Returns a message as it can be shown in a terminal; quotes stay as they are.
fn shown(message: &str) -> String {
    let mut shown = String::new();
    for c in message.chars().take(LONGEST) {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

fn concerns(event: &Event, workload: &Workload, pods: &[LivePod]) -> bool {
    let ObjectReference { kind, name, namespace, field_path, .. } = &event.involved_object;
    let reason = event.reason.as_deref().unwrap_or_default();
    let name = name.as_deref().unwrap_or_default();
    let has_rule = event.reporting_component.as_deref() == Some(OURS) && reason != REFUSED;
    if namespace.as_deref() != Some(&*workload.name.namespace) || has_rule {
        return false;
    }
    match kind.as_deref() {
        Some(kind) if kind == workload.kind.name() => name == workload.name.name,
        // Its name is that of the Deployment and a hash without a hyphen.
        Some("ReplicaSet") => name.rsplit_once('-').is_some_and(|(of, _)| of == workload.name.name),
        Some("Pod") => {
            let is_of_proxy = field_path.as_ref().is_some_and(|path| path.contains(PROXY_CONTAINER));
            is_of_proxy && reason != PROBES && pods.iter().any(|pod| pod.name == name)
        }
        Some(_) | None => false,
    }
}

/// Returns when it was seen last, in Unix time.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a few thousand years are far below 2⁵²")]
fn time(event: &Event) -> f64 {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let micro = series.or(event.event_time.as_ref()).map(|time| time.0.as_millisecond());
    let milliseconds = event.last_timestamp.as_ref().map(|time| time.0.as_millisecond()).or(micro);
    milliseconds.unwrap_or_default() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests_support::{pod, workload};
    use super::*;

    /// 2030-01-01, in Unix time.
    const NOW: f64 = 1_893_456_000.0;

    fn event(reason: &str, involved: &Value) -> Event {
        let mut involved = involved.clone();
        involved["namespace"] = "shop".into();
        serde_json::from_value(json!({
            "metadata": {}, "involvedObject": involved, "reason": reason, "message": "why", "count": 2,
            "lastTimestamp": "2029-12-31T23:48:00Z", "reportingComponent": OURS,
        }))
        .unwrap()
    }

    fn found(reason: &str, involved: &Value) -> Option<Finding> {
        let event = Event { reporting_component: Some("kubelet".to_owned()), ..event(reason, involved) };
        events(&workload(), &[pod("web-1", "", "")], &[event], NOW)
    }

    #[test]
    fn events_of_the_workload_and_of_its_replica_sets_are_reported() {
        let of = |kind: &str, name: &str| json!({"kind": kind, "name": name});
        let finding = found("PodsRefused", &of("Deployment", "web")).unwrap();
        assert_eq!(finding.details, ["PodsRefused, 2 times, last 12 min ago: why"]);
        assert!(found("FailedCreate", &of("ReplicaSet", "web-5d4f")).is_some());
        for (kind, name) in [("Deployment", "other"), ("ReplicaSet", "web-api-5d4f"), ("Service", "web")] {
            assert_eq!(found("FailedCreate", &of(kind, name)), None, "{kind}/{name}");
        }
        let ours = |reason: &str| events(&workload(), &[], &[event(reason, &of("Deployment", "web"))], NOW);
        assert!(ours("PodsRefused").is_some());
        for ruled in ["InjectionMissed", "ServiceBypassesProxy", "SessionAffinity"] {
            assert_eq!(ours(ruled), None, "the rules see what is so now");
        }
    }

    #[test]
    fn events_of_pods_are_reported_only_if_they_are_about_the_proxy() {
        let of = |container: &str, pod: &str| json!({"kind": "Pod", "name": pod, "fieldPath": format!("spec.initContainers{{{container}}}")});
        assert!(found("Failed", &of("recycling-proxy", "web-1")).is_some());
        assert!(found("Failed", &of("recycling-proxy-redirect", "web-1")).is_some());
        assert_eq!(found("Unhealthy", &of("recycling-proxy", "web-1")), None);
        assert_eq!(found("Failed", &of("app", "web-1")), None);
        assert_eq!(found("Failed", &of("recycling-proxy", "gone-1")), None);
    }

    #[test]
    fn messages_of_events_are_escaped_for_a_terminal() {
        assert_eq!(shown("pods \"web-1\" it's"), "pods \"web-1\" it's");
        assert_eq!(shown("a\nb\u{1b}[2J\u{202e}"), "a\\nb\\u{1b}[2J\\u{202e}");
        assert_eq!(shown(&"x".repeat(LONGEST + 1)).len(), LONGEST);
    }

    #[test]
    fn repeated_events_are_reported_once_and_their_number_is_bounded() {
        let involved = json!({"kind": "Deployment", "name": "web"});
        let event = |reason: &str| Event { reporting_component: None, ..event(reason, &involved) };
        let many: Vec<Event> = (0..9).map(|n| event(&format!("Reason{}", n / 2))).collect();
        let finding = events(&workload(), &[], &many, NOW).unwrap();
        assert_eq!(finding.details.len(), MOST);
        assert!(finding.details.iter().any(|line| line.contains("4 times")), "{finding:?}");
        let more: Vec<Event> = (0..9).map(|n| event(&format!("Reason{n}"))).collect();
        assert_eq!(events(&workload(), &[], &more, NOW).unwrap().details.len(), MOST);
    }
}

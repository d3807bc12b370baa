//! What an Event says about a workload, by what injection would do to it now.

use std::sync::Arc;

use inject::{Outcome, Report, Service, ServiceNote};
use serde_json::Value;
use settings::Interception;

use crate::event_reason::EventReason;

/// In bytes. API servers refuse longer notes.
const LONGEST_NOTE: usize = 1024;

/// What an Event says about a workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Notice {
    pub(super) reason: EventReason,
    /// Sentences for the workload's author.
    pub(super) note: String,
    /// The `metadata.generation` that the note is about. The watch may have delivered an earlier one.
    pub(super) generation: Option<i64>,
}

/// A stored workload, now and when it was last read.
pub(super) struct Stored<'a> {
    pub(super) workload: &'a Value,
    /// What injection would do to it now.
    pub(super) outcome: &'a Outcome,
    /// Whether the proxy is in its template.
    pub(super) has_proxy: bool,
    /// Whether it was there when the workload was last read.
    pub(super) proxy_before: bool,
}

impl Notice {
    /// Returns the notices about a workload in a namespace that is reviewed, with these `services`.
    pub(super) fn of(stored: &Stored<'_>, services: &[Arc<Service>]) -> Vec<Self> {
        let Stored { workload, outcome, has_proxy, proxy_before } = *stored;
        let refusal = refusal(workload).filter(|_| has_proxy);
        let (reason, note) = match outcome {
            Outcome::Unchanged { .. } | Outcome::Inject { .. } if let Some(message) = refusal => refused(message),
            Outcome::Unchanged { report } => (EventReason::Injected, summary(report)),
            Outcome::Skip { reason, .. } => (EventReason::Skipped, format!("not injected: {}", reason.sentence())),
            Outcome::Invalid { faults, .. } => (EventReason::Invalid, faults.to_string()),
            // An injection that is out of date is updated with the next change of the workload.
            Outcome::Inject { .. } if has_proxy => return Vec::new(),
            Outcome::Inject { .. } => {
                let note = format!("asked for, but not injected: {}", EventReason::Missed.sentence());
                (EventReason::Missed, note)
            }
            Outcome::Remove { .. } => {
                let note = format!("no longer asked for, but not removed: {}", EventReason::Missed.sentence());
                (EventReason::Missed, note)
            }
            Outcome::NotAsked if proxy_before && !has_proxy => return vec![Self::of_removal(workload)],
            Outcome::NotAsked | Outcome::Owned | Outcome::Unreadable(_) => return Vec::new(),
        };
        let mut notices = vec![Self::new(workload, reason, note)];
        if let Outcome::Unchanged { report } = outcome {
            notices.extend(Self::of_services(workload, report, services));
        }
        notices
    }

    /// Returns the notice about a workload in a namespace that is not reviewed.
    pub(super) fn of_opted_out(stored: &Stored<'_>) -> Option<Self> {
        let Stored { workload, outcome, has_proxy, proxy_before } = *stored;
        let what = match outcome {
            Outcome::Inject { .. } | Outcome::Skip { .. } | Outcome::Invalid { .. } if !has_proxy => {
                "asked for, but not injected"
            }
            Outcome::Remove { .. } => "no longer asked for, but not removed",
            Outcome::NotAsked if proxy_before && !has_proxy => return Some(Self::of_removal(workload)),
            // An injected workload keeps its proxy.
            Outcome::Inject { .. }
            | Outcome::Skip { .. }
            | Outcome::Invalid { .. }
            | Outcome::Unchanged { .. }
            | Outcome::NotAsked
            | Outcome::Owned
            | Outcome::Unreadable(_) => return None,
        };
        let note = format!(
            "{what}: workloads of this namespace are not reviewed, because of its label evenkeel.dev/inject=disabled or \
             of the installation's namespaceSelector; run evenkeel check"
        );
        Some(Self::new(workload, EventReason::OptedOut, note))
    }

    /// Returns the notice that the proxy was removed.
    fn of_removal(workload: &Value) -> Self {
        let note = "the recycling proxy was removed, because no annotation asks for it any more: pods of the next rollout have \
                    none; kubectl rollout undo restores annotation and proxy";
        Self::new(workload, EventReason::Removed, note.to_owned())
    }

    fn of_services(workload: &Value, report: &Report, services: &[Arc<Service>]) -> Vec<Self> {
        let notes = report.service_notes(services.iter().map(Arc::as_ref));
        let (affine, bypassed): (Vec<ServiceNote>, Vec<ServiceNote>) =
            notes.into_iter().partition(|note| matches!(note, ServiceNote::SessionAffinity { .. }));
        [(EventReason::Bypassed, bypassed), (EventReason::Affine, affine)]
            .into_iter()
            .filter(|(_, notes)| !notes.is_empty())
            .map(|(reason, notes)| {
                let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
                Self::new(workload, reason, notes.join("; "))
            })
            .collect()
    }

    fn new(workload: &Value, reason: EventReason, note: String) -> Self {
        let generation = workload.pointer("/metadata/generation").and_then(Value::as_i64);
        Self { reason, note: truncated(note), generation }
    }
}

/// Returns which connections the proxy gets. With `named-port`, clients that use the port's number still reach the app
/// directly.
fn summary(report: &Report) -> String {
    let ports: Vec<String> = report.ports.iter().map(u16::to_string).collect();
    let retires = match report.max_requests {
        Some(limit) => format!("retires a connection after {limit} requests"),
        None => "retires connections as the balancer says".to_owned(),
    };
    let (ports, drain) = (ports.join(", "), report.drain_timeout);
    match report.interception {
        Interception::Redirect => {
            format!("the recycling proxy intercepts the ports {ports} by redirect and {retires}; drain up to {drain}")
        }
        Interception::NamedPort => format!(
            "the recycling proxy intercepts the ports {ports} by named-port: for Services that use the ports' names; \
             clients that use the numbers bypass it; it {retires}; drain up to {drain}"
        ),
    }
}

/// Returns why the pods of a workload cannot be created, in the words of its controller.
pub(super) fn refusal(workload: &Value) -> Option<&str> {
    let conditions = workload.pointer("/status/conditions").and_then(Value::as_array)?;
    let says = |condition: &&Value, key, word| condition.get(key).and_then(Value::as_str) == Some(word);
    let fails = |condition: &&Value| says(condition, "type", "ReplicaFailure") && says(condition, "status", "True");
    conditions.iter().find(fails)?.get("message")?.as_str()
}

fn refused(message: &str) -> (EventReason, String) {
    // The name of the pod is cut off: it would make each refusal a new Event.
    let why = message.split_once(" is forbidden: ").map_or(message, |(_, why)| why);
    let cause = if why.contains(inject::PROXY_CONTAINER) { " because of the proxy" } else { "" };
    (EventReason::Refused, format!("pods with the recycling proxy are refused{cause}: {why}"))
}

fn truncated(mut note: String) -> String {
    if note.len() > LONGEST_NOTE {
        let cut = LONGEST_NOTE - '…'.len_utf8();
        note.truncate((0..=cut).rev().find(|at| note.is_char_boundary(*at)).unwrap_or_default());
        note.push('…');
    }
    note
}

#[cfg(test)]
mod tests {
    use inject::{Installation, WorkloadKind};
    use serde_json::json;

    use super::*;

    const KIND: WorkloadKind = WorkloadKind::Deployment;

    fn workload(annotations: &Value, spec: &Value) -> Value {
        let mut template = json!({"spec": {"containers": [{"name": "app", "ports": [{"containerPort": 80}]}]}});
        template["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        json!({"metadata": {"annotations": annotations}, "spec": {"template": template}})
    }

    fn injected(workload: &Value) -> Value {
        let outcome = inject::inject(workload, KIND, None, &Installation::default());
        let mut injected = workload.clone();
        json_patch::patch(&mut injected, outcome.patch().unwrap()).unwrap();
        injected
    }

    /// Returns the notices of `of` about a workload that had the proxy or had not.
    fn notices(
        workload: &Value,
        proxy_before: bool,
        of: impl FnOnce(&Stored<'_>) -> Vec<Notice>,
    ) -> Vec<(EventReason, String)> {
        let outcome = inject::inject(workload, KIND, None, &Installation::default());
        let has_proxy = matches!(inject::remove(workload, KIND), Outcome::Remove { .. });
        let found = of(&Stored { workload, outcome: &outcome, has_proxy, proxy_before });
        found.into_iter().map(|notice| (notice.reason, notice.note)).collect()
    }

    fn notice(workload: &Value) -> Option<(EventReason, String)> {
        notices(workload, false, |stored| Notice::of(stored, &[])).pop()
    }

    #[test]
    fn the_removal_of_a_proxy_has_a_notice() {
        let switched_off = json!({"evenkeel.dev/max-requests": "5", "evenkeel.dev/inject": "disabled"});
        for annotations in [json!({}), switched_off] {
            let workload = workload(&annotations, &json!({}));
            for of in [
                |stored: &Stored<'_>| Notice::of(stored, &[]),
                |stored: &Stored<'_>| Notice::of_opted_out(stored).into_iter().collect(),
            ] {
                assert_eq!(notices(&workload, false, of), []);
                let found = notices(&workload, true, of);
                assert_eq!((found.len(), found[0].0), (1, EventReason::Removed), "{found:?}");
            }
        }
        let asks = workload(&json!({"evenkeel.dev/max-requests": "5"}), &json!({}));
        assert_eq!(notices(&asks, true, |stored| Notice::of(stored, &[]))[0].0, EventReason::Missed, "it is asked for");
    }

    #[test]
    fn workloads_of_an_opted_out_namespace_have_their_own_notice() {
        let asks = json!({"evenkeel.dev/max-requests": "5"});
        let plain = workload(&asks, &json!({}));
        let mut left = injected(&plain);
        left["metadata"]["annotations"] = json!({});
        for (workload, words) in [
            (plain.clone(), Some("asked for, but not injected: workloads of this namespace are not reviewed")),
            (left, Some("no longer asked for, but not removed: workloads of this namespace are not reviewed")),
            (injected(&plain), None),
            (workload(&json!({}), &json!({})), None),
        ] {
            let found = notices(&workload, false, |stored| Notice::of_opted_out(stored).into_iter().collect());
            assert_eq!(found.len(), usize::from(words.is_some()), "{found:?}");
            assert!(
                words.is_none_or(|words| found[0].0 == EventReason::OptedOut && found[0].1.starts_with(words)),
                "{found:?}"
            );
        }
    }

    #[test]
    fn services_with_other_targets_share_one_notice() {
        let mut workload = workload(&json!({"evenkeel.dev/max-requests": "5"}), &json!({}));
        workload["spec"]["template"]["metadata"] = json!({"labels": {"app": "web"}});
        let service = |name, spec: Value| Arc::new(Service::read(name, &spec).unwrap());
        let to = |port: u16| json!({"selector": {"app": "web"}, "ports": [{"port": port}]});
        let sticky = json!({"selector": {"app": "web"}, "ports": [{"port": 80}], "sessionAffinity": "ClientIP"});
        let services = [service("a", to(80)), service("b", to(90)), service("c", to(91)), service("d", sticky)];
        let found = |workload| notices(workload, false, |stored| Notice::of(stored, &services));
        let reasons = |found: &[(EventReason, String)]| found.iter().map(|(reason, _)| *reason).collect::<Vec<_>>();
        assert_eq!(reasons(&found(&workload)), [EventReason::Missed], "there is nothing to lead past");
        let found = found(&injected(&workload));
        assert_eq!(reasons(&found), [EventReason::Injected, EventReason::Bypassed, EventReason::Affine]);
        assert!(found[1].1.contains("service/b port 90") && found[1].1.contains("; service/c port 91"), "{found:?}");
        assert!(found[2].1.starts_with("service/d has sessionAffinity"), "{found:?}");
    }

    #[test]
    fn each_outcome_has_its_notice() {
        let asks = json!({"evenkeel.dev/max-requests": "5"});
        let plain = workload(&asks, &json!({}));
        let mut named =
            workload(&json!({"evenkeel.dev/max-requests": "5", "evenkeel.dev/interception": "named-port"}), &json!({}));
        named["spec"]["template"]["spec"]["containers"][0]["ports"][0]["name"] = json!("http");
        let mut outdated = injected(&plain);
        outdated["metadata"]["annotations"]["evenkeel.dev/jitter"] = json!("0%");
        let mut left = injected(&plain);
        left["metadata"]["annotations"] = json!({});
        for (workload, reason, words) in [
            (workload(&json!({}), &json!({})), None, ""),
            (
                injected(&plain),
                Some(EventReason::Injected),
                "intercepts the ports 80 by redirect and retires a connection after 5 requests; drain up to 20s",
            ),
            (injected(&named), Some(EventReason::Injected), "clients that use the numbers bypass it"),
            (outdated, None, ""),
            (plain, Some(EventReason::Missed), "asked for, but not injected: its last change was not reviewed"),
            (left, Some(EventReason::Missed), "not removed"),
            (workload(&asks, &json!({"hostNetwork": true})), Some(EventReason::Skipped), "the node's network"),
            (
                workload(&json!({"evenkeel.dev/max-requests": "x"}), &json!({})),
                Some(EventReason::Invalid),
                "max-requests",
            ),
        ] {
            let found = notice(&workload);
            assert_eq!(found.as_ref().map(|(reason, _)| *reason), reason, "{workload}");
            assert!(found.is_none_or(|(_, note)| note.contains(words)), "{workload}");
        }
    }

    #[test]
    fn refused_pods_have_a_notice() {
        let asks = json!({"evenkeel.dev/max-requests": "5"});
        let failing = |mut workload: Value, message: &str| {
            let condition = json!({"type": "ReplicaFailure", "status": "True", "message": message});
            workload["status"] = json!({"conditions": [{"type": "Available"}, condition]});
            workload
        };
        let plain = workload(&asks, &json!({}));
        let quota =
            r#"pods "web-7d9c-x8k2p" is forbidden: failed quota: q: must specify limits.cpu for: recycling-proxy"#;
        let (reason, note) = notice(&failing(injected(&plain), quota)).unwrap();
        assert_eq!(reason, EventReason::Refused);
        let expected = "pods with the recycling proxy are refused because of the proxy: \
                        failed quota: q: must specify limits.cpu for: recycling-proxy";
        assert_eq!(note, expected);
        // A LimitRange names no container.
        let range = r#"pods "web-7d9c-x8k2p" is forbidden: minimum cpu usage per Container is 20m, but request is 10m"#;
        let mut outdated = injected(&plain);
        outdated["metadata"]["annotations"]["evenkeel.dev/jitter"] = json!("0%");
        for workload in [injected(&plain), outdated] {
            let (reason, note) = notice(&failing(workload, range)).unwrap();
            assert_eq!(reason, EventReason::Refused);
            assert_eq!(
                note,
                "pods with the recycling proxy are refused: minimum cpu usage per Container is 20m, but request is 10m"
            );
        }
        let mut well = failing(injected(&plain), range);
        well["status"]["conditions"][1]["status"] = json!("False");
        assert_eq!(notice(&well).unwrap().0, EventReason::Injected);
        assert_eq!(notice(&failing(plain, range)).unwrap().0, EventReason::Missed, "its pods have no proxy");
    }

    #[test]
    fn notes_are_truncated_to_the_length_that_api_servers_accept() {
        let note = truncated("ä".repeat(600));
        assert!(note.len() <= LONGEST_NOTE && note.ends_with("ä…"), "{note}");
        assert_eq!(truncated("short".to_owned()), "short");
    }

    #[test]
    fn names_of_event_reasons_are_distinct() {
        let names: std::collections::BTreeSet<_> =
            EventReason::ALL.iter().flat_map(|reason| [reason.label(), reason.name()]).collect();
        assert_eq!(names.len(), 2 * EventReason::ALL.len());
    }
}

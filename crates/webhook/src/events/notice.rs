//! What there is to tell of a workload, from what injection would do to it now.

use std::sync::Arc;

use inject::{Outcome, Report, Service, ServiceNote};
use serde_json::Value;
use settings::Interception;

use crate::occasion::Occasion;

/// API servers refuse a longer note.
const LONGEST_NOTE: usize = 1024;

/// Something to tell of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Notice {
    pub(super) occasion: Occasion,
    /// Sentences for the workload's author.
    pub(super) note: String,
    /// The `metadata.generation` of which they are true. The watch may have told of an earlier one.
    pub(super) generation: Option<i64>,
}

/// What a stored workload is, and was.
pub(super) struct Stored<'a> {
    pub(super) workload: &'a Value,
    /// What injection would do to it now.
    pub(super) outcome: &'a Outcome,
    /// Whether the proxy is in its template.
    pub(super) has_proxy: bool,
    /// Whether it was when somebody last looked.
    pub(super) proxy_before: bool,
}

impl Notice {
    /// Returns what there is to tell of a workload that is reviewed, to which these `services` of its namespace may lead.
    pub(super) fn of(stored: &Stored<'_>, services: &[Arc<Service>]) -> Vec<Self> {
        let Stored { workload, outcome, has_proxy, proxy_before } = *stored;
        let refusal = refusal(workload).filter(|_| has_proxy);
        let (occasion, note) = match outcome {
            Outcome::Unchanged { .. } | Outcome::Inject { .. } if let Some(message) = refusal => {
                told_of_refusal(message)
            }
            Outcome::Unchanged { report } => (Occasion::Injected, of_injection(report)),
            Outcome::Skip { reason, .. } => (Occasion::Skipped, format!("not injected: {reason}")),
            Outcome::Invalid { faults, .. } => (Occasion::Invalid, faults.to_string()),
            // One that is there and out of date is brought up to date with the next change.
            Outcome::Inject { .. } if has_proxy => return Vec::new(),
            Outcome::Inject { .. } => {
                let note = format!("asked for, but not injected: {}", Occasion::Missed.sentence());
                (Occasion::Missed, note)
            }
            Outcome::Remove { .. } => {
                let note = format!("no longer asked for, but not removed: {}", Occasion::Missed.sentence());
                (Occasion::Missed, note)
            }
            Outcome::NotAsked if proxy_before && !has_proxy => return vec![Self::of_removal(workload)],
            Outcome::NotAsked | Outcome::Owned | Outcome::Unreadable(_) => return Vec::new(),
        };
        let mut notices = vec![Self::new(workload, occasion, note)];
        if let Outcome::Unchanged { report } = outcome {
            notices.extend(Self::of_services(workload, report, services));
        }
        notices
    }

    /// Returns what there is to tell of a workload in a namespace of which the webhook is not asked.
    pub(super) fn of_opted_out(stored: &Stored<'_>) -> Option<Self> {
        let Stored { workload, outcome, has_proxy, proxy_before } = *stored;
        let what = match outcome {
            Outcome::Inject { .. } | Outcome::Skip { .. } | Outcome::Invalid { .. } if !has_proxy => {
                "asked for, but not injected"
            }
            Outcome::Remove { .. } => "no longer asked for, but not removed",
            Outcome::NotAsked if proxy_before && !has_proxy => return Some(Self::of_removal(workload)),
            // What is there goes on as it is.
            Outcome::Inject { .. }
            | Outcome::Skip { .. }
            | Outcome::Invalid { .. }
            | Outcome::Unchanged { .. }
            | Outcome::NotAsked
            | Outcome::Owned
            | Outcome::Unreadable(_) => return None,
        };
        let note = format!(
            "{what}: the webhook is not asked about workloads of this namespace, by its label evenkeel.dev/inject=disabled or \
             by the installation's choice of namespaces; evenkeel check says more"
        );
        Some(Self::new(workload, Occasion::OptedOut, note))
    }

    /// Tells that the proxy was there, and is not any more.
    fn of_removal(workload: &Value) -> Self {
        let note = "no annotation asks for the recycling proxy any more, and it was removed: a rollout brings pods without it; \
                    kubectl rollout undo brings back both, the annotation and the proxy";
        Self::new(workload, Occasion::Removed, note.to_owned())
    }

    fn of_services(workload: &Value, report: &Report, services: &[Arc<Service>]) -> Vec<Self> {
        let notes = report.service_notes(services.iter().map(Arc::as_ref));
        let (affine, bypassed): (Vec<ServiceNote>, Vec<ServiceNote>) =
            notes.into_iter().partition(|note| matches!(note, ServiceNote::SessionAffinity { .. }));
        [(Occasion::Bypassed, bypassed), (Occasion::Affine, affine)]
            .into_iter()
            .filter(|(_, notes)| !notes.is_empty())
            .map(|(occasion, notes)| {
                let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
                Self::new(workload, occasion, notes.join("; "))
            })
            .collect()
    }

    fn new(workload: &Value, occasion: Occasion, note: String) -> Self {
        let generation = workload.pointer("/metadata/generation").and_then(Value::as_i64);
        Self { occasion, note: shortened(note), generation }
    }
}

/// What the proxy does for its clients. With `named-port` the port's number still leads to the app itself.
fn of_injection(report: &Report) -> String {
    let ports: Vec<String> = report.ports.iter().map(u16::to_string).collect();
    let retires = match report.max_requests {
        Some(limit) => format!("retires a connection after {limit} requests"),
        None => "retires connections as the balancer says".to_owned(),
    };
    let (ports, drain) = (ports.join(", "), report.drain_timeout);
    match report.interception {
        Interception::Redirect => {
            format!("the recycling proxy takes the ports {ports} by redirect and {retires}; drain up to {drain}")
        }
        Interception::NamedPort => format!(
            "the recycling proxy takes the ports {ports} by named-port: of Services that use their names; \
             the numbers bypass it; it {retires}; drain up to {drain}"
        ),
    }
}

/// Why the pods of a workload cannot be created, in the words of its controller.
pub(super) fn refusal(workload: &Value) -> Option<&str> {
    let conditions = workload.pointer("/status/conditions").and_then(Value::as_array)?;
    let says = |condition: &&Value, key, word| condition.get(key).and_then(Value::as_str) == Some(word);
    let fails = |condition: &&Value| says(condition, "type", "ReplicaFailure") && says(condition, "status", "True");
    conditions.iter().find(fails)?.get("message")?.as_str()
}

fn told_of_refusal(message: &str) -> (Occasion, String) {
    // Each pod has a name of its own, which would make each refusal another one.
    let why = message.split_once(" is forbidden: ").map_or(message, |(_, why)| why);
    let whose = if why.contains(inject::PROXY_CONTAINER) { ", for the proxy's sake" } else { "" };
    (Occasion::Refused, format!("pods with the recycling proxy are refused{whose}: {why}"))
}

fn shortened(mut note: String) -> String {
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

    /// What is told by `of`, of a workload that had the proxy or had not.
    fn told_by(
        workload: &Value,
        proxy_before: bool,
        of: impl FnOnce(&Stored<'_>) -> Vec<Notice>,
    ) -> Vec<(Occasion, String)> {
        let outcome = inject::inject(workload, KIND, None, &Installation::default());
        let has_proxy = matches!(inject::remove(workload, KIND), Outcome::Remove { .. });
        let told = of(&Stored { workload, outcome: &outcome, has_proxy, proxy_before });
        told.into_iter().map(|notice| (notice.occasion, notice.note)).collect()
    }

    fn told(workload: &Value) -> Option<(Occasion, String)> {
        told_by(workload, false, |stored| Notice::of(stored, &[])).pop()
    }

    #[test]
    fn a_removal_is_told_of_where_there_was_a_proxy() {
        let switched_off = json!({"evenkeel.dev/max-requests": "5", "evenkeel.dev/inject": "disabled"});
        for annotations in [json!({}), switched_off] {
            let workload = workload(&annotations, &json!({}));
            for of in [
                |stored: &Stored<'_>| Notice::of(stored, &[]),
                |stored: &Stored<'_>| Notice::of_opted_out(stored).into_iter().collect(),
            ] {
                assert_eq!(told_by(&workload, false, of), []);
                let told = told_by(&workload, true, of);
                assert_eq!((told.len(), told[0].0), (1, Occasion::Removed), "{told:?}");
            }
        }
        let asks = workload(&json!({"evenkeel.dev/max-requests": "5"}), &json!({}));
        assert_eq!(told_by(&asks, true, |stored| Notice::of(stored, &[]))[0].0, Occasion::Missed, "it is asked for");
    }

    #[test]
    fn what_is_told_in_a_namespace_that_has_opted_out() {
        let asks = json!({"evenkeel.dev/max-requests": "5"});
        let plain = workload(&asks, &json!({}));
        let mut left = injected(&plain);
        left["metadata"]["annotations"] = json!({});
        for (workload, words) in [
            (plain.clone(), Some("asked for, but not injected: the webhook is not asked")),
            (left, Some("no longer asked for, but not removed: the webhook is not asked")),
            (injected(&plain), None),
            (workload(&json!({}), &json!({})), None),
        ] {
            let told = told_by(&workload, false, |stored| Notice::of_opted_out(stored).into_iter().collect());
            assert_eq!(told.len(), usize::from(words.is_some()), "{told:?}");
            assert!(
                words.is_none_or(|words| told[0].0 == Occasion::OptedOut && told[0].1.starts_with(words)),
                "{told:?}"
            );
        }
    }

    #[test]
    fn services_that_lead_elsewhere_are_told_of_once_for_all() {
        let mut workload = workload(&json!({"evenkeel.dev/max-requests": "5"}), &json!({}));
        workload["spec"]["template"]["metadata"] = json!({"labels": {"app": "web"}});
        let service = |name, spec: Value| Arc::new(Service::read(name, &spec).unwrap());
        let to = |port: u16| json!({"selector": {"app": "web"}, "ports": [{"port": port}]});
        let sticky = json!({"selector": {"app": "web"}, "ports": [{"port": 80}], "sessionAffinity": "ClientIP"});
        let services = [service("a", to(80)), service("b", to(90)), service("c", to(91)), service("d", sticky)];
        let told = |workload| told_by(workload, false, |stored| Notice::of(stored, &services));
        let occasions = |told: &[(Occasion, String)]| told.iter().map(|(occasion, _)| *occasion).collect::<Vec<_>>();
        assert_eq!(occasions(&told(&workload)), [Occasion::Missed], "there is nothing to lead past");
        let told = told(&injected(&workload));
        assert_eq!(occasions(&told), [Occasion::Injected, Occasion::Bypassed, Occasion::Affine]);
        assert!(told[1].1.contains("service/b port 90") && told[1].1.contains("; service/c port 91"), "{told:?}");
        assert!(told[2].1.starts_with("service/d has sessionAffinity"), "{told:?}");
    }

    #[test]
    fn what_is_told_of_what() {
        let asks = json!({"evenkeel.dev/max-requests": "5"});
        let plain = workload(&asks, &json!({}));
        let mut named =
            workload(&json!({"evenkeel.dev/max-requests": "5", "evenkeel.dev/interception": "named-port"}), &json!({}));
        named["spec"]["template"]["spec"]["containers"][0]["ports"][0]["name"] = json!("http");
        let mut outdated = injected(&plain);
        outdated["metadata"]["annotations"]["evenkeel.dev/jitter"] = json!("0%");
        let mut left = injected(&plain);
        left["metadata"]["annotations"] = json!({});
        for (workload, occasion, words) in [
            (workload(&json!({}), &json!({})), None, ""),
            (
                injected(&plain),
                Some(Occasion::Injected),
                "takes the ports 80 by redirect and retires a connection after 5 requests; drain up to 20s",
            ),
            (injected(&named), Some(Occasion::Injected), "of Services that use their names; the numbers bypass it"),
            (outdated, None, ""),
            (plain, Some(Occasion::Missed), "asked for, but not injected: nobody reviewed its last change"),
            (left, Some(Occasion::Missed), "not removed"),
            (workload(&asks, &json!({"hostNetwork": true})), Some(Occasion::Skipped), "the node's network"),
            (workload(&json!({"evenkeel.dev/max-requests": "x"}), &json!({})), Some(Occasion::Invalid), "max-requests"),
        ] {
            let told = told(&workload);
            assert_eq!(told.as_ref().map(|(occasion, _)| *occasion), occasion, "{workload}");
            assert!(told.is_none_or(|(_, note)| note.contains(words)), "{workload}");
        }
    }

    #[test]
    fn pods_that_are_refused_are_told_of() {
        let asks = json!({"evenkeel.dev/max-requests": "5"});
        let failing = |mut workload: Value, message: &str| {
            let condition = json!({"type": "ReplicaFailure", "status": "True", "message": message});
            workload["status"] = json!({"conditions": [{"type": "Available"}, condition]});
            workload
        };
        let plain = workload(&asks, &json!({}));
        let quota =
            r#"pods "web-7d9c-x8k2p" is forbidden: failed quota: q: must specify limits.cpu for: recycling-proxy"#;
        let (occasion, note) = told(&failing(injected(&plain), quota)).unwrap();
        assert_eq!(occasion, Occasion::Refused);
        let expected = "pods with the recycling proxy are refused, for the proxy's sake: \
                        failed quota: q: must specify limits.cpu for: recycling-proxy";
        assert_eq!(note, expected);
        // A LimitRange names no container.
        let range = r#"pods "web-7d9c-x8k2p" is forbidden: minimum cpu usage per Container is 20m, but request is 10m"#;
        let mut outdated = injected(&plain);
        outdated["metadata"]["annotations"]["evenkeel.dev/jitter"] = json!("0%");
        for workload in [injected(&plain), outdated] {
            let (occasion, note) = told(&failing(workload, range)).unwrap();
            assert_eq!(occasion, Occasion::Refused);
            assert_eq!(
                note,
                "pods with the recycling proxy are refused: minimum cpu usage per Container is 20m, but request is 10m"
            );
        }
        let mut well = failing(injected(&plain), range);
        well["status"]["conditions"][1]["status"] = json!("False");
        assert_eq!(told(&well).unwrap().0, Occasion::Injected);
        assert_eq!(told(&failing(plain, range)).unwrap().0, Occasion::Missed, "its pods have no proxy");
    }

    #[test]
    fn no_note_is_longer_than_api_servers_take() {
        let note = shortened("ä".repeat(600));
        assert!(note.len() <= LONGEST_NOTE && note.ends_with("ä…"), "{note}");
        assert_eq!(shortened("short".to_owned()), "short");
    }

    #[test]
    fn names_are_distinct() {
        let names: std::collections::BTreeSet<_> =
            Occasion::ALL.iter().flat_map(|occasion| [occasion.label(), occasion.reason()]).collect();
        assert_eq!(names.len(), 2 * Occasion::ALL.len());
    }
}

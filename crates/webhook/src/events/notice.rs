//! What there is to tell of a workload, from what injection would do to it now.

use inject::{Outcome, Report, WorkloadKind};
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

impl Notice {
    /// What there is to tell of a stored `workload`, for which injection would have this `outcome` now.
    pub(super) fn of(workload: &Value, kind: WorkloadKind, outcome: &Outcome) -> Option<Self> {
        let refusal = refusal(workload).filter(|_| is_injected(workload, kind));
        let (occasion, note) = match outcome {
            Outcome::Unchanged { .. } | Outcome::Inject { .. } if let Some(message) = refusal => {
                told_of_refusal(message)
            }
            Outcome::Unchanged { report } => (Occasion::Injected, of_injection(report)),
            Outcome::Skip { reason, .. } => (Occasion::Skipped, format!("not injected: {reason}")),
            Outcome::Invalid { faults, .. } => (Occasion::Invalid, faults.to_string()),
            // One that is there and out of date is brought up to date with the next change.
            Outcome::Inject { .. } if is_injected(workload, kind) => return None,
            Outcome::Inject { .. } => {
                let note = format!("asked for, but not injected: {}", Occasion::Missed.sentence());
                (Occasion::Missed, note)
            }
            Outcome::Remove { .. } => {
                let note = format!("no longer asked for, but not removed: {}", Occasion::Missed.sentence());
                (Occasion::Missed, note)
            }
            Outcome::NotAsked | Outcome::Owned | Outcome::Unreadable(_) => return None,
        };
        let generation = workload.pointer("/metadata/generation").and_then(Value::as_i64);
        Some(Self { occasion, note: shortened(note), generation })
    }
}

/// What the proxy does for its clients. With `named-port` the port's number still leads to the app itself.
fn of_injection(report: &Report) -> String {
    let ports: Vec<String> = report.ports.iter().map(u16::to_string).collect();
    let (ports, drain) = (ports.join(", "), report.drain_timeout);
    match report.interception {
        Interception::Redirect => {
            format!("the recycling proxy takes the ports {ports} by redirect; drain up to {drain}")
        }
        Interception::NamedPort => format!(
            "the recycling proxy takes the ports {ports} by named-port: of Services that use their names; \
             the numbers bypass it; drain up to {drain}"
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

fn is_injected(workload: &Value, kind: WorkloadKind) -> bool {
    matches!(inject::remove(workload, kind), Outcome::Remove { .. })
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
    use inject::Installation;
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

    fn told(workload: &Value) -> Option<(Occasion, String)> {
        let outcome = inject::inject(workload, KIND, None, &Installation::default());
        Notice::of(workload, KIND, &outcome).map(|notice| (notice.occasion, notice.note))
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
            (injected(&plain), Some(Occasion::Injected), "takes the ports 80 by redirect; drain up to 20s"),
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

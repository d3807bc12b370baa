//! Injection: any object, most of them nearly Deployments, in namespaces of several kinds.

use inject::{Installation, NamespaceFacts, Outcome, PodSecurity, ResourceConstraints, WorkloadKind, inject, remove};
use serde_json::{Value, json};

use crate::workload;

const KIND: WorkloadKind = WorkloadKind::Deployment;
const OPT_IN: &str = "evenkeel.dev/max-requests";

/// Every patch applies; once it is applied nothing is left to do; taking an injection out gives the original back byte
/// for byte, whether by `remove` or by taking the annotation away. The last byte chooses the namespace, too.
///
/// # Panics
/// Where that does not hold.
pub fn check(data: &[u8]) {
    let original = workload::from(data);
    let namespace = namespace(data.last().copied().unwrap_or_default());
    let decide = |object: &Value| inject(object, KIND, namespace.as_ref(), &Installation::default());
    let outcome = decide(&original);
    for warning in outcome.warnings() {
        assert!(!warning.is_empty() && warning.chars().count() <= 120 && !warning.contains('\n'), "{warning:?}");
    }
    let after = applied(&original, &outcome);
    let again = decide(&after);
    assert_eq!(again.patch(), None, "a second time\n{original}\n{after}");

    // Where something of ours is there already, the original is what an earlier injection made.
    if !matches!(outcome, Outcome::Inject { .. }) || remove(&original, KIND) != Outcome::NotAsked {
        return;
    }
    let removed = applied(&after, &remove(&after, KIND));
    assert_eq!(removed.to_string(), original.to_string(), "removed");
    let (asked_no_more, never_asked) = (without_opt_in(&after), without_opt_in(&original));
    let outcome = decide(&asked_no_more);
    if let Outcome::Remove { .. } = outcome {
        assert_eq!(applied(&asked_no_more, &outcome).to_string(), never_asked.to_string(), "asked no more");
    }
}

/// Text, which ends in `}` or a line feed, has none.
fn namespace(choice: u8) -> Option<NamespaceFacts> {
    let range = json!({"spec": {"limits": [
        {"type": "Container", "min": {"cpu": "20m", "memory": "8Mi"}, "max": {"cpu": "1", "memory": "64Mi"},
         "maxLimitRequestRatio": {"memory": "2"}, "defaultRequest": {"cpu": "50m"}, "default": {"cpu": "100m"}},
        {"type": "Pod", "max": {"memory": "1Gi"}},
    ]}});
    let quota = json!({"spec": {"hard": {"requests.cpu": "1", "limits.cpu": "2", "limits.memory": "1Gi"}},
                       "status": {"used": {"limits.memory": "900Mi"}}});
    let constrained = |constraints| NamespaceFacts { constraints, ..NamespaceFacts::default() };
    match choice % 5 {
        0 => None,
        1 => Some(constrained(ResourceConstraints::read([&range], []))),
        2 => Some(constrained(ResourceConstraints::read([], [&quota]))),
        3 => Some(NamespaceFacts { pod_security: PodSecurity::Restricted, ..NamespaceFacts::default() }),
        _ => Some(NamespaceFacts { assigns_users: true, ..NamespaceFacts::default() }),
    }
}

fn applied(object: &Value, outcome: &Outcome) -> Value {
    let mut object = object.clone();
    if let Some(patch) = outcome.patch() {
        let before = object.clone();
        json_patch::patch(&mut object, patch).unwrap_or_else(|error| panic!("{error}: {patch}\n{before}"));
    }
    object
}

/// As the API server keeps it: neither a map of annotations whose last one is gone nor a template's metadata without
/// anything differs from none.
fn without_opt_in(object: &Value) -> Value {
    let mut object = object.clone();
    for place in ["", "/spec/template"] {
        let Some(Value::Object(owner)) = object.pointer_mut(place) else { continue };
        let Some(Value::Object(metadata)) = owner.get_mut("metadata") else { continue };
        let Some(Value::Object(annotations)) = metadata.get_mut("annotations") else { continue };
        if annotations.shift_remove(OPT_IN).is_some() && annotations.is_empty() {
            metadata.shift_remove("annotations");
            if metadata.is_empty() {
                owner.shift_remove("metadata");
            }
        }
    }
    object
}

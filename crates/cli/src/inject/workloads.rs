//! Finds the workloads of a document.

use inject::{Outcome, WorkloadKind};
use serde_json::Value;
use settings::Annotation;

use super::report::Report;
use crate::manifests::{ItemKind, apply};

/// Lets `decide` about every workload in `value`, which may be a list, and says whether anything changed.
pub(super) fn rewrite(
    value: &mut Value,
    decide: &impl Fn(&Value, WorkloadKind) -> Outcome,
    report: &mut Report,
) -> anyhow::Result<bool> {
    if let Some(kind) = ItemKind::of_list(value) {
        let mut changed = false;
        for item in value.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
            let added = kind.add_to(item);
            changed |= rewrite(item, decide, report)?;
            for member in added {
                item.as_object_mut().map(|item| item.shift_remove(member));
            }
        }
        return Ok(changed);
    }
    let text = |key| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let Some(kind) = WorkloadKind::of(api_version, kind) else {
        match (asks(value), has_pods(value)) {
            (true, true) => report.unsupported(value),
            (true, false) => report.without_pods(value),
            (false, _) => {}
        }
        return Ok(false);
    };
    let outcome = decide(value, kind);
    let was_there = matches!(inject::remove(value, kind), Outcome::Remove { .. });
    report.add(value, &outcome, was_there);
    if let Some(patch) = outcome.patch() {
        apply(value, patch)?;
    }
    Ok(outcome.patch().is_some())
}

/// Returns whether an object of a kind that is never injected asks for the proxy all the same.
fn asks(object: &Value) -> bool {
    let keys = [Annotation::MaxRequests, Annotation::Balance].map(Annotation::key);
    let asks = |metadata: Option<&Value>| {
        let annotations = metadata.and_then(|metadata| metadata.get("annotations"));
        annotations.is_some_and(|annotations| keys.iter().any(|key| annotations.get(*key).is_some()))
    };
    asks(object.get("metadata")) || asks(object.pointer("/spec/template/metadata"))
}

/// Returns whether there are pods in an object of whatever kind, as in a Job, a `CronJob` or the template of somebody's
/// own kind.
fn has_pods(object: &Value) -> bool {
    match object {
        Value::Object(members) => {
            let containers = members.get("spec").and_then(|spec| spec.get("containers")).and_then(Value::as_array);
            let of_pod = containers.is_some_and(|list| list.iter().any(|container| container.get("name").is_some()));
            of_pod || members.values().any(has_pods)
        }
        Value::Array(list) => list.iter().any(has_pods),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

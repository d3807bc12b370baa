//! Finds the workloads of a document.

use inject::{Outcome, WorkloadKind};
use serde_json::Value;
use settings::Annotation;

use super::apply::apply;
use super::report::Report;

/// Lets `decide` about every workload in `value`, which may be a `List`, and says whether anything changed.
pub(super) fn rewrite(
    value: &mut Value,
    decide: &impl Fn(&Value, WorkloadKind) -> Outcome,
    report: &mut Report,
) -> anyhow::Result<bool> {
    let text = |key| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if api_version == "v1" && kind == "List" {
        let mut changed = false;
        for item in value.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
            changed |= rewrite(item, decide, report)?;
        }
        return Ok(changed);
    }
    let Some(kind) = WorkloadKind::of(api_version, kind) else {
        if asks(value) {
            report.unsupported(value);
        }
        return Ok(false);
    };
    let outcome = decide(value, kind);
    report.add(value, &outcome);
    if let Some(patch) = outcome.patch() {
        apply(value, patch)?;
    }
    Ok(outcome.patch().is_some())
}

/// Whether an object of a kind that is never injected asks for the proxy all the same.
fn asks(object: &Value) -> bool {
    let key = Annotation::MaxRequests.key();
    let asks = |metadata: Option<&Value>| metadata.and_then(|metadata| metadata.get("annotations")?.get(key)).is_some();
    asks(object.get("metadata")) || asks(object.pointer("/spec/template/metadata"))
}

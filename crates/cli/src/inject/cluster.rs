//! `evenkeel uninject KIND/NAME`: removes an injection from a workload in the cluster.
//!
//! It writes a JSON patch of what was injected and nothing else. To replace the whole object would also write the
//! last-applied configuration of `kubectl apply`, with the `replicas` of an autoscaler in it: the author's next apply
//! would set them.

use anyhow::Context as _;
use inject::Outcome;
use json_patch::jsonptr::PointerBuf;
use json_patch::{Patch, PatchOperation, ReplaceOperation, TestOperation};
use kube::api::{Api, DynamicObject, Patch as Change, PatchParams};
use kube::core::Status;
use serde_json::Value;

use super::report::Report;
use crate::cluster::{Cluster, said};
use crate::reference::Reference;

/// The field manager of the patch.
const MANAGER: &str = "evenkeel-uninject";
/// The most attempts if the workload changes between the read and the patch.
const ATTEMPTS: usize = 5;
/// Which cluster, and where in it.
#[derive(clap::Args)]
pub(super) struct Place {
    /// The namespace of the workloads; without it, that of the context.
    #[arg(short, long, requires = "workloads")]
    namespace: Option<String>,

    #[command(flatten)]
    cluster: Cluster,
}

/// Removes the injections from these workloads.
pub(super) fn uninject(workloads: &[Reference], place: &Place, report: &mut Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, context_namespace) = place.cluster.connect().await?;
        let namespace = place.namespace.clone().unwrap_or(context_namespace);
        for workload in workloads {
            let resource = workload.resource();
            let api = Api::namespaced_with(client.clone(), &namespace, &resource);
            let done = remove_injection(&api, workload, report).await;
            done.with_context(|| format!("{namespace}/{}/{}", workload.kind.name().to_lowercase(), workload.name))?;
        }
        Ok(())
    })
}

async fn remove_injection(api: &Api<DynamicObject>, workload: &Reference, report: &mut Report) -> anyhow::Result<()> {
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    for attempt in 1.. {
        let object = serde_json::to_value(api.get(&workload.name).await.map_err(said)?)?;
        let outcome = inject::remove(&object, workload.kind);
        let Some(removal) = outcome.patch() else {
            match &outcome {
                Outcome::NotAsked => report.nothing_there(&object),
                outcome => report.add(&object, outcome, false),
            }
            break;
        };
        let patch = Change::Json::<()>(as_it_was_read(&object, removal));
        match api.patch(&workload.name, &parameters, &patch).await {
            Ok(after) => {
                let after = serde_json::to_value(after)?;
                restore_field_managers(api, &workload.name, &object, &after).await;
                match inject::remove(&after, workload.kind) {
                    Outcome::Remove { .. } => report.injected_again(&after),
                    _ => report.add(&after, &outcome, true),
                }
                break;
            }
            Err(kube::Error::Api(status)) if is_conflict(&status) && attempt < ATTEMPTS => {}
            Err(error) => return Err(said(error)),
        }
    }
    Ok(())
}

/// Returns whether another write came first: before the patch, whose `test` operation then fails, or while it was
/// applied.
fn is_conflict(status: &Status) -> bool {
    matches!(status.code, 409 | 422)
}

/// Returns the patch with a test of `metadata.generation`, because its paths have indices of the object that was read.
fn as_it_was_read(object: &Value, removal: &Patch) -> Patch {
    let path = PointerBuf::from_tokens(["metadata", "generation"]);
    let test =
        object.pointer("/metadata/generation").map(|generation| TestOperation { path, value: generation.clone() });
    Patch(test.map(PatchOperation::Test).into_iter().chain(removal.0.iter().cloned()).collect())
}

/// Restores the field managers from before the patch. Otherwise the author's next server-side apply would have a
/// conflict, or would not remove a field that the author has dropped. A failure costs no more than that.
///
/// Controllers update the status, above all of a workload that was just changed. So the write is repeated while nothing
/// but the status changes.
async fn restore_field_managers(api: &Api<DynamicObject>, name: &str, before: &Value, after: &Value) {
    let mut now = after.clone();
    for _ in 0..ATTEMPTS {
        let patch = Change::Json::<()>(with_managers(before, &now));
        match api.patch(name, &PatchParams::default(), &patch).await {
            Err(kube::Error::Api(status)) if is_conflict(&status) => {}
            Ok(_) | Err(_) => return,
        }
        let Some(read) = api.get(name).await.ok().and_then(|read| serde_json::to_value(read).ok()) else { return };
        if read["metadata"]["generation"] != after["metadata"]["generation"] {
            return;
        }
        now = read;
    }
}

/// Returns the patch that restores the managers, with a test of the resource version.
fn with_managers(before: &Value, after: &Value) -> Patch {
    let test = TestOperation {
        path: PointerBuf::from_tokens(["metadata", "resourceVersion"]),
        value: after["metadata"]["resourceVersion"].clone(),
    };
    let replace = ReplaceOperation {
        path: PointerBuf::from_tokens(["metadata", "managedFields"]),
        value: managers(before, after).into(),
    };
    Patch(vec![PatchOperation::Test(test), PatchOperation::Replace(replace)])
}

/// Returns the managers of `after` without this program. Managers that apply get the fields that they had before,
/// because in server-side apply a field belongs to the manager that changed it last.
fn managers(before: &Value, after: &Value) -> Vec<Value> {
    let entries = |object: &Value| object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let applies = |entry: &Value| entry["operation"] == "Apply" && entry.get("subresource").is_none();
    let mut managers: Vec<Value> = entries(before).into_iter().filter(applies).collect();
    managers.extend(entries(after).into_iter().filter(|entry| !applies(entry) && entry["manager"] != MANAGER));
    managers
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_is_for_the_object_that_was_read() {
        let removal: Patch = serde_json::from_value(json!([{"op": "remove", "path": "/spec/a"}])).unwrap();
        let patch = as_it_was_read(&json!({"metadata": {"generation": 7}}), &removal);
        let expected =
            json!([{"op": "test", "path": "/metadata/generation", "value": 7}, {"op": "remove", "path": "/spec/a"}]);
        assert_eq!(serde_json::to_value(patch).unwrap(), expected);
    }

    #[test]
    fn changed_fields_are_owned_by_the_manager_that_applied_them() {
        let entry = |manager: &str, operation: &str, fields: &str| json!({"manager": manager, "operation": operation, "fieldsV1": {fields: {}}});
        let object = |entries: Vec<Value>| json!({"metadata": {"managedFields": entries}});
        let status = json!({"manager": "controller", "operation": "Update", "subresource": "status", "fieldsV1": {}});
        let before = object(vec![entry("kubectl", "Apply", "f:probe"), entry("hpa", "Update", "f:old")]);
        let after = object(vec![
            entry("kubectl", "Apply", "f:nothing"),
            entry("hpa", "Update", "f:replicas"),
            entry(MANAGER, "Update", "f:probe"),
            status.clone(),
        ]);
        let expected = [entry("kubectl", "Apply", "f:probe"), entry("hpa", "Update", "f:replicas"), status];
        assert_eq!(managers(&before, &after), expected);
    }
}

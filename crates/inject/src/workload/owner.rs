//! Objects that a controller creates from a workload's pod template.

use crate::json::node::{Node, Unreadable};
use crate::workload::kind::WorkloadKind;

/// Returns whether injection applies to the controller of the object instead.
///
/// A Deployment finds its ReplicaSet by comparing pod templates. If injection changed a ReplicaSet, the Deployment
/// would create others endlessly. A pod that was created from an injected template already has the proxy.
pub(crate) fn is_injected_through_controller(
    object: &Node<'_>,
    kind: WorkloadKind,
    has_status: bool,
) -> Result<bool, Unreadable> {
    let may_be = match kind {
        WorkloadKind::ReplicaSet => true,
        WorkloadKind::Pod => has_status,
        WorkloadKind::Deployment | WorkloadKind::StatefulSet | WorkloadKind::DaemonSet | WorkloadKind::Rollout => false,
    };
    Ok(may_be && has_controller(object)?)
}

fn has_controller(object: &Node<'_>) -> Result<bool, Unreadable> {
    Ok(controller(object)?.is_some())
}

/// Returns kind and name of the controller of the object, `None` if it has none.
pub(crate) fn controller(object: &Node<'_>) -> Result<Option<(String, String)>, Unreadable> {
    for owner in object.path(&["metadata", "ownerReferences"])?.items()? {
        if owner.member("controller")?.is_true()? {
            let text = |key| Ok(owner.member(key)?.text()?.unwrap_or_default().to_owned());
            return Ok(Some((text("kind")?, text("name")?)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_with_a_controller_are_not_injected() {
        let owned = json!({"metadata": {"ownerReferences": [{"kind": "X"}, {"kind": "Y", "controller": true}]}});
        let kept = json!({"metadata": {"ownerReferences": [{"kind": "X", "controller": false}]}});
        for (kind, has_status, left) in [
            (WorkloadKind::ReplicaSet, false, true),
            (WorkloadKind::ReplicaSet, true, true),
            (WorkloadKind::Pod, true, true),
            // Nobody has injected into its workload.
            (WorkloadKind::Pod, false, false),
            (WorkloadKind::StatefulSet, true, false),
        ] {
            let is_left = |object| is_injected_through_controller(&Node::root(object), kind, has_status).unwrap();
            assert_eq!(is_left(&owned), left, "{kind:?}");
            assert!(!is_left(&kept), "{kind:?}");
        }
    }
}

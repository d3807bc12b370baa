//! Objects that a controller makes from a workload's pod template.

use crate::kind::WorkloadKind;
use crate::node::{Node, Unreadable};

/// Whether the object is controlled by what is injected in its place.
///
/// A Deployment looks for its ReplicaSet by comparing pod templates: with one that was changed it would make another, without
/// end. A pod that was made from an injected template is as its workload was injected, and stays so.
pub(crate) fn is_injected_instead(object: &Node<'_>, kind: WorkloadKind, has_status: bool) -> Result<bool, Unreadable> {
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

/// Returns kind and name of the controller of the object, `None` where it has none.
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
    fn what_is_left_to_its_owner() {
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
            let is_left = |object| is_injected_instead(&Node::root(object), kind, has_status).unwrap();
            assert_eq!(is_left(&owned), left, "{kind:?}");
            assert!(!is_left(&kept), "{kind:?}");
        }
    }
}

//! What the API server says of a pod. Pure.

use inject::PROXY_CONTAINER;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// The label of pods that are balanced.
const BALANCED: (&str, &str) = ("evenkeel.dev/balance", "on");

/// A workload by namespace, kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(super) namespace: String,
    pub(super) kind: String,
    pub(super) name: String,
}

/// A pod that may take traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) owner: Owner,
    pub(super) name: String,
    /// Containers that are ready, and all of them, native sidecars included, as kubectl counts.
    pub(super) ready: (usize, usize),
    pub(super) has_proxy: bool,
    pub(super) is_balanced: bool,
    pub(super) is_terminating: bool,
}

impl Facts {
    /// Returns what is so of a pod; `None` for one that has ended or has no name.
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
        if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            return None;
        }
        let sidecars: Vec<&str> = spec
            .init_containers
            .iter()
            .flatten()
            .filter(|container| container.restart_policy.as_deref() == Some("Always"))
            .map(|container| &*container.name)
            .collect();
        let apps = status.container_statuses.iter().flatten().filter(|container| container.ready).count();
        let is_ready_sidecar = |status: &&ContainerStatus| status.ready && sidecars.contains(&&*status.name);
        let ready_sidecars = status.init_container_statuses.iter().flatten().filter(is_ready_sidecar).count();
        let label = |name: &str| pod.metadata.labels.as_ref()?.get(name).map(String::as_str);
        Some(Self {
            owner: owner(pod)?,
            name: pod.metadata.name.clone()?,
            ready: (apps + ready_sidecars, spec.containers.len() + sidecars.len()),
            has_proxy: sidecars.contains(&PROXY_CONTAINER),
            is_balanced: label(BALANCED.0) == Some(BALANCED.1),
            is_terminating: pod.metadata.deletion_timestamp.is_some(),
        })
    }
}

/// Returns the workload of a pod. A `ReplicaSet` of a Deployment or Rollout is named after it and the hash of the
/// template.
fn owner(pod: &Pod) -> Option<Owner> {
    let metadata = &pod.metadata;
    let namespace = metadata.namespace.clone()?;
    let controller = metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let Some(controller) = controller else {
        return Some(Owner { namespace, kind: "Pod".to_owned(), name: metadata.name.clone()? });
    };
    for (label, kind) in [("pod-template-hash", "Deployment"), ("rollouts-pod-template-hash", "Rollout")] {
        let hash = metadata.labels.as_ref().and_then(|labels| labels.get(label));
        let name = hash.and_then(|hash| controller.name.strip_suffix(hash)?.strip_suffix('-'));
        if let Some(name) = name.filter(|_| controller.kind == "ReplicaSet") {
            return Some(Owner { namespace, kind: kind.to_owned(), name: name.to_owned() });
        }
    }
    Some(Owner { namespace, kind: controller.kind.clone(), name: controller.name.clone() })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(change: impl FnOnce(&mut Value)) -> Option<Facts> {
        let mut pod = json!({
            "metadata": {
                "name": "web-5d4-x7", "namespace": "shop",
                "labels": {"pod-template-hash": "5d4", "evenkeel.dev/balance": "on"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4", "uid": "1", "controller": true}],
            },
            "spec": {
                "initContainers": [
                    {"name": "recycling-proxy-redirect"},
                    {"name": "recycling-proxy", "restartPolicy": "Always"},
                ],
                "containers": [{"name": "app"}, {"name": "exporter"}],
            },
            "status": {
                "phase": "Running",
                "initContainerStatuses": [
                    {"name": "recycling-proxy-redirect", "ready": true, "image": "", "imageID": "", "restartCount": 0},
                    {"name": "recycling-proxy", "ready": true, "image": "", "imageID": "", "restartCount": 0},
                ],
                "containerStatuses": [
                    {"name": "app", "ready": false, "image": "", "imageID": "", "restartCount": 0},
                    {"name": "exporter", "ready": true, "image": "", "imageID": "", "restartCount": 0},
                ],
            },
        });
        change(&mut pod);
        Facts::of(&serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn a_pod_of_a_replica_set_belongs_to_its_deployment() {
        let facts = pod(|_| {}).unwrap();
        let owner = Owner { namespace: "shop".to_owned(), kind: "Deployment".to_owned(), name: "web".to_owned() };
        assert_eq!((facts.owner, facts.ready), (owner, (2, 3)), "as kubectl counts: without init containers that end");
        assert!(facts.has_proxy && facts.is_balanced && !facts.is_terminating);
    }

    #[test]
    fn pods_of_other_kinds_belong_to_their_controller() {
        let kind = |change: fn(&mut Value)| {
            let owner = pod(change).unwrap().owner;
            format!("{}/{}", owner.kind, owner.name)
        };
        assert_eq!(
            kind(|pod| {
                pod["metadata"]["labels"] = json!({"rollouts-pod-template-hash": "5d4"});
            }),
            "Rollout/web"
        );
        assert_eq!(kind(|pod| pod["metadata"]["labels"] = json!({})), "ReplicaSet/web-5d4");
        assert_eq!(
            kind(|pod| {
                pod["metadata"]["ownerReferences"][0]["kind"] = json!("StatefulSet");
                pod["metadata"]["ownerReferences"][0]["name"] = json!("web");
            }),
            "StatefulSet/web"
        );
        assert_eq!(kind(|pod| pod["metadata"]["ownerReferences"] = Value::Null), "Pod/web-5d4-x7");
    }

    #[test]
    fn completed_pods_are_left_out() {
        assert_eq!(pod(|pod| pod["status"]["phase"] = json!("Failed")), None);
        let without = pod(|pod| pod["spec"]["initContainers"] = Value::Null).unwrap();
        assert!(!without.has_proxy);
        assert!(
            pod(|pod| pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z")).unwrap().is_terminating
        );
    }
}

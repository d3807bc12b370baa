//! Whether a pod can have the proxy at all, whichever of its ports are taken.

use std::collections::BTreeMap;

use crate::ours::{PROXY_CONTAINER, REDIRECT_CONTAINER, TLS_VOLUME};
use crate::pod::{Container, Pod};
use crate::skip::SkipReason;

/// The sidecars of the meshes that balance by request.
const MESH_CONTAINERS: &[&str] = &["istio-proxy", "linkerd-proxy"];
/// Labels and annotations that ask a mesh for its sidecar, and the values that do.
const MESH_REQUESTS: &[(&str, &[&str])] =
    &[("sidecar.istio.io/inject", &["true"]), ("linkerd.io/inject", &["enabled", "ingress"])];

/// The first reason against it.
pub(crate) fn check(pod: &Pod) -> Result<(), SkipReason> {
    if pod.host_network {
        return Err(SkipReason::HostNetwork);
    }
    if pod.windows {
        return Err(SkipReason::Windows);
    }
    if is_named(pod, MESH_CONTAINERS) || asks_for_mesh(&pod.labels) || asks_for_mesh(&pod.annotations) {
        return Err(SkipReason::MeshProxy);
    }
    let volume_is_named = pod.volumes.iter().any(|name| name == TLS_VOLUME);
    if volume_is_named || is_named(pod, &[PROXY_CONTAINER, REDIRECT_CONTAINER]) {
        return Err(SkipReason::NameClash);
    }
    Ok(())
}

fn is_named(pod: &Pod, names: &[&str]) -> bool {
    let mut containers = pod.apps.iter().chain(&pod.init_containers);
    containers.any(|Container { name, .. }| names.contains(&name.as_str()))
}

fn asks_for_mesh(texts: &BTreeMap<String, String>) -> bool {
    let asks = |(key, values): &(&str, &[&str])| texts.get(*key).is_some_and(|value| values.contains(&value.as_str()));
    MESH_REQUESTS.iter().any(asks)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::names::PortNames;
    use crate::node::Node;
    use crate::ours::Origin;

    #[track_caller]
    fn assert_checks(metadata: &Value, spec: &Value, reason: Option<SkipReason>) {
        let mut template = json!({"metadata": metadata, "spec": {"containers": [{"name": "web"}]}});
        template["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let pod = Pod::read(&Node::root(&template), Origin::Guessed, &PortNames::default()).unwrap();
        assert_eq!(check(&pod).err(), reason, "{template}");
    }

    #[test]
    fn what_a_pod_must_not_be() {
        for (spec, reason) in [
            (json!({}), None),
            (json!({"hostNetwork": false, "os": {"name": "linux"}}), None),
            (json!({"hostNetwork": true}), Some(SkipReason::HostNetwork)),
            (json!({"os": {"name": "windows"}}), Some(SkipReason::Windows)),
            (json!({"nodeSelector": {"kubernetes.io/os": "windows"}}), Some(SkipReason::Windows)),
            (json!({"initContainers": [{"name": "istio-proxy"}]}), Some(SkipReason::MeshProxy)),
            (json!({"containers": [{"name": "linkerd-proxy"}]}), Some(SkipReason::MeshProxy)),
            (json!({"containers": [{"name": "recycling-proxy-redirect"}]}), Some(SkipReason::NameClash)),
            (json!({"initContainers": [{"name": "recycling-proxy", "args": ["x"]}]}), Some(SkipReason::NameClash)),
            (json!({"initContainers": [{"name": "recycling-proxy", "args": ["run"]}]}), None),
            (json!({"volumes": [{"name": "recycling-proxy-tls", "emptyDir": {}}]}), Some(SkipReason::NameClash)),
            (json!({"volumes": [{"name": "tls", "emptyDir": {}}]}), None),
        ] {
            assert_checks(&json!({}), &spec, reason);
        }
    }

    #[test]
    fn a_mesh_that_is_asked_for() {
        for (metadata, reason) in [
            (json!({"labels": {"sidecar.istio.io/inject": "true"}}), Some(SkipReason::MeshProxy)),
            (json!({"annotations": {"sidecar.istio.io/inject": "true"}}), Some(SkipReason::MeshProxy)),
            (json!({"annotations": {"linkerd.io/inject": "ingress"}}), Some(SkipReason::MeshProxy)),
            (json!({"labels": {"sidecar.istio.io/inject": "false"}}), None),
            (json!({"annotations": {"linkerd.io/inject": "disabled"}}), None),
        ] {
            assert_checks(&metadata, &json!({}), reason);
        }
    }
}

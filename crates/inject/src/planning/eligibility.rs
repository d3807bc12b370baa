//! Checks whether a pod can have the proxy, independent of its ports.

use crate::additions::entry::List;
use crate::mesh::{self, Metadata};
use crate::namespace::NamespaceFacts;
use crate::outcome::skip::SkipReason;
use crate::pod::Pod;

/// Checks a pod. `namespace` is `None` if nothing is known about it.
///
/// # Errors
/// The first reason for which the pod cannot have the proxy.
pub(crate) fn check(pod: &Pod, namespace: Option<&NamespaceFacts>) -> Result<(), SkipReason> {
    if pod.host_network {
        return Err(SkipReason::HostNetwork);
    }
    if pod.windows {
        return Err(SkipReason::Windows);
    }
    let containers = pod.apps.iter().chain(&pod.init_containers).map(|container| container.name.as_str());
    let own = Metadata { labels: &pod.labels, annotations: &pod.annotations };
    if mesh::has_proxy(containers, own, namespace.map(NamespaceFacts::metadata)) {
        return Err(SkipReason::MeshProxy);
    }
    let is_taken = |list: List| list.additions().iter().any(|addition| pod.has_entry(list, addition.name));
    if List::ALL.into_iter().any(is_taken) {
        return Err(SkipReason::NameClash);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::additions::entry::Origin;
    use crate::json::node::Node;
    use crate::proxy_ports::port_names::PortNames;

    #[track_caller]
    fn assert_checks(metadata: &Value, spec: &Value, namespace: Option<&NamespaceFacts>, reason: Option<SkipReason>) {
        let mut template = json!({"metadata": metadata, "spec": {"containers": [{"name": "web"}]}});
        template["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let pod = Pod::read(&Node::root(&template), Origin::Guessed, &PortNames::default()).unwrap();
        assert_eq!(check(&pod, namespace).err(), reason, "{template}");
    }

    #[test]
    fn pods_that_cannot_have_the_proxy_are_skipped() {
        for (spec, reason) in [
            (json!({}), None),
            (json!({"hostNetwork": false, "os": {"name": "linux"}}), None),
            (json!({"hostNetwork": true}), Some(SkipReason::HostNetwork)),
            (json!({"os": {"name": "windows"}}), Some(SkipReason::Windows)),
            (json!({"nodeSelector": {"kubernetes.io/os": "windows"}}), Some(SkipReason::Windows)),
            (json!({"initContainers": [{"name": "istio-proxy"}]}), Some(SkipReason::MeshProxy)),
            (json!({"containers": [{"name": "linkerd-proxy"}]}), Some(SkipReason::MeshProxy)),
            (json!({"containers": [{"name": "kuma-sidecar"}]}), Some(SkipReason::MeshProxy)),
            (json!({"containers": [{"name": "consul-dataplane-web"}]}), Some(SkipReason::MeshProxy)),
            (json!({"containers": [{"name": "recycling-proxy-redirect"}]}), Some(SkipReason::NameClash)),
            (json!({"initContainers": [{"name": "recycling-proxy", "args": ["x"]}]}), Some(SkipReason::NameClash)),
            (json!({"initContainers": [{"name": "recycling-proxy", "args": ["run"]}]}), None),
            (json!({"volumes": [{"name": "recycling-proxy-tls", "emptyDir": {}}]}), Some(SkipReason::NameClash)),
            (json!({"volumes": [{"name": "tls", "emptyDir": {}}]}), None),
        ] {
            assert_checks(&json!({}), &spec, None, reason);
        }
    }

    #[test]
    fn a_pod_that_a_mesh_injects_is_skipped() {
        let facts = |labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            NamespaceFacts::of(&labels, BTreeMap::new())
        };
        let plain = facts(&[("team", "shop")]);
        let istio = facts(&[("istio-injection", "enabled")]);
        let ambient = facts(&[("istio.io/dataplane-mode", "ambient")]);
        for (metadata, namespace, reason) in [
            (json!({"labels": {"sidecar.istio.io/inject": "true"}}), None, Some(SkipReason::MeshProxy)),
            (json!({"annotations": {"linkerd.io/inject": "ingress"}}), Some(&plain), Some(SkipReason::MeshProxy)),
            (json!({}), Some(&istio), Some(SkipReason::MeshProxy)),
            (json!({}), Some(&ambient), Some(SkipReason::MeshProxy)),
            (json!({}), Some(&plain), None),
            (json!({"labels": {"sidecar.istio.io/inject": "false"}}), Some(&istio), None),
            (json!({"labels": {"istio.io/dataplane-mode": "none"}}), Some(&ambient), None),
            (json!({"annotations": {"linkerd.io/inject": "disabled"}}), None, None),
        ] {
            assert_checks(&metadata, &json!({}), namespace, reason);
        }
    }
}

//! Whether a pod can have the proxy at all, whichever of its ports are taken.

use std::collections::BTreeMap;

use crate::container::{PROXY_CONTAINER, REDIRECT_CONTAINER};
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
    if is_named(pod, &[PROXY_CONTAINER, REDIRECT_CONTAINER]) {
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

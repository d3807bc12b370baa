//! Detects pods into which a service mesh injects its proxy.
//!
//! A mesh balances by request already, and two redirects would compete for the same connections: if evenkeel's came
//! first, mutual TLS would reach the app undecrypted. Each function implements the rules of its mesh, so that the
//! result is what the mesh decides when the pod is created. A mesh that selects pods only by its own configuration
//! (Consul's `connectInject.default`, Istio's `enableNamespacesByDefault`) cannot be detected.

use std::collections::BTreeMap;

/// Names of the containers that meshes inject.
const CONTAINERS: &[&str] = &["istio-proxy", "linkerd-proxy", "kuma-sidecar", "consul-dataplane"];
/// Consul injects one container for each Service of a pod.
const CONTAINER_PREFIX: &str = "consul-dataplane-";

const ISTIO_INJECT: &str = "sidecar.istio.io/inject";
const ISTIO_NAMESPACE: &str = "istio-injection";
const ISTIO_REVISION: &str = "istio.io/rev";
const ISTIO_DATAPLANE: &str = "istio.io/dataplane-mode";
const LINKERD: &str = "linkerd.io/inject";
const KUMA: &str = "kuma.io/sidecar-injection";
const CONSUL: &str = "consul.hashicorp.com/connect-inject";
const OPEN_SERVICE_MESH: &str = "openservicemesh.io/sidecar-injection";
const APP_MESH: &str = "appmesh.k8s.aws/sidecarInjectorWebhook";

/// Every label and annotation of a namespace that a mesh reads.
pub(crate) const NAMESPACE_KEYS: &[&str] =
    &[ISTIO_NAMESPACE, ISTIO_REVISION, ISTIO_DATAPLANE, LINKERD, KUMA, CONSUL, OPEN_SERVICE_MESH, APP_MESH];

type StringMap = BTreeMap<String, String>;

/// Labels and annotations of a pod or a namespace.
#[derive(Clone, Copy)]
pub(crate) struct Metadata<'a> {
    pub(crate) labels: &'a StringMap,
    pub(crate) annotations: &'a StringMap,
}

/// Returns whether a pod with these containers has a mesh's proxy, or gets one when it is created. `namespace` is
/// `None` if nothing is known about it.
pub(crate) fn has_proxy<'a>(
    mut containers: impl Iterator<Item = &'a str>,
    pod: Metadata<'_>,
    namespace: Option<Metadata<'_>>,
) -> bool {
    let none = StringMap::new();
    let namespace = namespace.unwrap_or(Metadata { labels: &none, annotations: &none });
    let rules = [istio_sidecar, istio_ambient, linkerd, kuma, consul, open_service_mesh, app_mesh];
    let is_injected = |name: &str| CONTAINERS.contains(&name) || name.starts_with(CONTAINER_PREFIX);
    containers.any(is_injected) || rules.iter().any(|asks| asks(pod, namespace))
}

/// Istio's sidecar: the selectors of its webhook (chart `istio-discovery`, mutatingwebhook.yaml), and then
/// `injectRequired` (pkg/kube/inject).
fn istio_sidecar(pod: Metadata<'_>, namespace: Metadata<'_>) -> bool {
    let label = pod.label(ISTIO_INJECT);
    // Every selector excludes such a pod.
    if label == Some("false") {
        return false;
    }
    // The label of the pod takes precedence.
    let word = label.or_else(|| pod.annotation(ISTIO_INJECT)).unwrap_or_default();
    // Istio accepts `true` only; earlier releases accept YAML's other words for it, too.
    let yes = ["true", "yes", "y", "on"].iter().any(|yes| word.eq_ignore_ascii_case(yes));
    let is_selected = match (namespace.label(ISTIO_NAMESPACE), namespace.label(ISTIO_REVISION)) {
        // The older label takes precedence over the revision, and over the pod's own.
        (Some(word), _) => word == "enabled",
        (None, Some(revision)) => !revision.is_empty(),
        (None, None) => yes || pod.label(ISTIO_REVISION).is_some_and(|revision| !revision.is_empty()),
    };
    // Any other value leaves the decision to the policy, which is to inject.
    is_selected && word != "false"
}

/// Istio without sidecars: `enablementSelectors` of the chart `istio-cni`.
fn istio_ambient(pod: Metadata<'_>, namespace: Metadata<'_>) -> bool {
    match pod.label(ISTIO_DATAPLANE) {
        Some("ambient") => true,
        Some("none") => false,
        Some(_) | None => namespace.label(ISTIO_DATAPLANE) == Some("ambient"),
    }
}

/// Linkerd: `disableByAnnotation` of pkg/inject. An unknown value on either object keeps its proxy out.
///
/// Linkerd reads annotations only; a label with the same name is taken for a mistaken annotation.
fn linkerd(pod: Metadata<'_>, namespace: Metadata<'_>) -> bool {
    let asks = |word: &str| matches!(word, "enabled" | "ingress");
    match (namespace.either(LINKERD).unwrap_or_default(), pod.either(LINKERD).unwrap_or_default()) {
        (namespace, "") => asks(namespace),
        ("" | "disabled", pod) => asks(pod),
        (namespace, pod) => asks(namespace) && asks(pod),
    }
}

/// Kuma: `needToInject` of its injector, which reads labels; earlier releases read annotations.
fn kuma(pod: Metadata<'_>, namespace: Metadata<'_>) -> bool {
    let word = |of: Metadata<'_>| of.labels.get(KUMA).or_else(|| of.annotations.get(KUMA)).cloned();
    matches!(word(pod).or_else(|| word(namespace)).as_deref(), Some("enabled" | "true" | "yes"))
}

/// Consul: `shouldInject` of its webhook, which uses Go's `ParseBool`. The installation names the label that selects
/// namespaces; only a label with the annotation's name is known here.
fn consul(pod: Metadata<'_>, namespace: Metadata<'_>) -> bool {
    let word = pod.annotation(CONSUL).or_else(|| namespace.either(CONSUL));
    matches!(word, Some("1" | "t" | "T" | "TRUE" | "true" | "True"))
}

/// Open Service Mesh: the annotation of the pod, else that of its namespace.
fn open_service_mesh(pod: Metadata<'_>, namespace: Metadata<'_>) -> bool {
    let word = pod.annotation(OPEN_SERVICE_MESH).or_else(|| namespace.annotation(OPEN_SERVICE_MESH));
    word.is_some_and(|word| ["enabled", "yes", "true"].iter().any(|yes| word.eq_ignore_ascii_case(yes)))
}

/// AWS App Mesh: the annotation of the pod, else the label of its namespace.
fn app_mesh(pod: Metadata<'_>, namespace: Metadata<'_>) -> bool {
    pod.annotation(APP_MESH).or_else(|| namespace.label(APP_MESH)) == Some("enabled")
}

impl<'a> Metadata<'a> {
    fn label(self, key: &str) -> Option<&'a str> {
        self.labels.get(key).map(String::as_str)
    }

    fn annotation(self, key: &str) -> Option<&'a str> {
        self.annotations.get(key).map(String::as_str)
    }

    fn either(self, key: &str) -> Option<&'a str> {
        self.annotation(key).or_else(|| self.label(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a key stands.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Place {
        /// A label of the namespace.
        NsLabel,
        /// An annotation of the namespace.
        NsNote,
        /// A label of the pod template.
        Label,
        /// An annotation of the pod template.
        Note,
    }
    use Place::{Label, Note, NsLabel, NsNote};

    type Rule = fn(Metadata<'_>, Metadata<'_>) -> bool;
    type Row<'a> = (&'a [(Place, &'a str, &'a str)], bool);

    #[track_caller]
    fn assert_follows(rule: Rule, rows: &[Row<'_>]) {
        for (keys, expected) in rows {
            let at = |wanted: Place| -> StringMap {
                let here = keys.iter().filter(|(place, ..)| *place == wanted);
                here.map(|(_, key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
            };
            let [ns_labels, ns_notes, labels, notes] = [NsLabel, NsNote, Label, Note].map(at);
            let namespace = Metadata { labels: &ns_labels, annotations: &ns_notes };
            let pod = Metadata { labels: &labels, annotations: &notes };
            assert_eq!(rule(pod, namespace), *expected, "{keys:?}");
        }
    }

    #[test]
    fn istio_injects_a_pod_by_namespace_revision_or_label() {
        let (inject, namespace, revision) = (ISTIO_INJECT, ISTIO_NAMESPACE, ISTIO_REVISION);
        assert_follows(
            istio_sidecar,
            &[
                (&[], false),
                // The namespace's label.
                (&[(NsLabel, namespace, "enabled")], true),
                (&[(NsLabel, namespace, "disabled")], false),
                (&[(NsLabel, namespace, "true")], false),
                (&[(NsLabel, namespace, "enabled"), (Label, inject, "false")], false),
                (&[(NsLabel, namespace, "enabled"), (Note, inject, "false")], false),
                // Only `false` keeps the proxy out today.
                (&[(NsLabel, namespace, "enabled"), (Label, inject, "no")], true),
                (&[(NsLabel, namespace, "enabled"), (Label, inject, "true"), (Note, inject, "false")], true),
                (&[(NsLabel, namespace, "enabled"), (Label, inject, "false"), (Note, inject, "true")], false),
                // Every selector excludes pods of a namespace that says no.
                (&[(NsLabel, namespace, "disabled"), (Label, inject, "true")], false),
                (&[(NsLabel, namespace, "disabled"), (NsLabel, revision, "canary")], false),
                (&[(NsLabel, namespace, "disabled"), (Label, revision, "canary")], false),
                (&[(NsLabel, namespace, "enabled"), (NsLabel, revision, "canary")], true),
                // The namespace's revision.
                (&[(NsLabel, revision, "canary")], true),
                (&[(NsLabel, revision, "")], false),
                (&[(NsLabel, revision, "canary"), (Label, inject, "false")], false),
                (&[(NsLabel, revision, "canary"), (Note, inject, "false")], false),
                // The pod's own labels and annotations.
                (&[(Label, revision, "canary")], true),
                (&[(Label, revision, "canary"), (Label, inject, "false")], false),
                (&[(Label, revision, "canary"), (Note, inject, "false")], false),
                (&[(Note, revision, "canary")], false),
                (&[(Label, inject, "true")], true),
                (&[(Note, inject, "true")], true),
                (&[(Label, inject, "false")], false),
                (&[(Label, inject, "false"), (Note, inject, "true")], false),
                (&[(Label, inject, "maybe")], false),
                (&[(Label, inject, "")], false),
            ],
        );
        for yes in ["true", "True", "TRUE", "yes", "Yes", "y", "Y", "on", "ON"] {
            assert_follows(istio_sidecar, &[(&[(Label, inject, yes)], true), (&[(Note, inject, yes)], true)]);
        }
    }

    #[test]
    fn istio_ambient_mode_captures_a_pod_without_a_sidecar() {
        let mode = ISTIO_DATAPLANE;
        assert_follows(
            istio_ambient,
            &[
                (&[], false),
                (&[(NsLabel, mode, "ambient")], true),
                (&[(NsLabel, mode, "none")], false),
                (&[(Label, mode, "ambient")], true),
                (&[(NsLabel, mode, "none"), (Label, mode, "ambient")], true),
                (&[(NsLabel, mode, "ambient"), (Label, mode, "none")], false),
                (&[(NsLabel, mode, "ambient"), (Label, mode, "other")], true),
                (&[(NsNote, mode, "ambient")], false),
                // Excluding the sidecar does not exclude ambient.
                (&[(NsLabel, mode, "ambient"), (Label, ISTIO_INJECT, "false")], true),
            ],
        );
    }

    #[test]
    fn linkerd_injects_a_pod_unless_it_opts_out() {
        assert_follows(
            linkerd,
            &[
                (&[], false),
                (&[(NsNote, LINKERD, "enabled")], true),
                (&[(NsNote, LINKERD, "ingress")], true),
                (&[(NsLabel, LINKERD, "enabled")], true),
                (&[(NsNote, LINKERD, "disabled"), (NsLabel, LINKERD, "enabled")], false),
                (&[(NsNote, LINKERD, "enabled"), (Note, LINKERD, "disabled")], false),
                (&[(NsNote, LINKERD, "enabled"), (Note, LINKERD, "")], true),
                (&[(NsNote, LINKERD, "enabled"), (Note, LINKERD, "false")], false),
                (&[(NsNote, LINKERD, "true"), (Note, LINKERD, "enabled")], false),
                (&[(NsNote, LINKERD, "disabled"), (Note, LINKERD, "enabled")], true),
                (&[(Note, LINKERD, "enabled")], true),
                (&[(Note, LINKERD, "ingress")], true),
                (&[(Label, LINKERD, "enabled")], true),
                (&[(Note, LINKERD, "disabled")], false),
                (&[(Note, LINKERD, "true")], false),
            ],
        );
    }

    #[test]
    fn labels_of_the_pod_take_precedence_over_its_namespace() {
        let (kuma_key, consul_key) = (KUMA, CONSUL);
        for yes in ["enabled", "true", "yes"] {
            assert_follows(
                kuma,
                &[
                    (&[(NsLabel, kuma_key, yes)], true),
                    (&[(NsNote, kuma_key, yes)], true),
                    (&[(Label, kuma_key, yes)], true),
                    (&[(Note, kuma_key, yes)], true),
                    (&[(NsLabel, kuma_key, "disabled"), (Label, kuma_key, yes)], true),
                    (&[(NsLabel, kuma_key, yes), (Label, kuma_key, "disabled")], false),
                    (&[(NsLabel, kuma_key, yes), (Note, kuma_key, "false")], false),
                    (&[(Label, kuma_key, "false"), (Note, kuma_key, yes)], false),
                ],
            );
        }
        for yes in ["1", "t", "T", "true", "True", "TRUE"] {
            assert_follows(
                consul,
                &[
                    (&[(Note, consul_key, yes)], true),
                    (&[(NsLabel, consul_key, yes)], true),
                    (&[(NsNote, consul_key, yes)], true),
                    (&[(NsNote, consul_key, yes), (Note, consul_key, "false")], false),
                    (&[(NsNote, consul_key, yes), (Note, consul_key, "0")], false),
                    (&[(Label, consul_key, yes)], false),
                ],
            );
        }
        assert_follows(consul, &[(&[(Note, consul_key, "yes")], false), (&[], false)]);
        assert_follows(kuma, &[(&[(Label, kuma_key, "on")], false), (&[], false)]);
    }

    #[test]
    fn discontinued_meshes_are_recognized() {
        assert_follows(
            open_service_mesh,
            &[
                (&[], false),
                (&[(NsNote, OPEN_SERVICE_MESH, "enabled")], true),
                (&[(NsNote, OPEN_SERVICE_MESH, "enabled"), (Note, OPEN_SERVICE_MESH, "disabled")], false),
                (&[(Note, OPEN_SERVICE_MESH, "Yes")], true),
            ],
        );
        assert_follows(
            app_mesh,
            &[
                (&[], false),
                (&[(NsLabel, APP_MESH, "enabled")], true),
                (&[(NsLabel, APP_MESH, "enabled"), (Note, APP_MESH, "disabled")], false),
                (&[(Note, APP_MESH, "enabled")], true),
            ],
        );
    }
}

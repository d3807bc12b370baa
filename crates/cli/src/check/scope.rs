//! Which workloads an installation reviews, and its defaults for them.

use std::collections::BTreeMap;

use inject::{Installation, WorkloadKind};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::objects::NamespaceObjects;

/// The label by which a namespace opts out.
pub(crate) const OPT_OUT: (&str, &str) = ("evenkeel.dev/inject", "disabled");

/// The label that API servers put on each namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What is known of an installation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// Whether a cluster is behind it, and not a stream of manifests.
    pub(crate) is_live: bool,
    /// The kinds that the webhook reviews; `None` without a cluster.
    pub(crate) kinds: Option<Vec<WorkloadKind>>,
    /// The namespaces whose workloads the webhook reviews; `None` without a cluster.
    pub(crate) namespaces: Option<LabelSelector>,
    /// The webhook's defaults for every workload.
    pub(crate) installation: Installation,
    /// Whether that is what the webhook has, and not a guess.
    pub(crate) installation_is_known: bool,
}

impl Scope {
    /// Returns why the webhook does not review workloads of a namespace.
    pub(crate) fn opted_out(&self, name: &str, namespace: Option<&NamespaceObjects>) -> Option<&'static str> {
        let no_labels = BTreeMap::new();
        let labels = namespace.map_or(&no_labels, |namespace| &namespace.labels);
        if labels.get(OPT_OUT.0).is_some_and(|value| value == OPT_OUT.1) {
            return Some("it has the label evenkeel.dev/inject=disabled");
        }
        let mut labels = labels.clone();
        labels.insert(NAME_LABEL.to_owned(), name.to_owned());
        let selects = self.namespaces.as_ref().is_none_or(|selector| selects(selector, &labels));
        (!selects).then_some("the namespaceSelector of the webhook configuration does not select it")
    }
}

/// Returns whether a selector selects what has these labels. An empty one selects everything.
pub(crate) fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let mut equal = selector.match_labels.iter().flatten();
    let mut expressions = selector.match_expressions.iter().flatten();
    equal.all(|(key, value)| labels.get(key) == Some(value)) && expressions.all(|one| holds(one, labels))
}

fn holds(requirement: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&requirement.key);
    let is_one = || value.is_some_and(|value| requirement.values.iter().flatten().any(|one| one == value));
    match requirement.operator.as_str() {
        "In" => is_one(),
        "NotIn" => !is_one(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        // The API server has no other.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope(selector: serde_json::Value) -> Scope {
        Scope { namespaces: serde_json::from_value(selector).unwrap(), ..Scope::default() }
    }

    #[test]
    fn namespaces_are_selected_as_the_api_server_does() {
        let chart = scope(json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "evenkeel"]},
            {"key": "evenkeel.dev/inject", "operator": "NotIn", "values": ["disabled"]},
        ]}));
        let with = |key: &str, value: &str| {
            let mut namespace = NamespaceObjects::default();
            namespace.labels.insert(key.to_owned(), value.to_owned());
            namespace
        };
        assert_eq!(chart.opted_out("shop", None), None);
        assert!(chart.opted_out("kube-system", None).is_some());
        assert!(chart.opted_out("shop", Some(&with("evenkeel.dev/inject", "disabled"))).is_some());
        let team =
            scope(json!({"matchLabels": {"team": "a"}, "matchExpressions": [{"key": "team", "operator": "Exists"}]}));
        assert_eq!(team.opted_out("shop", Some(&with("team", "a"))), None);
        assert!(team.opted_out("shop", Some(&with("team", "b"))).is_some());
    }
}

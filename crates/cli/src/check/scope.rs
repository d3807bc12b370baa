//! Which workloads an installation reviews, and its defaults for them.

use std::collections::BTreeMap;

use inject::{Installation, WorkloadKind};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::installation::Release;
use super::objects::{NamespaceObjects, Objects};

/// The label by which a namespace opts out.
pub(crate) const OPT_OUT: (&str, &str) = ("evenkeel.dev/inject", "disabled");

/// The label that API servers put on each namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What is known of an installation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// Whether a cluster is behind it, and not a stream of manifests.
    pub(crate) is_live: bool,
    /// Which installation it is; `None` without one.
    pub(crate) release: Option<Release>,
    /// The version that is installed, if it is known.
    pub(crate) version: Option<String>,
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
    /// Returns whether the webhook reviews workloads of a kind in a namespace.
    fn reviews(&self, namespace: &str, kind: WorkloadKind, objects: &Objects) -> bool {
        let has_kind = self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind));
        has_kind && self.opted_out(namespace, objects.namespaces.get(namespace)).is_none()
    }

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

/// What is known of each installation that is looked at: at least one.
#[derive(Clone, Debug)]
pub(crate) struct Scopes {
    first: Scope,
    others: Vec<Scope>,
}

impl Scopes {
    /// Returns them in this order; without any, one of which nothing is known.
    pub(crate) fn of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut scopes = scopes.into_iter();
        Self { first: scopes.next().unwrap_or_default(), others: scopes.collect() }
    }

    /// Returns all of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Scope> {
        [&self.first].into_iter().chain(&self.others)
    }

    /// Returns the installations whose webhook reviews workloads of a kind in a namespace.
    pub(crate) fn reviewers(&self, namespace: &str, kind: WorkloadKind, objects: &Objects) -> Vec<&Scope> {
        self.all().filter(|scope| scope.reviews(namespace, kind, objects)).collect()
    }

    /// Returns the one by which a workload is judged: the first that reviews it, or else the first.
    pub(crate) fn over(&self, namespace: &str, kind: WorkloadKind, objects: &Objects) -> &Scope {
        self.all().find(|scope| scope.reviews(namespace, kind, objects)).unwrap_or(&self.first)
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
    fn a_workload_is_judged_by_the_release_that_reviews_it() {
        let release = |name: &str, selector: serde_json::Value| Scope {
            release: Some(Release { namespace: name.to_owned(), name: name.to_owned() }),
            kinds: Some(vec![WorkloadKind::Deployment]),
            ..scope(selector)
        };
        let team = |value: &str| json!({"matchLabels": {"team": value}});
        let scopes = Scopes::of([release("a", team("a")), release("b", team("b")), release("c", team("b"))]);
        let mut objects = Objects::default();
        let metadata = json!({"name": "shop", "labels": {"team": "b"}});
        objects.add(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}));
        let name = |scope: &Scope| scope.release.as_ref().unwrap().name.clone();
        let of_shop = |kind| scopes.reviewers("shop", kind, &objects).into_iter().map(name).collect::<Vec<_>>();
        assert_eq!(of_shop(WorkloadKind::Deployment), ["b", "c"]);
        assert_eq!(of_shop(WorkloadKind::StatefulSet), [""; 0]);
        assert_eq!(name(scopes.over("shop", WorkloadKind::Deployment, &objects)), "b");
        assert_eq!(name(scopes.over("other", WorkloadKind::Deployment, &objects)), "a", "it says why");
        assert!(Scopes::of([]).over("shop", WorkloadKind::Deployment, &objects).release.is_none());
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

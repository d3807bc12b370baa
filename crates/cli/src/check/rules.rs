//! The rules that need no running pod: what manifests say, and what is stored in a cluster.

mod autoscalers;
mod injection;
mod misplaced;
mod policies;
mod scaled_objects;
mod services;

use super::finding::{Finding, FindingId};
use super::objects::Objects;
use super::scope::Scope;
use super::workload::Workload;

pub(crate) use misplaced::misplaced;

/// Returns what there is to say about a workload that asks for the proxy, or has it.
pub(crate) fn of_workload(workload: &Workload, objects: &Objects, scope: &Scope) -> Vec<Finding> {
    let mut findings = injection::injection(workload, objects, scope);
    if let Some(report) = workload.report() {
        findings.extend(services::services(workload, report, &objects.services, &objects.ingresses));
        findings.extend(policies::policies(workload, &objects.policies));
        let namespace = objects.namespaces.get(&workload.name.namespace);
        findings.extend(autoscalers::autoscalers(workload, &objects.autoscalers, namespace));
        findings.extend(scaled_objects::scaled_objects(workload, &objects.scalers_of_keda));
    }
    // That a Service would target the proxy is no success while the proxy is not injected, or never will be.
    let is_opted_out = findings.iter().any(|finding| finding.id == FindingId::NamespaceOptedOut);
    if !workload.has_proxy && (scope.is_live || is_opted_out) {
        findings.retain(|finding| finding.id != FindingId::ServiceReaches);
    }
    findings
}

/// Returns a Deployment as it is stored once it was injected, with these annotations.
#[cfg(test)]
pub(crate) fn injected_workload(annotations: &[(settings::Annotation, &str)]) -> Workload {
    let mut object = tests_support::deployment(|object| {
        for (annotation, value) in annotations {
            object["metadata"]["annotations"][annotation.key()] = (*value).into();
        }
    });
    let outcome = inject::inject(&object, inject::WorkloadKind::Deployment, None, &inject::Installation::default());
    outcome.patch().map(|patch| crate::manifests::apply(&mut object, patch)).transpose().unwrap();
    tests_support::workload(object, &Objects::default(), &Scope::default())
}

#[cfg(test)]
mod tests_support {
    use inject::WorkloadKind;
    use serde_json::{Value, json};

    use crate::check::finding::{Finding, FindingId};
    use crate::check::objects::{NamespaceObjects, ObjectName, Objects};
    use crate::check::scope::Scope;
    use crate::check::workload::Workload;

    /// Returns a Deployment that asks for the proxy, with what `change` makes of it.
    pub(super) fn deployment(change: impl FnOnce(&mut Value)) -> Value {
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "annotations": {"evenkeel.dev/max-requests": "1000"}},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{
                        "name": "app",
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "resources": {"requests": {"cpu": "20m"}},
                    }]},
                },
            },
        });
        change(&mut object);
        object
    }

    /// Returns an object in the namespace of [`deployment`].
    pub(super) fn object(api_version: &str, kind: &str, spec: &Value) -> Value {
        let metadata = json!({"name": "web", "namespace": "shop"});
        json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec})
    }

    pub(super) fn objects(others: impl IntoIterator<Item = Value>) -> Objects {
        let mut objects = Objects::default();
        others.into_iter().for_each(|other| objects.add(other));
        objects
    }

    pub(super) fn workload(object: Value, objects: &Objects, scope: &Scope) -> Workload {
        let name = ObjectName::of(&object);
        let kind = WorkloadKind::ALL.iter().copied().find(|kind| kind.name().to_lowercase() == name.kind).unwrap();
        let facts = objects.namespaces.get(&name.namespace).map(NamespaceObjects::facts);
        Workload::read((name, kind, object), facts.as_ref(), &scope.installation).unwrap()
    }

    /// Returns what is found about a workload beside other objects, but what is good.
    pub(super) fn found(object: Value, others: impl IntoIterator<Item = Value>) -> Vec<FindingId> {
        found_in(&Scope::default(), object, others)
    }

    pub(super) fn found_in(scope: &Scope, object: Value, others: impl IntoIterator<Item = Value>) -> Vec<FindingId> {
        let objects = objects(others);
        let findings = super::of_workload(&workload(object, &objects, scope), &objects, scope);
        let bad = findings.into_iter().filter(|finding| finding.severity != crate::check::finding::Severity::Good);
        bad.map(|finding: Finding| finding.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::tests_support::{deployment, object, objects, workload};
    use super::*;

    #[test]
    fn services_of_a_workload_without_the_proxy_have_no_finding() {
        let service = object(
            "v1",
            "Service",
            &json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}),
        );
        let leads = |object: serde_json::Value, scope: &Scope, labels: serde_json::Value| {
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}});
            let objects = objects([service.clone(), namespace]);
            let findings = of_workload(&workload(object, &objects, scope), &objects, scope);
            findings.iter().any(|finding| finding.id == FindingId::ServiceReaches)
        };
        let (files, live) = (Scope::default(), Scope { is_live: true, ..Scope::default() });
        assert!(leads(deployment(|_| {}), &files, json!({})), "it would be injected");
        assert!(!leads(deployment(|_| {}), &files, json!({"evenkeel.dev/inject": "disabled"})));
        assert!(!leads(deployment(|_| {}), &live, json!({})), "it was not reviewed");
        assert!(!leads(deployment(|object| object["kind"] = json!("StatefulSet")), &live, json!({})));
        let injected = super::injected_workload(&[]);
        let objects = objects([service]);
        let findings = of_workload(&injected, &objects, &live);
        assert!(findings.iter().any(|finding| finding.id == FindingId::ServiceReaches), "{findings:?}");
    }
}

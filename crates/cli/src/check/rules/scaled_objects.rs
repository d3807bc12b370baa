//! Whether KEDA scales by the app, and not by the proxy beside it.

use serde_json::Value;

use super::super::finding::{Finding, FindingId};
use super::super::objects::ObjectName;
use super::super::workload::Workload;
use super::autoscalers::container;

/// What cAdvisor's metrics, which have a series for each container, begin with.
const OF_CONTAINERS: &str = "container_";

/// Returns what there is to say about the `ScaledObject`s of a workload.
pub(super) fn scaled_objects(workload: &Workload, scaled_objects: &[(ObjectName, Value)]) -> Vec<Finding> {
    let text = |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let scales = |object: &Value| {
        let kind = text(object, "/spec/scaleTargetRef/kind");
        kind.as_deref().unwrap_or("Deployment") == workload.kind.name()
            && text(object, "/spec/scaleTargetRef/name").as_deref() == Some(&*workload.name.name)
    };
    let mine =
        scaled_objects.iter().filter(|(name, object)| name.namespace == workload.name.namespace && scales(object));
    mine.flat_map(|(name, object)| {
        let triggers = object.pointer("/spec/triggers").and_then(Value::as_array);
        triggers.into_iter().flatten().filter_map(|trigger| of_trigger(workload, &name.to_string(), trigger))
    })
    .collect()
}

fn of_trigger(workload: &Workload, name: &str, trigger: &Value) -> Option<Finding> {
    let of_metadata = |key: &str| trigger.get("metadata")?.get(key)?.as_str();
    match trigger.get("type")?.as_str()? {
        resource @ ("cpu" | "memory") => match of_metadata("containerName") {
            Some(named) => container(workload, name, named),
            None => Some(by_pod(workload, name, &format!("the {resource} of the pods"), "containerName")),
        },
        "prometheus" if of_metadata("query").is_some_and(counts_every_container) => {
            let what = "a query over the metrics of all containers";
            Some(by_pod(workload, name, what, "the label container in its query"))
        }
        _ => None,
    }
}

fn by_pod(workload: &Workload, name: &str, what: &str, by: &str) -> Finding {
    let app = workload.apps().next().map_or("APP", |app| &app.name);
    FindingId::ScaledObjectByPod
        .says(format!("{name} scales by {what}, which counts the proxy as part of the pod"))
        .fix(format!("name the container {app}, by {by} (examples/keda.yaml)"))
}

/// Returns whether a query sums the metrics of a pod's containers up without choosing among them.
fn counts_every_container(query: &str) -> bool {
    let query: String = query.chars().filter(|c| !c.is_whitespace()).collect();
    // `container!=""` leaves out the pod's own cgroup alone.
    let chooses = ["container=", "container!=\"recycling-proxy\"", "container!~"].iter().any(|it| query.contains(it));
    query.contains(OF_CONTAINERS) && !chooses
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests_support::{deployment, found, object};
    use super::*;

    fn found_of(trigger: &Value) -> Vec<FindingId> {
        let spec = json!({"scaleTargetRef": {"name": "web"}, "triggers": [trigger]});
        found(deployment(|_| {}), [object("keda.sh/v1alpha1", "ScaledObject", &spec)])
    }

    #[test]
    fn a_scaled_object_by_the_apps_container_has_no_finding() {
        for resource in ["cpu", "memory"] {
            let by =
                |metadata| found_of(&json!({"type": resource, "metricType": "AverageValue", "metadata": metadata}));
            assert_eq!(by(json!({"value": "1", "containerName": "app"})), []);
            assert_eq!(by(json!({"value": "1"})), [FindingId::ScaledObjectByPod]);
            assert_eq!(by(json!({"value": "1", "containerName": "recycling-proxy"})), [FindingId::HpaContainer]);
        }
    }

    #[test]
    fn a_query_that_does_not_select_a_container_has_a_finding() {
        let by = |query: &str| found_of(&json!({"type": "prometheus", "metadata": {"query": query}}));
        for query in [
            r#"sum(rate(evenkeel_proxy_requests_total{workload="web"}[1m]))"#,
            r#"sum(rate(container_cpu_usage_seconds_total{container="app"}[1m]))"#,
            r#"sum(rate(container_cpu_usage_seconds_total{container!="recycling-proxy"}[1m]))"#,
        ] {
            assert_eq!(by(query), [], "{query}");
        }
        for query in [
            r#"sum(rate(container_cpu_usage_seconds_total{pod=~"web-.*"}[1m]))"#,
            r#"sum(container_memory_working_set_bytes{pod=~"web-.*", container != ""})"#,
        ] {
            assert_eq!(by(query), [FindingId::ScaledObjectByPod], "{query}");
        }
    }

    #[test]
    fn scaled_objects_of_other_workloads_have_no_finding() {
        let trigger = json!({"type": "cpu", "metadata": {"value": "1"}});
        for target in [json!({"name": "other"}), json!({"kind": "StatefulSet", "name": "web"})] {
            let spec = json!({"scaleTargetRef": target, "triggers": [trigger]});
            assert_eq!(found(deployment(|_| {}), [object("keda.sh/v1alpha1", "ScaledObject", &spec)]), []);
        }
        assert_eq!(found_of(&json!({"type": "kafka", "metadata": {}})), []);
    }
}

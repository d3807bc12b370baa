//! Whether an autoscaler sees the app, and not the proxy beside it.

use inject::PROXY_CONTAINER;
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, MetricSpec, MetricTarget};
use k8s_openapi::api::core::v1::Container;

use super::super::finding::{Finding, FindingId};
use super::super::objects::{NamespaceObjects, ObjectName};
use super::super::workload::Workload;

const CPU: &str = "cpu";
/// The label of those that KEDA makes of a `ScaledObject`, which has the finding.
const OF_KEDA: &str = "scaledobject.keda.sh/name";

/// Returns what there is to say about the autoscalers of a workload.
pub(super) fn autoscalers(
    workload: &Workload,
    autoscalers: &[(ObjectName, HorizontalPodAutoscaler)],
    namespace: Option<&NamespaceObjects>,
) -> Vec<Finding> {
    let scales = |autoscaler: &HorizontalPodAutoscaler| {
        let target = &autoscaler.spec.scale_target_ref;
        let is_of_keda = autoscaler.metadata.labels.iter().flatten().any(|(label, _)| label == OF_KEDA);
        target.kind == workload.kind.name() && target.name == workload.name.name && !is_of_keda
    };
    let mine = autoscalers.iter().filter(|(name, _)| name.namespace == workload.name.namespace);
    let mine = mine.filter(|(_, autoscaler)| scales(autoscaler));
    let defaults = namespace.is_some_and(NamespaceObjects::defaults_cpu_requests);
    mine.flat_map(|(name, autoscaler)| of(workload, name, autoscaler, defaults)).collect()
}

fn of(workload: &Workload, name: &ObjectName, autoscaler: &HorizontalPodAutoscaler, defaults: bool) -> Vec<Finding> {
    let name = format!("hpa/{}", name.name);
    let metrics = autoscaler.spec.metrics.as_deref().unwrap_or_default();
    // Without a metric it scales by 80 % of the pods' CPU; so do all of autoscaling/v1.
    if metrics.is_empty() {
        return [by_pod(workload, &name, CPU)].into_iter().chain(requests(workload, &name, None, defaults)).collect();
    }
    metrics.iter().flat_map(|metric| by_metric(workload, &name, metric, defaults)).collect()
}

fn by_metric(workload: &Workload, name: &str, metric: &MetricSpec, defaults: bool) -> Vec<Finding> {
    let relative = |target: &MetricTarget, resource: &str| target.type_ == "Utilization" && resource == CPU;
    if let Some(resource) = &metric.resource {
        let missing = relative(&resource.target, &resource.name).then(|| requests(workload, name, None, defaults));
        return [by_pod(workload, name, &resource.name)].into_iter().chain(missing.flatten()).collect();
    }
    let Some(resource) = &metric.container_resource else { return Vec::new() };
    if let Some(finding) = container(workload, name, &resource.container) {
        return vec![finding];
    }
    let missing = relative(&resource.target, &resource.name);
    missing.then(|| requests(workload, name, Some(&resource.container), defaults)).flatten().into_iter().collect()
}

fn by_pod(workload: &Workload, name: &str, resource: &str) -> Finding {
    let app = workload.apps().next().map_or("APP", |app| &app.name);
    FindingId::HpaByPod
        .says(format!("{name} scales by Resource {resource}, which counts the proxy as part of the pod"))
        .fix(format!("a metric of type ContainerResource on the container {app} (examples/autoscaling.yaml)"))
}

/// Returns what there is to say about an autoscaler that measures this container.
pub(super) fn container(workload: &Workload, name: &str, container: &str) -> Option<Finding> {
    let apps: Vec<&str> = workload.apps().map(|app| app.name.as_str()).collect();
    if apps.contains(&container) {
        return None;
    }
    let what = if container == PROXY_CONTAINER { "the proxy" } else { "a container that is not in the pod" };
    Some(
        FindingId::HpaContainer
            .says(format!("{name} scales by the container {container}: {what}"))
            .fix(format!("name a container of the app: {}", apps.join(", "))),
    )
}

/// A container without a request is one whose utilization is unknown: the autoscaler does nothing.
fn requests(workload: &Workload, name: &str, container: Option<&str>, defaults: bool) -> Option<Finding> {
    let counted = |app: &&Container| container.is_none_or(|container| app.name == container);
    // The request is the limit where the limit alone is given.
    let has_request = |app: &Container| {
        let resources = app.resources.as_ref();
        let of = |resources: &k8s_openapi::api::core::v1::ResourceRequirements| {
            [&resources.requests, &resources.limits]
                .iter()
                .any(|amounts| amounts.iter().flatten().any(|(key, _)| key == CPU))
        };
        resources.is_some_and(of)
    };
    let missing: Vec<&str> =
        workload.apps().filter(counted).filter(|app| !has_request(app)).map(|app| app.name.as_str()).collect();
    (!missing.is_empty() && !defaults).then(|| {
        FindingId::CpuRequestMissing
            .says(format!(
                "{name} scales by utilization of CPU, and has no CPU request to measure by: {}",
                missing.join(", ")
            ))
            .fix("give the container resources.requests.cpu")
            .command(format!(
                "kubectl set resources {} {} --containers={} --requests=cpu=100m",
                workload.name,
                workload.in_namespace(),
                missing.join(",")
            ))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests_support::{deployment, found, object};
    use super::*;

    fn hpa(api_version: &str, metrics: &Value) -> Value {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        object(
            api_version,
            "HorizontalPodAutoscaler",
            &json!({"scaleTargetRef": target, "maxReplicas": 4, "metrics": metrics}),
        )
    }

    fn by_container(container: &str) -> Value {
        let target = json!({"type": "Utilization", "averageUtilization": 60});
        json!([{"type": "ContainerResource", "containerResource": {"name": "cpu", "container": container, "target": target}}])
    }

    #[test]
    fn an_autoscaler_by_the_apps_container_has_no_finding() {
        assert_eq!(found(deployment(|_| {}), [hpa("autoscaling/v2", &by_container("app"))]), []);
        for other in ["recycling-proxy", "ap"] {
            assert_eq!(
                found(deployment(|_| {}), [hpa("autoscaling/v2", &by_container(other))]),
                [FindingId::HpaContainer]
            );
        }
    }

    #[test]
    fn an_autoscaler_by_the_whole_pod_has_a_finding() {
        let target = json!({"type": "Utilization", "averageUtilization": 60});
        let by_pod = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
        assert_eq!(found(deployment(|_| {}), [hpa("autoscaling/v2", &by_pod)]), [FindingId::HpaByPod]);
        assert_eq!(found(deployment(|_| {}), [hpa("autoscaling/v1", &json!(null))]), [FindingId::HpaByPod]);
        let mut of_keda = hpa("autoscaling/v2", &by_pod);
        of_keda["metadata"]["labels"] = json!({OF_KEDA: "web"});
        assert_eq!(found(deployment(|_| {}), [of_keda]), [], "KEDA would write it again");
        let pods = json!([{"type": "Pods", "pods": {"metric": {"name": "x"}, "target": {"type": "AverageValue", "averageValue": "1"}}}]);
        assert_eq!(found(deployment(|_| {}), [hpa("autoscaling/v2", &pods)]), []);
    }

    #[test]
    fn an_autoscaler_by_utilization_needs_a_request_of_the_container() {
        let without =
            || deployment(|object| object["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({}));
        let hpa = || hpa("autoscaling/v2", &by_container("app"));
        assert_eq!(found(without(), [hpa()]), [FindingId::CpuRequestMissing]);
        assert_eq!(found(without(), []), [], "nobody measures by it");
        let limits = json!({"limits": [{"type": "Container", "defaultRequest": {"cpu": "100m"}}]});
        assert_eq!(found(without(), [hpa(), object("v1", "LimitRange", &limits)]), []);
    }
}

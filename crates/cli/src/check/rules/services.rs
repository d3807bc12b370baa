//! Checks whether Services target the proxy, and settings by which reconnects return to the same pods.

use std::collections::BTreeSet;

use inject::{Report, Route, ServiceNote, ServiceRoute};
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::api::networking::v1::Ingress;
use settings::Annotation;

use super::super::finding::{Finding, FindingId};
use super::super::objects::ObjectName;
use super::super::workload::Workload;

/// A Service that selects a workload's pods, as the API has it and as the rule reads it.
struct Selecting<'a> {
    name: &'a ObjectName,
    spec: &'a ServiceSpec,
    service: inject::Service,
}

/// Returns what there is to say about the Services that select a workload's pods.
pub(super) fn services(
    workload: &Workload,
    report: &Report,
    services: &[(ObjectName, Service)],
    ingresses: &[(ObjectName, Ingress)],
) -> Vec<Finding> {
    let in_namespace = services.iter().filter(|(name, _)| name.namespace == workload.name.namespace);
    let mine: Vec<Selecting<'_>> = in_namespace
        .filter_map(|(name, service)| {
            let spec = service.spec.as_ref()?;
            let service = inject::Service::read(&name.name, &serde_json::to_value(spec).ok()?)?;
            Some(Selecting { name, spec, service })
        })
        .filter(|it| it.service.selects(&report.target.labels))
        .collect();
    let routes = report.routes(mine.iter().map(|it| &it.service));
    let mut findings = Vec::new();
    let mut is_reached = false;
    for it in &mine {
        let of_service = || routes.iter().filter(|route| std::ptr::eq(route.service, &raw const it.service));
        if of_service().any(|route| route.route == Route::Proxy) {
            is_reached = true;
            findings.push(FindingId::ServiceReaches.says(format!("{} targets the proxy", it.name)));
        }
        findings.extend(of_service().filter_map(|route| bypasses(workload, report, route)));
    }
    for it in &mine {
        findings.extend(headless(it.name, it.spec, is_reached && mine.len() > 1));
        findings.extend(affinity(workload, it));
        findings.extend(near(it.name, it.spec));
    }
    findings.extend(in_front(workload, &mine, ingresses));
    findings
}

/// Returns the finding about a port of a Service that does not target the proxy.
fn bypasses(workload: &Workload, report: &Report, route: &ServiceRoute<'_>) -> Option<Finding> {
    let said = |id: FindingId| report.note(route).map(|note| id.says(note.to_string()));
    match &route.route {
        Route::Proxy => None,
        Route::Bypass { name, is_given, .. } => {
            let said = said(FindingId::ServiceBypasses)?;
            let Some(name) = name else {
                return Some(said.fix("name the container port, and give that name as targetPort"));
            };
            let (operation, index) = (if *is_given { "replace" } else { "add" }, route.index);
            let patch = format!(r#"[{{"op":"{operation}","path":"/spec/ports/{index}/targetPort","value":"{name}"}}]"#);
            let (service, place) = (&route.service.name, workload.in_namespace());
            let command = format!("kubectl patch service/{service} {place} --type=json --patch '{patch}'");
            Some(said.fix(format!("give the port's name: targetPort: {name}")).command(command))
        }
        Route::NotIntercepted { number, .. } => {
            let taken: Vec<String> = report.ports.iter().map(u16::to_string).collect();
            let key = Annotation::Ports;
            let all = workload.annotations.get(key.key()).cloned().unwrap_or_else(|| taken.join(","));
            let (name, place) = (&workload.name, workload.in_namespace());
            let command = format!("kubectl annotate {name} {place} --overwrite {key}={all},{number}");
            let fix = format!("declare containerPort {number}, or name it in {key}");
            Some(said(FindingId::ServicePortNotTaken)?.fix(fix).command(command))
        }
        Route::Unknown { name } => Some(unknown(report, route, name)),
    }
}

fn unknown(report: &Report, route: &ServiceRoute<'_>, name: &str) -> Finding {
    let names: BTreeSet<&str> = report.target.declared.iter().filter_map(|(_, name)| name.as_deref()).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.into_iter().collect::<Vec<_>>().join(", ") };
    let (service, port) = (&route.service.name, route.port);
    FindingId::ServicePortUnknown
        .says(format!(
            "service/{service} port {port} targets the name {name}, which no container port has (there are: {names})"
        ))
        .fix("correct targetPort, or name the container port")
}

fn is_headless(spec: &ServiceSpec) -> bool {
    spec.cluster_ip.as_deref() == Some("None")
}

/// A headless Service beside another is there for names of pods, as a StatefulSet's.
fn headless(service: &ObjectName, spec: &ServiceSpec, beside_another: bool) -> Option<Finding> {
    (is_headless(spec) && !beside_another).then(|| {
        FindingId::HeadlessService
            .says(format!("{service} is headless: its clients choose pods themselves, and may come back to the same"))
            .fix("use a Service with a cluster IP, or clients that choose anew for each connection")
    })
}

fn affinity(workload: &Workload, it: &Selecting<'_>) -> Option<Finding> {
    let note = ServiceNote::of_affinity(&it.service)?;
    let patch = r#"'{"spec":{"sessionAffinity":"None"}}'"#;
    let command = format!("kubectl patch {} {} --patch {patch}", it.name, workload.in_namespace());
    Some(FindingId::SessionAffinity.says(note.to_string()).fix("sessionAffinity: None, or accept it").command(command))
}

fn near(service: &ObjectName, spec: &ServiceSpec) -> Option<Finding> {
    let local = |field: &'static str, value: &Option<String>| {
        (value.as_deref() == Some("Local")).then(|| format!("{field}: Local"))
    };
    let settings: Vec<String> = [
        local("internalTrafficPolicy", &spec.internal_traffic_policy),
        local("externalTrafficPolicy", &spec.external_traffic_policy),
        spec.traffic_distribution.as_ref().map(|value| format!("trafficDistribution: {value}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!settings.is_empty()).then(|| {
        FindingId::TrafficPolicy
            .says(format!(
                "{service} has {}: a reconnect reaches the pods of a node or zone alone",
                settings.join(", ")
            ))
            .fix("leave it out, or run so many pods in each node or zone that load is even there")
    })
}

fn in_front(workload: &Workload, services: &[Selecting<'_>], ingresses: &[(ObjectName, Ingress)]) -> Option<Finding> {
    let leads = |ingress: &Ingress| {
        // Whichever rule or path it is by.
        let spec = serde_json::to_value(&ingress.spec).unwrap_or_default();
        services.iter().any(|it| names_service(&spec, &it.name.name))
    };
    let mut ingresses = ingresses.iter().filter(|(name, _)| name.namespace == workload.name.namespace);
    let (ingress, _) = ingresses.find(|(_, ingress)| leads(ingress))?;
    Some(FindingId::IngressInFront.says(format!(
        "{ingress} routes to it: most controllers balance each request over the pods themselves, so its traffic needs no recycling"
    )))
}

fn names_service(spec: &serde_json::Value, name: &str) -> bool {
    match spec {
        serde_json::Value::Object(members) => members.iter().any(|(key, value)| {
            key == "service" && value.get("name").and_then(serde_json::Value::as_str) == Some(name)
                || names_service(value, name)
        }),
        serde_json::Value::Array(list) => list.iter().any(|item| names_service(item, name)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests_support::{deployment, found, object};
    use super::*;

    fn service(change: impl FnOnce(&mut Value)) -> Value {
        let mut service = object(
            "v1",
            "Service",
            &json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}),
        );
        change(&mut service["spec"]);
        service
    }

    fn by_name() -> Value {
        deployment(|object| object["metadata"]["annotations"]["evenkeel.dev/interception"] = json!("named-port"))
    }

    #[test]
    fn a_target_port_by_name_reaches_the_proxy_by_either_interception() {
        assert_eq!(found(deployment(|_| {}), [service(|_| {})]), []);
        assert_eq!(found(by_name(), [service(|_| {})]), []);
    }

    #[test]
    fn a_target_port_by_number_bypasses_the_proxy_with_named_port() {
        let numbers = [json!(8080), json!(null)];
        for number in numbers {
            let service = || service(|spec| spec["ports"] = json!([{"port": 8080, "targetPort": number}]));
            assert_eq!(found(deployment(|_| {}), [service()]), []);
            assert_eq!(found(by_name(), [service()]), [FindingId::ServiceBypasses]);
        }
    }

    #[test]
    fn target_ports_that_are_not_intercepted_have_a_finding() {
        let to = |port: Value| service(|spec| spec["ports"][0]["targetPort"] = port);
        assert_eq!(found(deployment(|_| {}), [to(json!(9090))]), [FindingId::ServicePortNotTaken]);
        assert_eq!(found(deployment(|_| {}), [to(json!("htpp"))]), [FindingId::ServicePortUnknown]);
        let chosen = deployment(|object| {
            object["metadata"]["annotations"]["evenkeel.dev/ports"] = json!("http");
            let ports = json!([{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9102}]);
            object["spec"]["template"]["spec"]["containers"][0]["ports"] = ports;
        });
        let both = service(|spec| {
            spec["ports"] = json!([{"port": 80, "targetPort": "http"}, {"port": 9102, "targetPort": "metrics"}]);
        });
        assert_eq!(found(chosen.clone(), [both]), [], "left out on purpose");
        assert_eq!(found(chosen, [to(json!("metrics"))]), [FindingId::ServicePortNotTaken]);
    }

    #[test]
    fn settings_that_keep_clients_on_their_pod_have_a_finding() {
        for (key, value, id) in [
            ("sessionAffinity", json!("ClientIP"), Some(FindingId::SessionAffinity)),
            ("sessionAffinity", json!("None"), None),
            ("trafficDistribution", json!("PreferSameZone"), Some(FindingId::TrafficPolicy)),
            ("internalTrafficPolicy", json!("Local"), Some(FindingId::TrafficPolicy)),
            ("internalTrafficPolicy", json!("Cluster"), None),
            ("clusterIP", json!("None"), Some(FindingId::HeadlessService)),
            ("clusterIP", json!("10.0.0.1"), None),
        ] {
            let found = found(deployment(|_| {}), [service(|spec| spec[key] = value)]);
            assert_eq!(found, Vec::from_iter(id), "{key}");
        }
    }

    #[test]
    fn a_headless_service_has_a_finding_only_without_another_service() {
        let headless = service(|spec| spec["clusterIP"] = json!("None"));
        assert_eq!(found(deployment(|_| {}), [service(|_| {}), headless.clone()]), []);
        assert_eq!(found(by_name(), [headless]), [FindingId::ServiceBypasses, FindingId::HeadlessService]);
    }

    #[test]
    fn services_of_other_pods_have_no_finding() {
        let of_others = service(|spec| {
            spec["selector"] = json!({"app": "db"});
            spec["sessionAffinity"] = json!("ClientIP");
        });
        let without_selector = service(|spec| spec["selector"] = json!({}));
        assert_eq!(found(deployment(|_| {}), [of_others, without_selector]), []);
    }

    #[test]
    fn an_ingress_that_bypasses_the_service_has_a_finding() {
        let ingress = |service: &str| {
            let backend = json!({"service": {"name": service, "port": {"number": 80}}});
            object(
                "networking.k8s.io/v1",
                "Ingress",
                &json!({"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}),
            )
        };
        for (name, told) in [("web", true), ("db", false)] {
            let objects = super::super::tests_support::objects([service(|_| {}), ingress(name)]);
            let scope = crate::check::scope::Scope::default();
            let workload = super::super::tests_support::workload(deployment(|_| {}), &objects, &scope);
            let findings =
                super::services(&workload, workload.report().unwrap(), &objects.services, &objects.ingresses);
            assert_eq!(findings.iter().any(|finding| finding.id == FindingId::IngressInFront), told, "{name}");
        }
    }
}

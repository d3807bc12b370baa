//! Whether Services lead to the proxy, and what keeps reconnects where they were.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use settings::Annotation;

use super::super::finding::{Finding, FindingId};
use super::super::objects::ObjectName;
use super::super::workload::Workload;

/// Where a port of a Service leads.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// To the proxy.
    Proxy,
    /// To the app, past the proxy that listens by this name.
    Past { number: u16, name: Option<String> },
    /// To a port that the proxy does not take.
    NotTaken { number: u16, declared: bool },
    /// To a name that no container has.
    Unknown { name: String },
}

/// Returns what there is to say about the Services that select a workload's pods.
pub(super) fn services(
    workload: &Workload,
    services: &[(ObjectName, Service)],
    ingresses: &[(ObjectName, Ingress)],
) -> Vec<Finding> {
    let mine: Vec<(&ObjectName, &ServiceSpec)> = services
        .iter()
        .filter(|(name, _)| name.namespace == workload.name.namespace)
        .filter_map(|(name, service)| Some((name, service.spec.as_ref()?)))
        .filter(|(_, spec)| selects(spec, workload))
        .collect();
    let mut findings: Vec<Finding> = mine.iter().flat_map(|(name, spec)| ways(workload, name, spec)).collect();
    let reached = findings.iter().any(|finding| finding.id == FindingId::ServiceReaches);
    for (name, spec) in &mine {
        findings.extend(headless(name, spec, reached && mine.len() > 1));
        findings.extend(affinity(workload, name, spec));
        findings.extend(near(name, spec));
    }
    findings.extend(in_front(workload, &mine, ingresses));
    findings
}

fn selects(spec: &ServiceSpec, workload: &Workload) -> bool {
    let labels = workload.labels();
    let mut selector = spec.selector.iter().flatten().peekable();
    selector.peek().is_some() && selector.all(|(key, value)| labels.get(key) == Some(value))
}

fn ways(workload: &Workload, service: &ObjectName, spec: &ServiceSpec) -> Vec<Finding> {
    let tcp = spec.ports.iter().flatten().enumerate();
    let tcp = tcp.filter(|(_, port)| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"));
    let ways: Vec<(usize, &ServicePort, Way)> =
        tcp.map(|(index, port)| (index, port, way(workload, port, is_headless(spec)))).collect();
    let reaches = ways.iter().any(|(_, _, way)| *way == Way::Proxy);
    let mut findings = Vec::new();
    if reaches {
        findings.push(FindingId::ServiceReaches.says(format!("{service} leads to the proxy")));
    }
    // Who names ports, and declares others, wants these to pass by.
    let chooses = workload.annotations.contains_key(Annotation::Ports.key());
    for (index, port, way) in ways {
        let finding = match way {
            Way::Proxy => continue,
            Way::NotTaken { declared, .. } if reaches && chooses && declared => continue,
            Way::Past { number, name } => past(workload, service, (index, port), number, name),
            Way::NotTaken { number, declared } => not_taken(workload, service, port, number, declared),
            Way::Unknown { name } => unknown(workload, service, port, &name),
        };
        findings.push(finding);
    }
    findings
}

fn way(workload: &Workload, port: &ServicePort, headless: bool) -> Way {
    let taken = workload.report().map(|report| report.ports.clone()).unwrap_or_default();
    let declared = |number: u16| workload.ports().find(|port| port.container_port == i32::from(number));
    let by_number = |number: u16| match (taken.contains(&number), workload.is_by_name()) {
        (true, true) => Way::Past { number, name: declared(number).and_then(|port| port.name.clone()) },
        (true, false) => Way::Proxy,
        (false, _) => Way::NotTaken { number, declared: declared(number).is_some() },
    };
    match &port.target_port {
        Some(IntOrString::String(name)) => {
            let numbers: BTreeSet<u16> = workload
                .ports()
                .filter(|port| port.name.as_ref() == Some(name))
                .filter_map(|port| port.container_port.try_into().ok())
                .collect();
            match numbers.first() {
                None => Way::Unknown { name: name.clone() },
                // Clients of a headless Service take the port that they know.
                Some(number) if headless && workload.is_by_name() => by_number(*number),
                Some(_) if numbers.iter().any(|number| taken.contains(number)) => Way::Proxy,
                Some(number) => Way::NotTaken { number: *number, declared: true },
            }
        }
        Some(IntOrString::Int(number)) => by_number(u16::try_from(*number).unwrap_or_default()),
        None => by_number(u16::try_from(port.port).unwrap_or_default()),
    }
}

fn past(
    workload: &Workload,
    service: &ObjectName,
    (index, port): (usize, &ServicePort),
    number: u16,
    name: Option<String>,
) -> Finding {
    let said = FindingId::ServiceBypasses.says(format!(
        "{service} leads past the proxy: port {} → {number} is a number, and with named-port only names lead to the proxy",
        port.port
    ));
    match name {
        Some(name) => {
            let operation = if port.target_port.is_some() { "replace" } else { "add" };
            let patch = format!(r#"[{{"op":"{operation}","path":"/spec/ports/{index}/targetPort","value":"{name}"}}]"#);
            let command = format!("kubectl patch {service} {} --type=json --patch '{patch}'", workload.in_namespace());
            said.fix(format!("give the port's name: targetPort: {name}")).command(command)
        }
        None => said.fix("name the container port, and give that name as targetPort"),
    }
}

fn not_taken(workload: &Workload, service: &ObjectName, port: &ServicePort, number: u16, declared: bool) -> Finding {
    let taken: Vec<String> = workload.report().iter().flat_map(|report| &report.ports).map(u16::to_string).collect();
    let (port, taken) = (port.port, taken.join(", "));
    let which = if declared { "which the proxy does not take" } else { "which no container declares" };
    let said = format!("{service} port {port} leads to {number}, {which}: it takes {taken}");
    let all = workload.annotations.get(Annotation::Ports.key()).map_or(taken, Clone::clone);
    let key = Annotation::Ports;
    FindingId::ServicePortNotTaken
        .says(said)
        .fix(format!("declare containerPort {number}, or name it in {key}"))
        .command(format!(
            "kubectl annotate {} {} --overwrite {key}={all},{number}",
            workload.name,
            workload.in_namespace()
        ))
}

fn unknown(workload: &Workload, service: &ObjectName, port: &ServicePort, name: &str) -> Finding {
    let names: BTreeSet<&str> = workload.ports().filter_map(|port| port.name.as_deref()).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.into_iter().collect::<Vec<_>>().join(", ") };
    FindingId::ServicePortUnknown
        .says(format!(
            "{service} port {} leads to the name {name}, which no container port has (there are: {names})",
            port.port
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

fn affinity(workload: &Workload, service: &ObjectName, spec: &ServiceSpec) -> Option<Finding> {
    let sticky = spec.session_affinity.as_deref() == Some("ClientIP");
    let client_ip = || spec.session_affinity_config.as_ref()?.client_ip.as_ref()?.timeout_seconds;
    sticky.then(|| {
        let seconds = client_ip().unwrap_or(10_800);
        let said = format!(
            "{service} has sessionAffinity: ClientIP ({seconds} s): retired connections come back to the same pod"
        );
        let patch = r#"'{"spec":{"sessionAffinity":"None"}}'"#;
        let command = format!("kubectl patch {service} {} --patch {patch}", workload.in_namespace());
        FindingId::SessionAffinity.says(said).fix("sessionAffinity: None, or accept it").command(command)
    })
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

fn in_front(
    workload: &Workload,
    services: &[(&ObjectName, &ServiceSpec)],
    ingresses: &[(ObjectName, Ingress)],
) -> Option<Finding> {
    let leads = |ingress: &Ingress| {
        // Whichever rule or path it is by.
        let spec = serde_json::to_value(&ingress.spec).unwrap_or_default();
        services.iter().any(|(service, _)| names_service(&spec, &service.name))
    };
    let mut ingresses = ingresses.iter().filter(|(name, _)| name.namespace == workload.name.namespace);
    let (ingress, _) = ingresses.find(|(_, ingress)| leads(ingress))?;
    Some(FindingId::IngressInFront.says(format!(
        "{ingress} leads to it: most controllers balance each request over the pods themselves, so its traffic needs no recycling"
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
    fn a_name_leads_to_the_proxy_either_way() {
        assert_eq!(found(deployment(|_| {}), [service(|_| {})]), []);
        assert_eq!(found(by_name(), [service(|_| {})]), []);
    }

    #[test]
    fn a_number_leads_past_it_with_named_port() {
        let numbers = [json!(8080), json!(null)];
        for number in numbers {
            let service = || service(|spec| spec["ports"] = json!([{"port": 8080, "targetPort": number}]));
            assert_eq!(found(deployment(|_| {}), [service()]), []);
            assert_eq!(found(by_name(), [service()]), [FindingId::ServiceBypasses]);
        }
    }

    #[test]
    fn ports_that_are_not_taken() {
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
    fn what_keeps_reconnects_where_they_were() {
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
    fn a_headless_service_beside_another_is_for_names() {
        let headless = service(|spec| spec["clusterIP"] = json!("None"));
        assert_eq!(found(deployment(|_| {}), [service(|_| {}), headless.clone()]), []);
        assert_eq!(found(by_name(), [headless]), [FindingId::ServiceBypasses, FindingId::HeadlessService]);
    }

    #[test]
    fn other_pods_services_are_none_of_ours() {
        let of_others = service(|spec| {
            spec["selector"] = json!({"app": "db"});
            spec["sessionAffinity"] = json!("ClientIP");
        });
        let without_selector = service(|spec| spec["selector"] = json!({}));
        assert_eq!(found(deployment(|_| {}), [of_others, without_selector]), []);
    }

    #[test]
    fn an_ingress_is_told_of() {
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
            let findings = super::services(&workload, &objects.services, &objects.ingresses);
            assert_eq!(findings.iter().any(|finding| finding.id == FindingId::IngressInFront), told, "{name}");
        }
    }
}

//! The pods of the release: available, unprivileged, reachable.

use chart_tests::parts::PARTS;
use chart_tests::render::{Rendered, rendered};
use serde_json::{Value, json};

fn pods(rendered: &Rendered) -> Vec<&Value> {
    let test = rendered.all("Pod").into_iter().map(|pod| &pod["spec"]);
    let others = rendered.all("Deployment").into_iter().map(|deployment| &deployment["spec"]["template"]["spec"]);
    test.chain(others).collect()
}

#[test]
fn all_pods_satisfy_the_restricted_pod_security_standard() {
    for part in PARTS {
        let rendered = rendered(part);
        let pods = pods(&rendered);
        let balancer = usize::from(!part.contains(&"--set=balancer.enabled=false"));
        assert_eq!(pods.len(), 2 + balancer, "webhook, test and balancer");
        for pod in pods {
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{part:?}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            for key in ["hostNetwork", "hostPID", "hostIPC"] {
                assert_eq!(pod.get(key), None);
            }
            for container in pod["containers"].as_array().unwrap() {
                let context = &container["securityContext"];
                let expected = json!({
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                });
                assert_eq!(*context, expected, "{part:?}");
                assert!(container["resources"]["requests"]["cpu"].is_string(), "{part:?}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{part:?}");
            }
        }
    }
}

#[test]
fn replicas_are_spread_and_one_may_be_unavailable() {
    let rendered = rendered(&[]);
    let deployment = &rendered.one("Deployment")["spec"];
    assert_eq!(deployment["replicas"], 2);
    assert_eq!(deployment["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    let spread = deployment["template"]["spec"]["topologySpreadConstraints"].as_array().unwrap();
    let keys: Vec<&Value> = spread.iter().map(|constraint| &constraint["topologyKey"]).collect();
    assert_eq!(keys, ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]);
    assert_eq!(rendered.one("PodDisruptionBudget")["spec"]["maxUnavailable"], 1);
}

#[test]
fn a_single_replica_has_no_disruption_budget() {
    let both = "--set=webhook.replicas=1,balancer.replicas=1";
    assert!(rendered(&[both]).all("PodDisruptionBudget").is_empty());
}

#[test]
fn selectors_of_the_webhook_select_its_pods_alone() {
    let rendered = rendered(&["--set=networkPolicy.enabled=true", "--set=metrics.serviceMonitor.enabled=true"]);
    let deployment = &rendered.one("Deployment")["spec"];
    let selector = &deployment["selector"]["matchLabels"];
    assert_eq!(rendered.one("Service")["spec"]["selector"], *selector);
    assert_eq!(rendered.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], *selector);
    assert_eq!(rendered.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"], *selector);
    let has = |labels: &Value| selector.as_object().unwrap().iter().all(|(key, value)| labels[key] == *value);
    assert!(has(&deployment["template"]["metadata"]["labels"]));
    assert!(
        !has(&rendered.one("Pod")["metadata"]["labels"]),
        "the Service would send reviews to the pod of `helm test`"
    );
    assert!(has(&rendered.one("Service")["metadata"]["labels"]));
    let monitor = &rendered.one("ServiceMonitor")["spec"];
    assert_eq!(monitor["selector"]["matchLabels"], *selector);
}

#[test]
fn services_and_policies_name_existing_ports() {
    let rendered = rendered(&["--set=networkPolicy.enabled=true", "--set=metrics.serviceMonitor.enabled=true"]);
    let ports = &rendered.one("Deployment")["spec"]["template"]["spec"]["containers"][0]["ports"];
    let names: Vec<&Value> = ports.as_array().unwrap().iter().map(|port| &port["name"]).collect();
    let service = rendered.one("Service")["spec"]["ports"].as_array().unwrap();
    let policy = rendered.one("NetworkPolicy")["spec"]["ingress"].as_array().unwrap();
    let led = service.iter().map(|port| &port["targetPort"]);
    for name in led.chain(policy.iter().map(|rule| &rule["ports"][0]["port"])) {
        assert!(names.contains(&name), "{name}");
    }
    let monitored = &rendered.one("ServiceMonitor")["spec"]["endpoints"][0]["port"];
    assert!(service.iter().any(|port| port["name"] == *monitored), "{monitored}");
}

#[test]
fn the_network_policy_allows_the_ports_of_the_api_servers() {
    let egress = |rendered: &Rendered| rendered.one("NetworkPolicy")["spec"]["egress"].clone();
    let ports =
        |numbers: &[u16]| -> Value { numbers.iter().map(|port| json!({"port": port, "protocol": "TCP"})).collect() };
    let enabled = "--set=networkPolicy.enabled=true";
    assert_eq!(egress(&rendered(&[enabled])), json!([{"ports": ports(&[443, 6443])}]));
    let others = rendered(&[enabled, "--set=networkPolicy.apiServerPorts={16443}"]);
    assert_eq!(egress(&others), json!([{"ports": ports(&[16_443])}]));
}

#[test]
fn images_have_the_version_of_the_chart_unless_another_is_given() {
    let image = |rendered: &Rendered| rendered.one("Pod")["spec"]["containers"][0]["image"].clone();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(image(&rendered(&[])), format!("ghcr.io/evenkeel/control-plane:{version}"));
    assert_eq!(image(&rendered(&["--set-string=webhook.image.tag=7"])), "ghcr.io/evenkeel/control-plane:7");
    let digest = format!("sha256:{}", "7".repeat(64));
    let pinned = rendered(&[
        "--set-string=webhook.image.tag=7",
        &format!("--set=webhook.image.digest={digest}"),
        &format!("--set=proxy.image.digest={digest}"),
    ]);
    assert_eq!(image(&pinned), format!("ghcr.io/evenkeel/control-plane@{digest}"));
    let arguments = pinned.one("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    let proxy = format!("--default=proxy-image=ghcr.io/evenkeel/recycling-proxy@{digest}");
    assert!(arguments.contains(&proxy), "{arguments}");
}

#[test]
fn an_affinity_replaces_the_topology_spread_constraints() {
    let affinity = json!({"nodeAffinity": {}});
    let rendered = rendered(&[
        "--set-json=webhook.affinity={\"nodeAffinity\": {}}",
        "--set-json=balancer.affinity={\"nodeAffinity\": {}}",
    ]);
    for deployment in [rendered.one("Deployment"), rendered.of_balancer("Deployment")] {
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["affinity"], affinity);
        assert_eq!(pod.get("topologySpreadConstraints"), None);
    }
}

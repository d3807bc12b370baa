//! The balancer has two replicas, rights by name, and connections only to proxies and API servers.

use chart_tests::render::{Rendered, rendered};
use serde_json::{Value, json};

const POLICY: &str = "--set=networkPolicy.enabled=true";

fn container(rendered: &Rendered) -> &Value {
    &rendered.of_balancer("Deployment")["spec"]["template"]["spec"]["containers"][0]
}

fn rights(role: &Value) -> Vec<Value> {
    let rules = role["rules"].as_array().unwrap().iter();
    rules.map(|rule| json!([rule["resources"][0], rule["resourceNames"][0], rule["verbs"]])).collect()
}

#[test]
fn a_disabled_balancer_leaves_no_object() {
    let rendered = rendered(&["--set=balancer.enabled=false", POLICY, "--set=metrics.serviceMonitor.enabled=true"]);
    for object in rendered.objects() {
        assert!(!object["metadata"]["name"].as_str().unwrap().contains("balancer"), "{object}");
    }
}

#[test]
fn the_balancer_may_write_three_objects_and_read_two_kinds() {
    let rendered = rendered(&[]);
    let write = json!(["get", "patch", "create"]);
    let expected = [
        json!(["secrets", "evenkeel-balancer-key", write]),
        json!(["configmaps", "evenkeel-balancer-keys", write]),
        json!(["leases", "evenkeel-balancer", write]),
    ];
    assert_eq!(rights(rendered.of_balancer("Role")), expected);
    let watch = json!(["list", "watch"]);
    let expected = [json!(["pods", null, watch]), json!(["endpointslices", null, watch])];
    assert_eq!(rights(rendered.of_balancer("ClusterRole")), expected);
}

#[test]
fn the_objects_that_the_balancer_writes_are_rendered_empty() {
    for flags in [&[][..], &["--set=fullnameOverride=other"]] {
        let rendered = rendered(flags);
        let arguments = container(&rendered)["args"].to_string();
        for (kind, flag) in [("Secret", "secret-name"), ("ConfigMap", "config-map-name"), ("Lease", "lease-name")] {
            let object = rendered.of_balancer(kind);
            let name = object["metadata"]["name"].as_str().unwrap();
            assert!(arguments.contains(&format!("\"--{flag}={name}\"")), "{arguments}");
            for key in ["data", "stringData", "spec"] {
                assert_eq!(object.get(key), None, "{kind}: Helm would remove what the balancer writes");
            }
        }
    }
}

#[test]
fn the_webhook_reads_the_public_keys_of_the_balancer() {
    for mode in &chart_tests::parts::PARTS[..4] {
        let rendered = rendered(mode);
        let keys = rendered.of_balancer("ConfigMap")["metadata"]["name"].as_str().unwrap();
        let arguments = rendered.one("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
        assert!(arguments.contains(&format!("\"--balance-keys-config-map={keys}\"")), "{arguments}");
        assert!(arguments.contains("\"--namespace=evenkeel\""), "{arguments}");
        let watch = json!(["configmaps", keys, ["get", "list", "watch"]]);
        assert!(rights(rendered.one("Role")).contains(&watch), "{mode:?}");
    }
}

#[test]
fn the_network_policy_lets_the_balancer_reach_proxies_and_api_servers() {
    let rendered = rendered(&[POLICY]);
    let egress = &rendered.of_balancer("NetworkPolicy")["spec"]["egress"];
    assert_eq!(egress[0]["ports"], rendered.one("NetworkPolicy")["spec"]["egress"][0]["ports"]);
    let labels = &egress[1]["to"][0]["podSelector"]["matchLabels"];
    assert_eq!(*labels, json!({"evenkeel.dev/balance": "on"}));
    assert_eq!(egress[1]["ports"], json!([{"port": settings::ADMIN_PORT, "protocol": "TCP"}]));
    assert_eq!(egress.as_array().unwrap().len(), 2);
}

#[test]
fn selectors_of_the_balancer_select_its_pods_alone() {
    let rendered = rendered(&[POLICY, "--set=metrics.serviceMonitor.enabled=true"]);
    let deployment = &rendered.of_balancer("Deployment")["spec"];
    let selector = &deployment["selector"]["matchLabels"];
    assert_eq!(deployment["replicas"], 2);
    assert_eq!(deployment["template"]["metadata"]["labels"], *selector);
    assert_ne!(*selector, rendered.one("Deployment")["spec"]["selector"]["matchLabels"]);
    assert_eq!(rendered.of_balancer("Service")["spec"]["selector"], *selector);
    assert_eq!(rendered.of_balancer("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], *selector);
    assert_eq!(rendered.of_balancer("NetworkPolicy")["spec"]["podSelector"]["matchLabels"], *selector);
    assert_eq!(rendered.of_balancer("ServiceMonitor")["spec"]["selector"]["matchLabels"], *selector);
}

#[test]
fn the_balancer_runs_from_the_control_plane_image() {
    let rendered = rendered(&["--set=balancer.logLevel=debug"]);
    let webhook = &rendered.one("Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container(&rendered)["image"], webhook["image"]);
    assert_eq!(container(&rendered)["command"], json!(["/evenkeel-balancer"]));
    assert!(container(&rendered)["args"].as_array().unwrap().contains(&json!("--log-level=debug")));
}

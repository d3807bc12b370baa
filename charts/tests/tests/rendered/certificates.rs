//! The three modes of `tls`.

use chart_tests::parts::PARTS;
use chart_tests::render::{Rendered, rendered};
use serde_json::Value;

const NAME: &str = "evenkeel-webhook.evenkeel.svc";

fn arguments(rendered: &Rendered) -> Vec<&str> {
    let arguments = &rendered.one("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"];
    arguments.as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

fn client_config(rendered: &Rendered) -> &Value {
    &rendered.one("MutatingWebhookConfiguration")["webhooks"][0]["clientConfig"]
}

#[test]
fn self_managed_certificates_are_in_no_manifest() {
    let rendered = rendered(&[]);
    assert_eq!(client_config(&rendered).get("caBundle"), None);
    let secret = rendered.one("Secret");
    assert_eq!((secret.get("data"), secret.get("stringData")), (None, None));
    let spec = &rendered.one("Deployment")["spec"]["template"]["spec"];
    assert_eq!((spec.get("volumes"), &spec["automountServiceAccountToken"]), (None, &Value::Bool(true)));
    assert!(arguments(&rendered).contains(&"--secret-name=evenkeel-webhook-ca"));
}

#[test]
fn cert_manager_issues_for_the_name_by_which_api_servers_call() {
    let rendered = rendered(PARTS[1]);
    assert_eq!(client_config(&rendered).get("caBundle"), None);
    let annotations = &rendered.one("MutatingWebhookConfiguration")["metadata"]["annotations"];
    assert_eq!(annotations["cert-manager.io/inject-ca-from"], "evenkeel/evenkeel-webhook-tls");
    let certificates = rendered.all("Certificate");
    let [leaf, authority] = certificates[..] else { panic!("expected two certificates") };
    assert_eq!(leaf["spec"]["dnsNames"], serde_json::json!([NAME]));
    assert_eq!(leaf["spec"]["secretName"], "evenkeel-webhook-tls");
    // The chain of issuers: root signs the authority, the authority the leaf.
    let issuers = rendered.all("Issuer");
    let [of_leaf, root] = issuers[..] else { panic!("expected two issuers") };
    assert_eq!(leaf["spec"]["issuerRef"]["name"], of_leaf["metadata"]["name"]);
    assert_eq!(of_leaf["spec"]["ca"]["secretName"], authority["spec"]["secretName"]);
    assert_eq!(authority["spec"]["issuerRef"]["name"], root["metadata"]["name"]);
    assert_eq!(authority["spec"]["isCA"], true);
    assert_eq!(root["spec"]["selfSigned"], serde_json::json!({}));
    serves_files(&rendered, "evenkeel-webhook-tls");
}

#[test]
fn a_given_issuer_replaces_the_charts_own() {
    let rendered = rendered(&[PARTS[2], &["--set=tls.certManager.issuerRef.kind=ClusterIssuer"]].concat());
    assert!(rendered.all("Issuer").is_empty());
    let reference = &rendered.one("Certificate")["spec"]["issuerRef"];
    let expected = serde_json::json!({"name": "internal", "kind": "ClusterIssuer", "group": "cert-manager.io"});
    assert_eq!(*reference, expected);
}

#[test]
fn an_existing_secret_is_mounted_and_its_ca_trusted() {
    let rendered = rendered(PARTS[3]);
    let bundle = client_config(&rendered)["caBundle"].as_str().unwrap();
    assert!(bundle.starts_with("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"), "{bundle} is no PEM in base64");
    assert!(rendered.all("Certificate").is_empty());
    serves_files(&rendered, "mine");
}

#[test]
fn each_certificate_mode_has_its_own_webhook_configuration() {
    let name = |part| rendered(part).one("MutatingWebhookConfiguration")["metadata"]["name"].clone();
    let names = ["evenkeel-webhook", "evenkeel-webhook-cert-manager", "evenkeel-webhook-existing"];
    assert_eq!([name(PARTS[0]), name(PARTS[1]), name(PARTS[3])], names);
}

fn serves_files(rendered: &Rendered, secret: &str) {
    let arguments = arguments(rendered);
    for argument in ["--tls=files", "--tls-cert=/tls/tls.crt", "--tls-key=/tls/tls.key"] {
        assert!(arguments.contains(&argument), "{argument} is not in {arguments:?}");
    }
    let spec = &rendered.one("Deployment")["spec"]["template"]["spec"];
    assert_eq!(spec["volumes"][0]["secret"]["secretName"], secret);
    let mount = &spec["containers"][0]["volumeMounts"][0];
    assert_eq!((&mount["name"], &mount["mountPath"]), (&spec["volumes"][0]["name"], &"/tls".into()));
    assert_eq!(mount["readOnly"], true);
}

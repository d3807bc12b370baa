//! The chart and the manifests rendered from it agree with the program and with the annotations.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::Parser;
use inject::WorkloadKind;
use serde_json::Value;
use settings::Annotation;
use webhook::arguments::{Arguments, Command};
use webhook::certificates::Names;
use webhook::settings::{Settings, Tls};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the values of a list in the rendered manifest that begins after `line` and is indented by twelve.
fn list_after(line: &str, manifest: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|found| found.trim() != line).skip(1);
    let items = lines.map_while(|line| line.strip_prefix("            - "));
    items.map(|item| item.trim_matches(['"', '\'']).to_owned()).collect()
}

#[test]
fn the_webhooks_rendered_command_line_parses() {
    let manifest = read("manifests/evenkeel.yaml");
    let is_ours = |object: &&str| object.contains("kind: Deployment\n") && object.contains("- name: webhook\n");
    let deployment = manifest.split("\n---\n").find(is_ours).expect("the webhook's Deployment");
    let flags = list_after("args:", deployment);
    assert_eq!(flags.first().map(String::as_str), Some("run"));
    let line = std::iter::once("evenkeel-webhook".to_owned()).chain(flags);
    let Command::Run(arguments) = Arguments::try_parse_from(line).unwrap().command else { panic!("expected run") };
    let settings = Settings::parse(&arguments).unwrap();
    let Tls::Own(Names { namespace, service, secret, configuration }) = &settings.tls else {
        panic!("expected --tls self")
    };
    assert_eq!(
        settings.defaults["proxy-image"],
        concat!("ghcr.io/evenkeel/recycling-proxy:", env!("CARGO_PKG_VERSION"))
    );
    // The objects that it manages are installed, and RBAC allows them.
    for (kind, name) in [
        ("Namespace", namespace),
        ("Service", service),
        ("Secret", secret),
        ("MutatingWebhookConfiguration", configuration),
    ] {
        let object = format!("kind: {kind}\nmetadata:\n  name: {name}\n");
        assert!(manifest.contains(&object), "{object} is not in the manifest");
    }
    for name in [secret, configuration] {
        assert!(manifest.contains(&format!("resourceNames: [{name}]")), "no rule names {name}");
    }
    assert_eq!(settings.events, [WorkloadKind::Deployment]);
    assert_eq!(
        settings.namespaces.to_string(),
        "kubernetes.io/metadata.name notin (evenkeel,kube-node-lease,kube-system),evenkeel.dev/inject notin (disabled)"
    );
    for port in [settings.listen.port(), settings.admin.port()] {
        assert!(manifest.contains(&format!("containerPort: {port}\n")), "{port}");
    }
}

#[test]
fn the_charts_schema_accepts_every_installation_default() {
    let schema: Value = serde_json::from_str(&read("charts/evenkeel/values.schema.json")).unwrap();
    let named: BTreeSet<&str> =
        schema["properties"]["defaults"]["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    let known = Annotation::ALL.iter().filter(|annotation| annotation.takes_installation_default());
    assert_eq!(named, known.map(|annotation| annotation.name()).collect());
}

#[test]
fn the_charts_schema_accepts_every_kind() {
    let schema: Value = serde_json::from_str(&read("charts/evenkeel/values.schema.json")).unwrap();
    let named = &schema["properties"]["webhook"]["properties"]["kinds"]["items"]["enum"];
    let known: Vec<&str> = WorkloadKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(*named, serde_json::json!(known));
}

#[test]
fn chart_and_program_have_the_same_version() {
    let chart = read("charts/evenkeel/Chart.yaml");
    for key in ["version", "appVersion"] {
        let line = format!("{key}: {}", env!("CARGO_PKG_VERSION"));
        assert!(chart.lines().any(|found| found == line), "{line} is not in Chart.yaml");
    }
}

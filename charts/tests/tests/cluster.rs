//! The API server of `KUBECONFIG` accepts what the chart renders; it refuses unknown fields and values out of range. It
//! is asked for dry runs, so that nothing changes. The namespace of the installation must exist.

use std::io::Write as _;
use std::process::{Command, Stdio};

use chart_tests::parts::PARTS;
use chart_tests::render::rendered;
use chart_tests::strict;
use serde_json::{Value, json};

#[test]
fn the_api_server_accepts_every_rendered_object() {
    assert!(std::env::var_os("KUBECONFIG").is_some(), "KUBECONFIG names the cluster to ask; `make e2e` makes one");
    for part in PARTS {
        let rendered = rendered(part);
        // Kinds of others are not known to every cluster.
        let objects: Vec<&Value> = rendered.objects().iter().filter(|object| strict::judge(object).is_some()).collect();
        let (accepted, said) = dry_run(&json!({"apiVersion": "v1", "kind": "List", "items": objects}));
        assert!(accepted, "{part:?}: {said}");
        assert_eq!(said.lines().filter(|line| line.contains("serverside-applied")).count(), objects.len(), "{said}");
    }
}

#[test]
fn the_api_server_refuses_an_unknown_field() {
    let mut service = rendered(&[]).one("Service").clone();
    service["spec"]["selectors"] = json!({});
    let (accepted, said) = dry_run(&service);
    assert!(!accepted && said.contains("selectors"), "{said}");
}

/// Returns whether the object is accepted, and what kubectl says.
fn dry_run(object: &Value) -> (bool, String) {
    let mut kubectl = Command::new("kubectl")
        .args(["apply", "--server-side", "--force-conflicts", "--field-manager=chart-tests"])
        .args(["--dry-run=server", "--validate=strict", "--filename=-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("kubectl cannot be run ({error}); see https://kubernetes.io/docs/tasks/tools"));
    kubectl.stdin.take().unwrap().write_all(object.to_string().as_bytes()).unwrap();
    let ran = kubectl.wait_with_output().unwrap();
    let said = [ran.stdout, ran.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (ran.status.success(), said)
}

//! `evenkeel check -f` as its users run it.

mod program;

use std::process::Output;

use serde_json::Value;

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  annotations:
    evenkeel.dev/max-requests: \"1000\"
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        ports:
        - {name: http, containerPort: 8080}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
";

fn check(args: &[&str], input: &str) -> Output {
    program::evenkeel(&[&["check"], args].concat(), input)
}

fn code(args: &[&str], input: &str) -> Option<i32> {
    check(args, input).status.code()
}

#[test]
fn the_exit_code_tells_the_worst_finding() {
    let sticky = format!("{DEPLOYMENT}  sessionAffinity: ClientIP\n");
    let past = DEPLOYMENT.replace("targetPort: http", "targetPort: 9090");
    assert_eq!(code(&["-f", "-"], DEPLOYMENT), Some(0));
    assert_eq!(code(&["-f", "-", "--strict"], DEPLOYMENT), Some(0));
    assert_eq!(code(&["-f", "-"], &sticky), Some(0));
    assert_eq!(code(&["-f", "-", "--strict"], &sticky), Some(1));
    assert_eq!(code(&["-f", "-"], &past), Some(2));
    assert_eq!(code(&["-f", "-"], "a: ["), Some(65));
    assert_eq!(code(&["-f", "/nowhere.yaml"], ""), Some(66));
    assert_eq!(code(&["--no-such"], ""), Some(64));
}

#[test]
fn an_input_without_objects_is_said_to_be_one() {
    for input in ["", "---\n", "hello", "- a"] {
        let run = check(&["-f", "-"], input);
        assert_eq!(String::from_utf8_lossy(&run.stderr), "stdin: no object is in it\n", "{input:?}");
        assert_eq!(run.status.code(), Some(0));
    }
    assert_eq!(String::from_utf8_lossy(&check(&["-f", "-"], DEPLOYMENT).stderr), "");
}

#[test]
fn json_names_each_finding() {
    let past = DEPLOYMENT.replace("targetPort: http", "targetPort: 9090");
    let report: Value = serde_json::from_slice(&check(&["-f", "-", "-o", "json"], &past).stdout).unwrap();
    assert_eq!(report["problems"], 1, "{report}");
    let web = &report["objects"][0];
    assert_eq!((web["kind"].as_str(), web["name"].as_str()), (Some("deployment"), Some("web")));
    let ids: Vec<&str> =
        web["findings"].as_array().unwrap().iter().map(|finding| finding["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["injected", "service-port-not-taken"]);
}

#[test]
fn output_to_a_pipe_has_no_colour() {
    let text = String::from_utf8(check(&["-f", "-"], DEPLOYMENT).stdout).unwrap();
    let expected = "\
deployment/web in the namespace shop: ok
✓ the proxy would be injected: ports http(8080) by redirect, drain up to 20s  [injected]
✓ service/web targets the proxy  [service-reaches-proxy]

1 object: ok
";
    assert_eq!(text, expected);
}

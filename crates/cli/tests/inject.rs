//! `evenkeel inject` and `evenkeel uninject` as their users run them.

mod program;

use std::process::{Command, Stdio};

use serde_json::Value;

const SERVICE: &str = "# A service,   with a comment\napiVersion: v1\nkind: Service\nmetadata: {name:   web}\n";

const DEPLOYMENT: &str = "\
# Source: chart/web.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  annotations:
    evenkeel.dev/max-requests: \"1000\"
spec:
  template:
    spec:
      containers:
      - name: web
        image: example.com/web:1
        args:
        - |
          echo on
          exec web
        - \"on\"
        - \"1e3\"
        - \"null\"
        - \"0755\"
        ports:
        - name: http
          containerPort: 8080
        livenessProbe:
          tcpSocket:
            port: http
";

/// What a run of the program came to.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs `evenkeel` with these arguments and this standard input.
fn evenkeel(args: &[&str], input: &str) -> Run {
    let output = program::evenkeel(args, input);
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn inject(input: &str) -> Run {
    evenkeel(&["inject", "-f", "-"], input)
}

fn values(text: &str) -> Vec<Value> {
    text.split("---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

#[test]
fn only_the_annotated_workload_is_rewritten() {
    let run = inject(&format!("{SERVICE}---\n{DEPLOYMENT}---\n{SERVICE}"));
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(
        run.stderr,
        "shop/deployment/web: the recycling proxy was injected (ports 8080 by redirect; drain up to 20s)\n"
    );
    let injected =
        run.stdout.strip_prefix(&format!("{SERVICE}---\n# Source: chart/web.yaml\n")).expect("what came first");
    let injected = injected.strip_suffix(&format!("---\n{SERVICE}")).expect("what came last");
    let deployment = &values(injected)[0];
    let spec = &deployment["spec"]["template"]["spec"];
    assert_eq!(spec["initContainers"][1]["name"], "recycling-proxy");
    assert_eq!(spec["containers"][0]["livenessProbe"]["tcpSocket"]["port"], 15220);
    assert_eq!(
        spec["containers"][0]["args"],
        values(DEPLOYMENT)[0]["spec"]["template"]["spec"]["containers"][0]["args"]
    );
}

#[test]
fn a_second_injection_changes_nothing_and_uninject_restores_every_byte() {
    let manifest = format!("{SERVICE}---\n{DEPLOYMENT}");
    let once = inject(&manifest);
    let twice = inject(&once.stdout);
    assert_eq!((twice.code, &twice.stdout), (0, &once.stdout));
    assert!(twice.stderr.contains("the recycling proxy is up to date"), "{}", twice.stderr);
    let back = evenkeel(&["uninject", "-f", "-"], &once.stdout);
    assert_eq!((back.code, back.stdout), (0, manifest.clone()));
    assert_eq!(back.stderr, "shop/deployment/web: the recycling proxy was removed\n");
    let nothing = evenkeel(&["uninject", "-f", "-"], &manifest);
    assert_eq!((nothing.code, nothing.stdout), (0, manifest));
}

#[test]
fn a_manifest_without_annotations_is_passed_verbatim() {
    let manifest = DEPLOYMENT.replace("max-requests", "max-requests.not") + "\n\n---\n# the end";
    let manifest = manifest.replace("evenkeel.dev/", "example.dev/");
    let run = inject(&manifest);
    assert_eq!((run.code, run.stdout), (0, manifest));
    assert_eq!(run.stderr, "shop/deployment/web: no annotation asks for the recycling proxy\n");
}

#[test]
fn json_lists_are_injected_as_json() {
    let deployment = &values(DEPLOYMENT)[0];
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [{"kind": "Service"}, deployment]});
    let run = inject(&list.to_string());
    assert_eq!(run.code, 0, "{}", run.stderr);
    let injected: Value = serde_json::from_str(&run.stdout).expect("JSON comes out of JSON");
    assert_eq!(injected["items"][1]["spec"]["template"]["spec"]["initContainers"][1]["name"], "recycling-proxy");
    assert_eq!(injected["items"][0], list["items"][0]);
    let yaml = evenkeel(&["inject", "-f", "-", "-o", "yaml"], &list.to_string());
    assert_eq!(values(&yaml.stdout), [injected]);
}

#[test]
fn items_of_a_deployment_list_need_no_kind() {
    let mut deployment = values(DEPLOYMENT)[0].clone();
    for member in ["apiVersion", "kind"] {
        deployment.as_object_mut().unwrap().shift_remove(member);
    }
    let list = serde_json::json!({"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [deployment]});
    let run = inject(&list.to_string());
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.starts_with("shop/deployment/web: the recycling proxy was injected"), "{}", run.stderr);
    let injected: Value = serde_json::from_str(&run.stdout).unwrap();
    let item = &injected["items"][0];
    assert_eq!(item["spec"]["template"]["spec"]["initContainers"][1]["name"], "recycling-proxy");
    assert!(item.get("kind").is_none(), "an item is as its author wrote it");
    let removed = evenkeel(&["uninject", "-f", "-"], &run.stdout);
    assert_eq!(serde_json::from_str::<Value>(&removed.stdout).unwrap(), list);
}

#[test]
fn output_json_converts_yaml() {
    let run =
        evenkeel(&["inject", "-f", "-", "--output", "json"], &format!("{SERVICE}---\n# nothing\n---\n{DEPLOYMENT}"));
    let mut values = serde_json::Deserializer::from_str(&run.stdout).into_iter::<Value>();
    assert_eq!(values.next().unwrap().unwrap()["kind"], "Service");
    assert_eq!(values.next().unwrap().unwrap()["kind"], "Deployment");
    assert!(values.next().is_none());
}

#[test]
fn defaults_apply_where_the_workload_has_no_annotation() {
    let args = ["inject", "-f", "-", "--default", "jitter=0%", "--default", "proxy-image=localhost/evenkeel-proxy:dev"];
    let run = evenkeel(&args, DEPLOYMENT);
    let proxy = &values(&run.stdout)[0]["spec"]["template"]["spec"]["initContainers"][1];
    assert_eq!(proxy["image"], "localhost/evenkeel-proxy:dev");
    assert_eq!(proxy["env"][1], serde_json::json!({"name": "EVENKEEL_JITTER", "value": "0%"}));
}

#[test]
fn a_workload_that_asks_for_the_proxy_and_does_not_get_it_is_an_error() {
    for (from, to, said) in [
        ("\"1000\"", "\"-5\"", r#"evenkeel.dev/max-requests: "-5" is not usable: expected a whole number"#),
        ("    spec:\n", "    spec:\n      hostNetwork: true\n", "not injected: the pod uses the node's network"),
        ("\"1000\"", "1000", "max-requests: expected a string (in YAML, with quotes)"),
        ("kind: Deployment", "kind: Job", "not injected: only these kinds are: Deployment, StatefulSet, "),
    ] {
        let manifest = DEPLOYMENT.replacen(from, to, 1);
        let run = inject(&manifest);
        assert_eq!((run.code, &run.stdout), (1, &manifest));
        assert!(run.stderr.contains(said) && run.stderr.contains("/web: "), "{}", run.stderr);
    }
}

/// As kustomize's `commonAnnotations` annotate: everything, and each place of it.
#[test]
fn annotated_objects_without_pods_are_reported_once_without_an_error() {
    let annotated = |kind: &str| {
        format!(
            "apiVersion: v1\nkind: {kind}\nmetadata:\n  name: web\n  annotations:\n    evenkeel.dev/max-requests: \"9\"\n"
        )
    };
    let others = format!("{}---\n{}---\n{}", annotated("Service"), annotated("Namespace"), annotated("ConfigMap"));
    let run = inject(&format!("{others}---\n{DEPLOYMENT}"));
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.starts_with(&others) && run.stdout.contains("recycling-proxy"), "{}", run.stdout);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", run.stderr);
    assert_eq!(lines[1], "service/web and 2 more: annotated, and without pods: there is nothing to inject into");
    let alone = evenkeel(&["uninject", "-f", "-"], &annotated("Service"));
    assert_eq!((alone.code, alone.stdout), (0, annotated("Service")));
}

/// A workload of a kind that is not injected is told of one by one, wherever its pods stand in it.
#[test]
fn annotated_workloads_of_other_kinds_are_errors() {
    let pod = "spec: {containers: [{name: web, image: a}]}";
    for (kind, spec) in [
        ("Job", format!("template: {{{pod}}}")),
        ("CronJob", format!("jobTemplate: {{spec: {{template: {{{pod}}}}}}}")),
        ("Service", format!("template: {{{pod}}}")),
    ] {
        let metadata = "metadata: {name: web, annotations: {evenkeel.dev/max-requests: \"9\"}}";
        let run = inject(&format!("apiVersion: example.dev/v1\nkind: {kind}\n{metadata}\nspec: {{{spec}}}\n"));
        assert_eq!(run.code, 1, "{kind}: {}", run.stderr);
        assert!(run.stderr.contains("/web: not injected: only these kinds are: Deployment, "), "{}", run.stderr);
    }
}

#[test]
fn every_invalid_annotation_is_reported() {
    let manifest =
        DEPLOYMENT.replacen("\"1000\"", "\"-5\"\n    evenkeel.dev/jiter: 10%\n    evenkeel.dev/hold-app: maybe", 1);
    let run = inject(&manifest);
    assert_eq!(run.stderr.lines().count(), 3, "{}", run.stderr);
}

#[test]
fn usage_errors_and_unreadable_files_have_their_exit_codes() {
    for (args, input, code, said) in [
        (&["inject"][..], "", 64, "--filename <FILE|FOLDER>"),
        (&["uninject"], "", 64, "<KIND/NAME|--filename <FILE|FOLDER>>"),
        (&["uninject", "deployment/web", "-f", "-"], "", 64, "cannot be used with"),
        (&["inject", "-f", "-", "--default", "jitter"], "", 64, "expected NAME=VALUE"),
        (&["inject", "-f", "-", "--default", "jiter=1%", "--default", "hold-app=maybe"], "", 64, "expected on or off"),
        (&["inject", "-f", "-", "--default", "jiter=1%", "--default", "hold-app=maybe"], "", 64, "default jiter"),
        (&["inject", "-f", "/does/not/exist.yaml"], "", 66, "error: /does/not/exist.yaml: No such file"),
        (&["inject", "-f", "-"], "a: 1\n---\nb: [\n", 65, "error: stdin: "),
        (&["uninject", "-f", "-"], "a: [\n", 65, "unclosed bracket"),
        (&["inject", "-f", "https://example.com/web.yaml"], "", 64, "URLs are not fetched"),
        (
            &["uninject", "deployment/web", "--kubeconfig", "/does/not/exist"],
            "",
            64,
            "error: the kubeconfig /does/not/exist cannot be read: ",
        ),
        (&["demo", "--pods-before", "3", "--pods-after", "2"], "", 64, "error: --pods-after must not be below"),
    ] {
        let run = evenkeel(args, input);
        assert_eq!((run.code, run.stdout.as_str()), (code, ""), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(said), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn several_files_are_written_as_one_stream() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (first, second) = (file("a.yaml", SERVICE.trim_end()), file("b.yaml", SERVICE));
    let run = evenkeel(&["inject", "-f", &first, "-f", &second], "");
    assert_eq!((run.code, run.stdout), (0, format!("{SERVICE}---\n{SERVICE}")));
}

#[test]
fn the_files_of_a_folder_are_read_in_the_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("more")).unwrap();
    for name in ["b.yaml", "a.yml", "c.json", "notes.txt", "more/d.yaml"] {
        let json = format!("{{\"kind\": \"{name}\"}}\n");
        std::fs::write(folder.path().join(name), json).unwrap();
    }
    let path = folder.path().to_str().unwrap();
    let kinds = |args: &[&str]| {
        let run = evenkeel(args, "");
        assert_eq!(run.code, 0, "{}", run.stderr);
        let values = serde_json::Deserializer::from_str(&run.stdout).into_iter::<Value>();
        values.map(|value| value.unwrap()["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&["inject", "-f", path]), ["a.yml", "b.yaml", "c.json"]);
    assert_eq!(kinds(&["inject", "-R", "-f", path]), ["a.yml", "b.yaml", "c.json", "more/d.yaml"]);
    let empty = tempfile::tempdir().unwrap();
    let run = evenkeel(&["inject", "-f", empty.path().to_str().unwrap()], "");
    assert!(run.code == 66 && run.stderr.contains("no file ends in .json, .yaml or .yml"), "{}", run.stderr);
}

/// As a failed `helm template` pipes it.
#[test]
fn an_empty_input_is_reported() {
    for input in ["", "\n", "# nothing\n---\n"] {
        let run = evenkeel(&["inject", "-f", "-"], input);
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, input, "stdin: contains no object\n"));
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    for args in [&["completion", "bash"][..], &["simulate", "--clients", "20", "--runs", "1", "--json"]] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(program.stdout.take());
        let output = program.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{args:?}");
    }
}

#[test]
fn an_earlier_injection_is_updated() {
    let injected = inject(DEPLOYMENT).stdout;
    let run = evenkeel(&["inject", "-f", "-", "--default", "jitter=0%"], &injected);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("the recycling proxy was updated (ports 8080"), "{}", run.stderr);
}

/// The address is one of the loopback network where nothing listens.
#[test]
fn the_version_of_the_client_is_printed_without_a_cluster() {
    let client = format!("client: {}\n", env!("CARGO_PKG_VERSION"));
    let run = evenkeel(&["version", "--client"], "");
    assert_eq!((run.code, &run.stdout), (0, &client), "{}", run.stderr);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let cluster = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "a", "users": [],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": ""}}],
        "clusters": [{"name": "a", "cluster": {"server": "http://127.86.5.4:1"}}]}"#;
    std::fs::write(&path, cluster).unwrap();
    let run = evenkeel(&["version", "--kubeconfig", path.to_str().unwrap()], "");
    assert_eq!((run.code, &run.stdout), (69, &client), "{}", run.stderr);
    assert_eq!(
        run.stderr,
        "error: the cluster http://127.86.5.4:1/ cannot be reached: Connection refused (os error 111)\n"
    );
}

#[test]
fn help_and_version_are_printed() {
    for (args, said) in [
        (&["inject", "--help"][..], "Exit codes:"),
        (&["uninject", "--help"], "Restores what"),
        (&["--help"], "inject"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["completion", "bash"], "uninject"),
        (&["completions", "zsh"], "uninject"),
    ] {
        let run = evenkeel(args, "");
        assert!(run.code == 0 && run.stdout.contains(said), "{args:?}: {}{}", run.stdout, run.stderr);
    }
}

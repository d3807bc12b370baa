//! Promise: everything in `examples/` can be applied unchanged, and workloads whose image is available become ready
//! with the proxy.

use std::process::Command;

use anyhow::{Context as _, ensure};
use e2e::{CustomKind, TestNamespace, in_labelled_namespace, in_namespace, program};
use generated_docs::root;
use serde_json::Value;

/// Custom kinds that are not in the cluster, with the group and the plural of each.
const FOREIGN: [(&str, &str, &str); 2] =
    [("ScaledObject", "keda.sh", "scaledobjects"), ("Application", "argoproj.io", "applications")];

#[tokio::test]
async fn every_example_can_be_applied() -> anyhow::Result<()> {
    in_namespace("examples", |namespace| async move {
        let mut foreign = Vec::new();
        for (kind, group, plural) in FOREIGN {
            foreign.push(CustomKind::define(&namespace, kind, group, plural).await?);
        }
        apply_all(&namespace)
    })
    .await
}

/// Applies each file, objects of a missing namespace as a dry run.
fn apply_all(namespace: &TestNamespace) -> anyhow::Result<()> {
    let mut applied = 0;
    for entry in std::fs::read_dir(root().join("examples"))? {
        let path = entry?.path();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(&path)?)?;
        for mut document in documents {
            let is_namespace = document["kind"] == "Namespace";
            if !is_namespace {
                document["metadata"]["namespace"] = namespace.name().into();
            }
            let dry_run: &[&str] = if is_namespace { &["--dry-run=server"] } else { &[] };
            let arguments = [&["apply", "--server-side", "--force-conflicts", "--filename", "-"], dry_run].concat();
            kubectl(&arguments, &document.to_string()).with_context(|| path.display().to_string())?;
            applied += 1;
        }
    }
    ensure!(applied >= 10, "{applied} objects");
    // `evenkeel check` confirms it. Here, examples/restricted.yaml is not in a restricted namespace.
    let (_, report) =
        program::evenkeel_finds(&["check", "--namespace", namespace.name(), "--interval", "1", "--output", "json"])?;
    let report: Value = serde_json::from_str(&report)?;
    ensure!(found(&report, "greeter").contains(&"injected".to_owned()), "{report:#}");
    ensure!(found(&report, "store") == ["kind-not-reviewed"], "{report:#}");
    Ok(())
}

#[tokio::test]
async fn the_examples_of_grpc_and_of_a_restricted_namespace_become_ready() -> anyhow::Result<()> {
    const RESTRICTED: (&str, &str) = ("pod-security.kubernetes.io/enforce", "restricted");
    let grpc =
        in_namespace("example-grpc", |namespace| async move { come_up(&namespace, "grpc.yaml", "greeter").await });
    let restricted = in_labelled_namespace("example-restricted", &[RESTRICTED], |namespace| async move {
        come_up(&namespace, "restricted.yaml", "web").await
    });
    tokio::try_join!(grpc, restricted).map(drop)
}

/// Applies an example, and has `evenkeel check` look at its pods.
async fn come_up(namespace: &TestNamespace, example: &str, workload: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(root().join("examples").join(example))?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)?;
    for mut document in documents.into_iter().filter(|document| document["kind"] != "Namespace") {
        document["metadata"]["namespace"] = namespace.name().into();
        kubectl(&["apply", "--server-side", "--filename", "-"], &document.to_string())?;
    }
    namespace.wait_for_rollout(workload).await?;
    let reference = format!("deployment/{workload}");
    let arguments = ["check", &reference, "--namespace", namespace.name(), "--interval", "2", "--output", "json"];
    let (code, report) = program::evenkeel_finds(&arguments)?;
    let report: Value = serde_json::from_str(&report)?;
    let found = found(&report, workload);
    ensure!(
        code == 0 && ["injected", "pods-have-proxy"].iter().all(|id| found.contains(&(*id).to_owned())),
        "{report:#}"
    );
    Ok(())
}

/// Returns the findings about the workload with this name.
fn found(report: &Value, name: &str) -> Vec<String> {
    let objects = report["objects"].as_array().into_iter().flatten().filter(|object| object["name"] == name);
    let findings = objects.filter_map(|object| object["findings"].as_array()).flatten();
    findings.filter_map(|finding| finding["id"].as_str().map(str::to_owned)).collect()
}

fn kubectl(arguments: &[&str], input: &str) -> anyhow::Result<String> {
    program::fed("kubectl", arguments, input)
}

/// kubectl gets completions from the plugin, which is installed as docs/REFERENCE.md says.
#[test]
fn kubectl_completes_the_plugin() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let evenkeel = program::path_of_evenkeel()?;
    for name in ["kubectl-evenkeel", "kubectl_complete-evenkeel"] {
        std::os::unix::fs::symlink(&evenkeel, folder.path().join(name))?;
    }
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH")?);
    let output = Command::new("kubectl").args(["__complete", "evenkeel", "st"]).env("PATH", path).output()?;
    let output_text = String::from_utf8(output.stdout)?;
    ensure!(output_text.starts_with("status\tShow the load") && output_text.contains("\n:4"), "{output_text}");
    Ok(())
}

//! Promise: if the API server accepts a workload, it accepts the injected workload.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use e2e::{TestNamespace, in_labelled_namespace};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, PostParams, TypeMeta};
use kube::core::GroupVersionKind;
use kube::runtime::wait::{Condition, await_condition};
use serde_json::Value;

/// Opts the namespace out of the installed webhook, whose configuration may differ.
const OPTED_OUT: (&str, &str) = ("evenkeel.dev/inject", "disabled");

#[tokio::test]
async fn the_api_server_accepts_every_golden_result() -> anyhow::Result<()> {
    in_labelled_namespace("golden", &[OPTED_OUT], |namespace| async move {
        await_condition(namespace.api::<ServiceAccount>(), "default", exists()).await?;
        let (mut tried, mut refused) = (0, Vec::new());
        for case in injected_cases()? {
            // A case whose input is refused, too, does not count.
            for file in ["input.yaml", "output.yaml"] {
                let name = format!("{}/{file}", case.file_name().unwrap_or_default().display());
                let object = serde_saphyr::from_str(&fs::read_to_string(case.join(file))?)?;
                tried += 1;
                if let Err(error) = dry_run(&namespace, as_known(object)).await {
                    refused.push(format!("{name}: {error:#}"));
                }
            }
        }
        println!("{tried} objects applied, {} refused", refused.len());
        ensure!(tried > 0, "no golden case was found");
        ensure!(refused.is_empty(), "the API server refuses\n{}", refused.join("\n"));
        Ok(())
    })
    .await
}

fn exists() -> impl Condition<ServiceAccount> {
    |account: Option<&ServiceAccount>| account.is_some()
}

/// Returns the folders of `crates/inject/tests/golden` in which there is a result.
fn injected_cases() -> anyhow::Result<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/inject/tests/golden");
    let entries = fs::read_dir(&root).with_context(|| format!("{} cannot be read", root.display()))?;
    let mut folders = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>()?;
    folders.retain(|folder| folder.join("output.yaml").exists());
    folders.sort();
    Ok(folders)
}

/// Turns Argo's Rollout into a Deployment, because few clusters have that kind: only the strategy differs.
fn as_known(mut object: Value) -> Value {
    if object["kind"] == "Rollout" {
        object["apiVersion"] = "apps/v1".into();
        object["kind"] = "Deployment".into();
        if let Some(spec) = object["spec"].as_object_mut() {
            spec.remove("strategy");
        }
    }
    object
}

async fn dry_run(namespace: &TestNamespace, object: Value) -> anyhow::Result<()> {
    let types: TypeMeta = serde_json::from_value(object.clone()).context("apiVersion and kind")?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
    let api = Api::<DynamicObject>::namespaced_with(namespace.client(), namespace.name(), &resource);
    let object: DynamicObject = serde_json::from_value(object)?;
    api.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await?;
    Ok(())
}

//! Findings about evenkeel itself: with a second release, on simulated clusters, and without permissions.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{Front, Release, TestNamespace, Web, in_labelled_namespace, in_namespace, program};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use super::broken::deployment;
use super::report::{CLEAN, FOUND, bad, once_found_with, run_with, says};

const NAME: &str = "check-release";
/// The lifetime of the certificate: the webhook is ready until four hours before its end, and `check` warns in the last
/// eight.
const LASTS: Duration = Duration::from_hours(6);

const OPT_OUT: (&str, &str) = ("evenkeel.dev/inject", "disabled");
/// Flags with which `check` looks only at the release of the test.
const OF_RELEASE: [&str; 2] = ["--evenkeel-namespace", NAME];

/// Recreates the balancer's pod with an image that does not exist.
const NO_IMAGE: &str = r#"{"spec": {"replicas": 1, "strategy": {"type": "Recreate", "rollingUpdate": null}, "template": {"spec": {
    "containers": [{"name": "balancer", "image": "localhost/evenkeel-nosuch:dev"}]}}}}"#;

/// A list of two nodes; all replicas of the webhook are on the first.
const NODE_AND_ANOTHER: &str = r#"{"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {},
    "items": [{"metadata": {"name": "one"}}, {"metadata": {"name": "two"}}]}"#;

#[tokio::test]
async fn a_release_beside_the_installed_one_is_told_apart_and_its_faults_are_found() -> anyhow::Result<()> {
    in_labelled_namespace("check-release", &[(NAME, "on"), OPT_OUT], |namespace| async move {
        // A workload that was reviewed with the balancer's keys keeps them.
        let unreviewed = deployment("unreviewed", |object| {
            object["metadata"]["annotations"]["evenkeel.dev/balance"] = json!("on");
        })?;
        namespace.apply(&unreviewed).await?;
        kubectl(&["label", "namespace", namespace.name(), &format!("{}-", OPT_OUT.0)])?;
        let trusted = secret(&namespace).await?;
        let bundle = tempfile::NamedTempFile::new()?;
        std::fs::write(bundle.path(), trusted)?;
        let bundle = format!("--set-file=tls.existing.caBundle={}", bundle.path().display());
        let values = [
            "--set=balancer.replicas=1,tls.mode=existing,tls.existing.secretName=served,missedWarning.enabled=false",
            &bundle,
        ];
        let _release = Release::install(&namespace.client(), NAME, &values).await?;
        let web = Web::sample()?.replicas(1).annotation("evenkeel.dev/balance", "on");
        namespace.deploy(&web).await?;
        both_are_told(&namespace)?;
        let awaited = ["replica-certificate", "certificate-expires", "policy-absent"];
        once_found_with(&namespace, &OF_RELEASE, &awaited.map(|id| ("installation", id))).await?;

        forget_keys(&namespace).await?;
        once_found_with(&namespace, &OF_RELEASE, &[("unreviewed", "not-balanced")]).await?;

        let label = format!("deployment/{NAME}-webhook");
        let balancer = format!("deployment/{NAME}-balancer");
        kubectl(&["label", &label, "--overwrite", "app.kubernetes.io/version=0.0.1"])?;
        kubectl(&["scale", &balancer, "--replicas=0"])?;
        let awaited =
            [("installation", "version-skew"), ("installation", "balancer-no-leader"), ("web", "proxy-version")];
        once_found_with(&namespace, &OF_RELEASE, &awaited).await?;

        // The webhook's next pod cannot mount its Secret, and the balancer's has no image.
        kubectl(&["delete", "secret", "served"])?;
        kubectl(&["patch", &balancer, "--patch", NO_IMAGE])?;
        kubectl(&["delete", "pods", "--all", "--wait=false"])?;
        let no_bundle = r#"[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]"#;
        let configuration = format!("mutatingwebhookconfiguration/{NAME}-webhook-existing");
        kubectl(&["patch", &configuration, "--type=json", "--patch", no_bundle])?;
        let awaited = ["webhook-replicas", "balancer-replicas", "ca-bundle"];
        let awaited = awaited.map(|id| ("installation", id));
        let report = once_found_with(&namespace, &OF_RELEASE, &awaited).await?;
        ensure!(!says(&report, "installation", "installed"), "{report:#}");

        kubectl(&["delete", &configuration])?;
        let (_, report) = run_with(&namespace, &OF_RELEASE)?;
        ensure!(bad(&report, "installation") == ["not-installed"], "{report:#}");
        Ok(())
    })
    .await
}

/// Both releases review the namespace: each is named, unless one is chosen.
fn both_are_told(namespace: &TestNamespace) -> anyhow::Result<()> {
    let installations = |report: &Value| -> Vec<Value> {
        let objects = report["objects"].as_array().into_iter().flatten();
        objects.filter(|it| it["kind"] == "installation").map(|it| it["namespace"].clone()).collect()
    };
    let (_, report) = run_with(namespace, &[])?;
    ensure!(installations(&report) == [NAME, "evenkeel"], "{report:#}");
    ensure!(bad(&report, "web").contains(&"reviewed-twice".to_owned()), "{report:#}");
    let (_, report) = run_with(namespace, &OF_RELEASE)?;
    ensure!(installations(&report) == [NAME], "{report:#}");
    ensure!(!bad(&report, "web").contains(&"reviewed-twice".to_owned()), "{report:#}");
    ensure!(bad(&report, "unreviewed") == ["not-reviewed"], "{report:#}");
    let (_, report) = run_with(namespace, &["--evenkeel-namespace", "nowhere"])?;
    ensure!(bad(&report, "installation") == ["not-installed"], "{report:#}");
    ensure!(report.to_string().contains("it is installed as evenkeel in the namespace evenkeel"), "{report:#}");
    Ok(())
}

/// Removes the balancer's keys from the webhook, as if it were installed without a balancer.
async fn forget_keys(namespace: &TestNamespace) -> anyhow::Result<()> {
    let deployments = Api::<Deployment>::namespaced(namespace.client(), NAME);
    let name = format!("{NAME}-webhook");
    let mut webhook = deployments.get(&name).await?;
    let pod = webhook.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()).context("a pod")?;
    let arguments = pod.containers.first_mut().and_then(|container| container.args.as_mut()).context("arguments")?;
    arguments.retain(|argument| !argument.starts_with("--balance-keys-config-map="));
    deployments.replace(&name, &PostParams::default(), &webhook).await?;
    Ok(())
}

/// Simulates a cluster that is older than native sidecars and has two nodes, with both replicas of the webhook on one.
#[tokio::test]
async fn an_old_cluster_and_replicas_on_one_node_are_found() -> anyhow::Result<()> {
    in_namespace("check-front", |namespace| async move {
        let pods = Api::<Pod>::namespaced(namespace.client(), "evenkeel");
        let webhook = ListParams::default().labels("app.kubernetes.io/component=webhook");
        let mut pods = serde_json::to_value(pods.list(&webhook).await?)?;
        for pod in pods["items"].as_array_mut().into_iter().flatten() {
            pod["spec"]["nodeName"] = "one".into();
        }
        let answers = [
            (
                "/version",
                json!({"major": "1", "minor": "32", "gitVersion": "v1.32.0", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}),
            ),
            ("/api/v1/nodes", serde_json::from_str(NODE_AND_ANOTHER)?),
            ("/api/v1/namespaces/evenkeel/pods", pods),
        ];
        let front = Front::start(namespace.client(), answers).await?;
        let kubeconfig = front.kubeconfig()?.to_owned();
        let checked = tokio::task::spawn_blocking({
            let namespace = namespace.clone();
            move || run_with(&namespace, &["--evenkeel-namespace", "evenkeel", "--kubeconfig", &kubeconfig])
        });
        let (code, report) = checked.await??;
        let mut found = bad(&report, "installation");
        found.sort_unstable();
        ensure!(code == FOUND && found == ["cluster-too-old", "webhook-one-node"], "{report:#}");
        Ok(())
    })
    .await
}

/// Without permission to look for an installation, `check` does not report that there is none.
#[tokio::test]
async fn a_right_that_is_missing_is_no_finding() -> anyhow::Result<()> {
    in_namespace("check-rights", |namespace| async move {
        namespace.apply(&deployment("web", |_| {})?).await?;
        let account = format!("--serviceaccount={}:default", namespace.name());
        let bind = ["create", "rolebinding", "viewer", "--clusterrole=view", &account];
        program::run(namespace.name(), "kubectl", &bind, None)?;
        let mut kubeconfig: Value = serde_json::from_str(&program::run(
            namespace.name(),
            "kubectl",
            &["config", "view", "--flatten", "--minify", "--output=json"],
            None,
        )?)?;
        kubeconfig["users"][0]["user"]["as"] = format!("system:serviceaccount:{}:default", namespace.name()).into();
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), kubeconfig.to_string())?;
        let path = file.path().to_str().context("a path of UTF-8")?;
        let (code, report) = run_with(&namespace, &["--kubeconfig", path])?;
        ensure!(code == CLEAN && says(&report, "web", "injected"), "{report:#}");
        ensure!(bad(&report, "installation").is_empty(), "{report:#}");
        ensure!(report["notChecked"].to_string().contains("mutatingwebhookconfigurations"), "{report:#}");
        Ok(())
    })
    .await
}

fn kubectl(arguments: &[&str]) -> anyhow::Result<()> {
    program::run(NAME, "kubectl", arguments, None).map(drop)
}

/// Creates the release's namespace with the certificate of its webhook. Returns a CA certificate that has not signed
/// it.
async fn secret(namespace: &TestNamespace) -> anyhow::Result<String> {
    let created = Api::<Namespace>::all(namespace.client()).get(namespace.name()).await?;
    let now = created.metadata.creation_timestamp.context("API servers say when")?.0.as_second();
    let mut parameters = CertificateParams::new([format!("{NAME}-webhook.{NAME}.svc")])?;
    parameters.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(now)?) + LASTS;
    let key = KeyPair::generate()?;
    let served = parameters.self_signed(&key)?;
    let trusted = parameters.self_signed(&KeyPair::generate()?)?;
    let manager = PatchParams::apply("evenkeel-e2e");
    let of_release = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}});
    Api::<Namespace>::all(namespace.client()).patch(NAME, &manager, &Patch::Apply(of_release)).await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "served"}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": served.pem(), "tls.key": key.serialize_pem()},
    });
    let secrets = Api::<k8s_openapi::api::core::v1::Secret>::namespaced(namespace.client(), NAME);
    secrets.patch("served", &manager, &Patch::Apply(secret)).await?;
    Ok(trusted.pem())
}

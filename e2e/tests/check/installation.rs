//! What is found about evenkeel itself, of a release beside the installed one. `check` looks at the first by name: this one.

use std::time::Duration;

use anyhow::Context as _;
use e2e::{Release, TestNamespace, in_labelled_namespace, program};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::json;

use super::report::once_found;

const NAME: &str = "check-release";
/// The webhook is ready to the last four hours of its certificate, and `check` warns in the last eight.
const LASTS: Duration = Duration::from_hours(6);

/// The balancer's pod ends before the next one is there.
const NO_IMAGE: &str = r#"{"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}, "template": {"spec": {
    "containers": [{"name": "balancer", "image": "localhost/evenkeel-nosuch:dev"}]}}}}"#;

#[tokio::test]
async fn a_release_with_another_certificate_is_found() -> anyhow::Result<()> {
    in_labelled_namespace("check-release", &[(NAME, "on")], |namespace| async move {
        let trusted = secret(&namespace).await?;
        let bundle = tempfile::NamedTempFile::new()?;
        std::fs::write(bundle.path(), trusted)?;
        let bundle = format!("--set-file=tls.existing.caBundle={}", bundle.path().display());
        let values = ["--set=balancer.replicas=1,tls.mode=existing,tls.existing.secretName=served", &bundle];
        let _release = Release::install(&namespace.client(), NAME, &values).await?;
        let label = format!("deployment/{NAME}-webhook");
        program::run(NAME, "kubectl", &["label", &label, "--overwrite", "app.kubernetes.io/version=0.0.1"], None)?;
        let awaited = ["replica-certificate", "certificate-expires", "version-skew"];
        once_found(&namespace, &awaited.map(|id| ("installation", id))).await?;

        // The webhook's next pod has no Secret to mount, and the balancer's next one no image.
        program::run(NAME, "kubectl", &["delete", "secret", "served"], None)?;
        let balancer = format!("deployment/{NAME}-balancer");
        program::run(NAME, "kubectl", &["patch", &balancer, "--patch", NO_IMAGE], None)?;
        program::run(NAME, "kubectl", &["delete", "pods", "--all", "--wait=false"], None)?;
        let no_bundle = r#"[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]"#;
        let configuration = format!("mutatingwebhookconfiguration/{NAME}-webhook-existing");
        program::run(NAME, "kubectl", &["patch", &configuration, "--type=json", "--patch", no_bundle], None)?;
        let awaited = ["webhook-replicas", "balancer-replicas", "ca-bundle"];
        once_found(&namespace, &awaited.map(|id| ("installation", id))).await.map(drop)
    })
    .await
}

/// Creates the release's namespace, with the certificate that its webhook serves. Returns one that does not vouch for it.
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

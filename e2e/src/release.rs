//! A release of the chart for one test, beside the installed one.

use std::env::VarError;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;

use crate::cluster;

/// A release that reviews workloads of the namespaces with its name as a label, whose value is `on`. It is uninstalled
/// when this value is dropped.
#[derive(Debug)]
pub struct Release {
    helm: String,
    name: String,
}

impl Release {
    /// Installs the chart into a namespace with the release's name, with the images of the installation and these
    /// values.
    pub async fn install(client: &Client, name: &str, values: &[&str]) -> anyhow::Result<Self> {
        let installed = cluster::webhook(client).await?;
        let (webhook, proxy) =
            images(&installed).context("the installed webhook has no image that can be used again")?;
        let helm = helm_programs()?.into_iter().next().context("a program of Helm")?;
        let release = Self { helm, name: name.to_owned() };
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/evenkeel");
        let chart = chart.to_str().context("a path of UTF-8")?;
        let set = [
            format!("--set=fullnameOverride={name},webhook.replicas=1"),
            format!("--set-string=namespaces.matchLabels.{name}=on"),
            format!("--set-string=webhook.image.repository={},webhook.image.tag={}", webhook.0, webhook.1),
            format!("--set-string=proxy.image.repository={},proxy.image.tag={}", proxy.0, proxy.1),
        ];
        let set: Vec<&str> = set.iter().map(String::as_str).chain(values.iter().copied()).collect();
        release.run(&[&["install", name, chart, "--create-namespace", "--wait", "--timeout=2m"], &*set].concat())?;
        Ok(release)
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let helm = Command::new(&self.helm).args(arguments).args(["--namespace", &self.name]).output();
        let output =
            helm.with_context(|| format!("{} cannot be run: see https://helm.sh/docs/intro/install", self.helm))?;
        ensure!(output.status.success(), "helm {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// Returns the programs that `HELM` names, `helm` alone if it is not set.
///
/// # Errors
/// `HELM` names none: the tests would try nothing.
pub fn helm_programs() -> anyhow::Result<Vec<String>> {
    let named = match std::env::var("HELM") {
        Err(VarError::NotPresent) => "helm".to_owned(),
        named => named.context("HELM")?,
    };
    ensure!(!named.trim().is_empty(), "HELM={named}: the names of programs were expected, as in HELM=\"helm helm3\"");
    Ok(named.split_whitespace().map(str::to_owned).collect())
}

impl Drop for Release {
    fn drop(&mut self) {
        let uninstalled = self.run(&["uninstall", &self.name, "--wait"]);
        let deleted = Command::new("kubectl").args(["delete", "namespace", &self.name, "--wait=false"]).output();
        // A second panic would hide the first.
        if uninstalled.is_err() || !deleted.is_ok_and(|output| output.status.success()) {
            println!("the release {} of this test could not be uninstalled: {uninstalled:?}", self.name);
        }
    }
}

/// The repository and the tag of an image.
type Image = (String, String);

/// Returns the images of the webhook and of the proxy that it injects.
fn images(webhook: &Deployment) -> Option<(Image, Image)> {
    let container = webhook.spec.as_ref()?.template.spec.as_ref()?.containers.first()?;
    let mut arguments = container.args.iter().flatten();
    let proxy = arguments.find_map(|argument| argument.strip_prefix("--default=proxy-image="))?;
    Some((image(container.image.as_ref()?)?, image(proxy)?))
}

fn image(reference: &str) -> Option<Image> {
    let (repository, tag) = reference.rsplit_once(':')?;
    Some((repository.to_owned(), tag.to_owned()))
}

//! Promise: after any apply, edit or rollback an injected Deployment is still injected. There is no conflict, the
//! author's fields are kept, and applying the same manifest again changes nothing.
//!
//! This holds for one author. A second field manager that sets a probe's port meets a conflict
//! (docs/WHERE-PODS-ARE-REFUSED.md, "Server-side apply").

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use e2e::{TestNamespace, Web, helm_programs, in_namespace, sidecar};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Value, json};

#[tokio::test]
async fn edits_and_rollbacks_keep_an_injection_with_redirect() -> anyhow::Result<()> {
    in_namespace("edits-and-rollbacks", |namespace| stays_injected(namespace, "redirect")).await
}

#[tokio::test]
async fn edits_and_rollbacks_keep_an_injection_with_named_port() -> anyhow::Result<()> {
    in_namespace("edits-and-rollbacks", |namespace| stays_injected(namespace, "named-port")).await
}

async fn stays_injected(namespace: TestNamespace, interception: &str) -> anyhow::Result<()> {
    let author = Author { namespace, interception: interception.to_owned() };
    for way in [&["apply"][..], &["apply", "--server-side"]] {
        author.is_applied(way).await?;
    }
    author.is_edited_and_rolled_back().await?;
    author.is_replaced().await?;
    // Every installed version of Helm, as in the tests of the chart.
    for helm in helm_programs()? {
        author.is_upgraded(&helm).await?;
    }
    Ok(())
}

/// The editor of `kubectl edit`: it changes the mark.
const EDITOR: &str = "sed -i /MARK/{n;s/first/edited/}";

/// A namespace with a Deployment without pods: only the API server takes part.
struct Author {
    namespace: TestNamespace,
    interception: String,
}

impl Author {
    /// Returns the author's manifest, with the value `mark`, which edits change.
    fn manifest(&self, mark: &str) -> anyhow::Result<String> {
        let web = Web::sample()?.replicas(0).tcp_probes().annotation("evenkeel.dev/max-requests", "100");
        let web = web.annotation("evenkeel.dev/interception", &self.interception);
        let mut object = serde_json::to_value(web.deployment())?;
        object["apiVersion"] = json!("apps/v1");
        object["kind"] = json!("Deployment");
        object["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "MARK", "value": mark}]);
        Ok(object.to_string())
    }

    /// Applies the manifest, applies it again, changes it and applies it again.
    async fn is_applied(&self, way: &[&str]) -> anyhow::Result<()> {
        for mark in ["first", "second"] {
            self.kubectl(way, &self.manifest(mark)?)?;
            let generation = self.injected(way, mark).await?;
            self.kubectl(way, &self.manifest(mark)?)?;
            let again = self.injected(way, mark).await?;
            ensure!(
                generation == again,
                "{way:?} a second time changed the Deployment: generation {generation} became {again}"
            );
        }
        self.kubectl(&["delete"], &self.manifest("second")?)
    }

    async fn is_edited_and_rolled_back(&self) -> anyhow::Result<()> {
        self.kubectl(&["apply"], &self.manifest("first")?)?;
        self.run(&["rollout", "status", "deployment/web", "--timeout=60s"])?;
        self.kubectl_with(&["edit", "deployment", "web"], None)?;
        self.injected(&["edit"], "edited").await?;
        self.run(&["set", "image", "deployment/web", "web=localhost/evenkeel-echo-app:other"])?;
        self.injected(&["set", "image"], "edited").await?;
        self.run(&["rollout", "status", "deployment/web", "--timeout=60s"])?;
        self.run(&["rollout", "undo", "deployment/web", "--to-revision=1"])?;
        let generation = self.injected(&["rollout", "undo"], "first").await?;
        // A label does not raise the generation; a further change by injection would.
        self.run(&["label", "deployment", "web", "note=x"])?;
        ensure!(self.injected(&["label"], "first").await? == generation, "the generation changed again after an undo");
        self.run(&["scale", "deployment", "web", "--replicas=1"])?;
        self.run(&["scale", "deployment", "web", "--replicas=0"])?;
        self.injected(&["scale"], "first").await.map(drop)
    }

    async fn is_replaced(&self) -> anyhow::Result<()> {
        // A replacement names the version that it replaces, and the controller writes a new one with every status.
        self.namespace.wait_for_rollout("web").await?;
        self.kubectl(&["replace"], &self.manifest("replaced")?)?;
        self.injected(&["replace"], "replaced").await?;
        let template = self.template().await?;
        self.namespace.wait_for_rollout("web").await?;
        // A replacement always raises the generation: it removes the controller's annotation of the revision.
        self.kubectl(&["replace"], &self.manifest("replaced")?)?;
        self.injected(&["replace"], "replaced").await?;
        ensure!(self.template().await? == template, "a second replace rolls its pods");
        Ok(())
    }

    /// Installs the author's chart with the Deployment, upgrades it without a change and with one, and rolls it back.
    async fn is_upgraded(&self, helm: &str) -> anyhow::Result<()> {
        self.run(&["delete", "deployment", "web", "--ignore-not-found"])?;
        let chart = self.chart()?;
        let chart = chart.to_str().context("a path of UTF-8")?;
        let helm = |arguments: &[&str]| self.program(helm, &[arguments, &["--wait", "--timeout=1m"]].concat(), None);
        helm(&["install", "web", chart, "--set=mark=first"])?;
        let generation = self.injected(&["helm", "install"], "first").await?;
        helm(&["upgrade", "web", chart, "--set=mark=first"])?;
        let again = self.injected(&["helm", "upgrade"], "first").await?;
        ensure!(generation == again, "the same upgrade changed the Deployment: generation {generation} became {again}");
        helm(&["upgrade", "web", chart, "--set=mark=second"])?;
        let changed = self.injected(&["helm", "upgrade"], "second").await?;
        ensure!(changed == generation + 1, "one change was counted as {}", changed - generation);
        helm(&["rollback", "web", "1"])?;
        self.injected(&["helm", "rollback"], "first").await?;
        helm(&["uninstall", "web"])
    }

    /// Returns a chart with the manifest, whose mark is a value.
    fn chart(&self) -> anyhow::Result<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/e2e/charts").join(self.namespace.name());
        fs::create_dir_all(folder.join("templates"))?;
        fs::write(folder.join("Chart.yaml"), "apiVersion: v2\nname: web\nversion: 1.0.0\n")?;
        fs::write(folder.join("templates/web.yaml"), self.manifest("{{ .Values.mark }}")?)?;
        Ok(folder)
    }

    async fn template(&self) -> anyhow::Result<Option<PodTemplateSpec>> {
        Ok(self.namespace.deployment("web").await?.spec.map(|spec| spec.template))
    }

    /// Checks that the Deployment is injected and has what its author wrote. Returns its generation.
    async fn injected(&self, after: &[&str], mark: &str) -> anyhow::Result<i64> {
        let deployment = self.namespace.deployment("web").await?;
        ensure!(sidecar(&deployment).is_some(), "after {after:?} the sidecar was removed");
        let object = serde_json::to_value(&deployment)?;
        let app = &object["spec"]["template"]["spec"]["containers"][0];
        ensure!(
            app["env"] == json!([{"name": "MARK", "value": mark}]),
            "after {after:?} the author's field {mark} was lost: {app}"
        );
        let handlers = ["exec", "grpc", "httpGet", "tcpSocket"];
        for probe in ["livenessProbe", "readinessProbe"] {
            let found =
                handlers.iter().filter(|handler| app[probe].get(**handler).is_some_and(|it| *it != Value::Null));
            ensure!(found.count() == 1, "after {after:?} {probe} is {}", app[probe]);
        }
        ensure!(
            app["readinessProbe"]["periodSeconds"] == 1,
            "after {after:?} a field of the author's probe was lost: {app}"
        );
        deployment.metadata.generation.context("a Deployment has a generation")
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        self.kubectl_with(arguments, None)
    }

    fn kubectl(&self, arguments: &[&str], manifest: &str) -> anyhow::Result<()> {
        self.kubectl_with(&[arguments, &["--filename", "-"]].concat(), Some(manifest))
    }

    fn kubectl_with(&self, arguments: &[&str], input: Option<&str>) -> anyhow::Result<()> {
        self.program("kubectl", arguments, input)
    }

    fn program(&self, program: &str, arguments: &[&str], input: Option<&str>) -> anyhow::Result<()> {
        let mut command = Command::new(program);
        command.args(["--namespace", self.namespace.name()]).args(arguments).env("KUBE_EDITOR", EDITOR);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn().with_context(|| {
            format!("{program} cannot be run: see https://kubernetes.io/docs/tasks/tools and https://helm.sh/docs/intro/install")
        })?;
        let mut stdin = running.stdin.take().context("it was piped")?;
        stdin.write_all(input.unwrap_or_default().as_bytes())?;
        drop(stdin);
        let output = running.wait_with_output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program} {arguments:?}: {stderr}");
        println!("  {program} {}", arguments.join(" "));
        Ok(())
    }
}

//! Promise: authors can go on applying an injected workload, with any tool, while no webhook reviews it: the webhook is
//! unavailable or uninstalled, or the namespace has opted out. Removing the proxy removes nothing else: an autoscaled
//! Deployment keeps its replicas.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{Release, TestNamespace, Web, helm_programs, in_labelled_namespace, in_namespace, program, sidecar};
use kube::api::PostParams;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// The release that is uninstalled, and the label of the namespaces that it reviews.
const RELEASE: &str = "evenkeel-unreviewed";
/// How long it may take until the API server reaches a ready webhook.
const REACHABLE: Duration = Duration::from_mins(1);
/// Client-side and server-side apply.
const WAYS: [&[&str]; 2] = [&["apply"], &["apply", "--server-side"]];

#[tokio::test]
async fn manifests_can_be_applied_to_an_opted_out_namespace() -> anyhow::Result<()> {
    in_namespace("unreviewed", |namespace| async move {
        let author = Author { namespace };
        for way in WAYS {
            author.apply(way, &manifest("first", Probes::Tcp)?)?;
            author.has("first", "tcpSocket", Some(15_220)).await?;
            author.opt_out(true)?;
            author.apply(way, &manifest("second", Probes::Tcp)?)?;
            author.has("second", "tcpSocket", None).await?;
            author.apply(way, &manifest("third", Probes::Http)?)?;
            author.has_nothing_of_ours("third").await?;
            author.opt_out(false)?;
            author.run("kubectl", &["delete", "deployment", "web"])?;
        }
        // Every installed version of Helm, as in the tests of the chart.
        for helm in helm_programs()? {
            author.upgrade(&helm).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn manifests_can_be_applied_after_the_webhook_is_uninstalled() -> anyhow::Result<()> {
    let client = kube::Client::try_default().await?;
    let release = Release::install(&client, RELEASE, &[]).await?;
    in_labelled_namespace("unreviewed", &[(RELEASE, "on"), ("evenkeel.dev/inject", "on")], |namespace| async move {
        let author = Author { namespace };
        author.until_injected().await?;
        for (number, way) in WAYS.into_iter().enumerate() {
            author.apply(way, &named(&format!("web-{number}"), "first", Probes::Tcp)?)?;
        }
        drop(release);
        for (number, way) in WAYS.into_iter().enumerate() {
            author.apply(way, &named(&format!("web-{number}"), "second", Probes::Tcp)?)?;
            author.apply(way, &named(&format!("web-{number}"), "third", Probes::Http)?)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn removing_the_annotation_keeps_the_replicas_of_an_autoscaler() -> anyhow::Result<()> {
    in_namespace("unreviewed", |namespace| async move {
        let author = Author { namespace };
        for way in WAYS {
            let first = manifest("first", Probes::Tcp)?;
            // While the webhook reviews: the annotation is removed.
            author.apply(way, &first)?;
            author.run("kubectl", &["scale", "deployment", "web", "--replicas=5"])?;
            author.run("kubectl", &["annotate", "deployment", "web", "evenkeel.dev/max-requests-"])?;
            author.is_given_back("first").await?;
            author.run("kubectl", &["delete", "deployment", "web"])?;
            // Without a review.
            author.apply(way, &first)?;
            author.run("kubectl", &["scale", "deployment", "web", "--replicas=5"])?;
            author.opt_out(true)?;
            println!("{}", program::evenkeel(&["uninject", "deployment/web", "--namespace", author.namespace.name()])?);
            author.is_given_back("first").await?;
            author.apply(way, &manifest("second", Probes::Http)?)?;
            author.is_given_back("second").await?;
            author.opt_out(false)?;
            author.run("kubectl", &["delete", "deployment", "web"])?;
        }
        Ok(())
    })
    .await
}

/// The author's probes and hook.
#[derive(Clone, Copy)]
enum Probes {
    /// TCP probes, and no hook.
    Tcp,
    /// HTTP probes and a hook, with the required fields only.
    Http,
}

/// Returns the manifest, with the value `mark`, which edits change.
fn manifest(mark: &str, probes: Probes) -> anyhow::Result<String> {
    named("web", mark, probes)
}

fn named(name: &str, mark: &str, probes: Probes) -> anyhow::Result<String> {
    Ok(object(name, mark, probes)?.to_string())
}

fn object(name: &str, mark: &str, probes: Probes) -> anyhow::Result<Value> {
    let web = Web::sample()?.tcp_probes().annotation("evenkeel.dev/max-requests", "100");
    let mut object = serde_json::to_value(web.deployment())?;
    object["apiVersion"] = json!("apps/v1");
    object["kind"] = json!("Deployment");
    object["metadata"]["name"] = json!(name);
    let spec = object["spec"].as_object_mut().context("a Deployment has a spec")?;
    spec.remove("replicas");
    spec.insert("paused".to_owned(), json!(true));
    let app = &mut object["spec"]["template"]["spec"]["containers"][0];
    app["env"] = json!([{"name": "MARK", "value": mark}]);
    if let Probes::Http = probes {
        let get = json!({"httpGet": {"port": "http"}});
        app["livenessProbe"] = get.clone();
        app["readinessProbe"] = get.clone();
        app["lifecycle"] = json!({"preStop": get});
    }
    Ok(object)
}

/// The author of a Deployment's manifest, which does not set replicas. The Deployment is paused, so that there are no
/// pods: only the API server takes part.
struct Author {
    namespace: TestNamespace,
}

impl Author {
    fn apply(&self, way: &[&str], manifest: &str) -> anyhow::Result<()> {
        let arguments = [way, &["--filename", "-"]].concat();
        program::run(self.namespace.name(), "kubectl", &arguments, Some(manifest)).map(drop)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        program::run(self.namespace.name(), program, arguments, None).map(drop)
    }

    fn opt_out(&self, is_out: bool) -> anyhow::Result<()> {
        let label = if is_out { "evenkeel.dev/inject=disabled" } else { "evenkeel.dev/inject-" };
        self.run("kubectl", &["label", "namespace", self.namespace.name(), label])
    }

    /// Waits until the API server calls the webhook.
    async fn until_injected(&self) -> anyhow::Result<()> {
        let deployment = serde_json::from_value(object("web", "dry", Probes::Tcp)?)?;
        let (asked, dry_run) = (Instant::now(), PostParams { dry_run: true, ..PostParams::default() });
        while sidecar(&self.namespace.api().create(&dry_run, &deployment).await?).is_none() {
            ensure!(asked.elapsed() < REACHABLE, "not injected in {REACHABLE:?}");
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Installs the author's chart while the webhook reviews, and upgrades it while it does not.
    async fn upgrade(&self, helm: &str) -> anyhow::Result<()> {
        let chart = self.chart()?;
        let chart = chart.to_str().context("a path of UTF-8")?;
        self.run(helm, &["install", "web", chart, "--set=mark=first"])?;
        self.has("first", "tcpSocket", Some(15_220)).await?;
        self.opt_out(true)?;
        self.run(helm, &["upgrade", "web", chart, "--set=mark=second"])?;
        self.has("second", "tcpSocket", None).await?;
        self.run(helm, &["upgrade", "web", chart, "--set=mark=third,http=true"])?;
        self.has_nothing_of_ours("third").await?;
        self.opt_out(false)?;
        self.run(helm, &["uninstall", "web"])
    }

    fn chart(&self) -> anyhow::Result<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/e2e/charts").join(self.namespace.name());
        fs::create_dir_all(folder.join("templates"))?;
        fs::write(folder.join("Chart.yaml"), "apiVersion: v2\nname: web\nversion: 1.0.0\n")?;
        let [http, tcp] = [Probes::Http, Probes::Tcp].map(|probes| named("web", "{{ .Values.mark }}", probes));
        let template = format!("{{{{- if .Values.http }}}}\n{}\n{{{{- else }}}}\n{}\n{{{{- end }}}}\n", http?, tcp?);
        fs::write(folder.join("templates/web.yaml"), template)?;
        Ok(folder)
    }

    /// Checks that the Deployment is injected, has the mark, and has probes of this kind, with this port if they are
    /// rewritten.
    async fn has(&self, mark: &str, kind: &str, port: Option<u16>) -> anyhow::Result<()> {
        let deployment = self.namespace.deployment("web").await?;
        ensure!(sidecar(&deployment).is_some(), "{mark}: the sidecar was removed");
        let app = self.app(mark).await?;
        for probe in ["livenessProbe", "readinessProbe"] {
            let handlers = ["exec", "grpc", "httpGet", "tcpSocket"];
            let found: Vec<_> = handlers.iter().filter(|handler| !app[probe][**handler].is_null()).collect();
            ensure!(found == [&kind], "{mark}: {probe} is {}", app[probe]);
            let expected = port.map_or_else(|| json!("http"), |port| json!(port));
            ensure!(app[probe][kind]["port"] == expected, "{mark}: {probe} goes to {}", app[probe]);
        }
        Ok(())
    }

    /// Checks that probes and hook are the author's.
    async fn has_nothing_of_ours(&self, mark: &str) -> anyhow::Result<()> {
        let app = self.app(mark).await?;
        let expected = json!({"path": "/", "port": "http", "scheme": "HTTP"});
        for place in ["/livenessProbe", "/readinessProbe", "/lifecycle/preStop"] {
            let get = app.pointer(&format!("{place}/httpGet"));
            ensure!(get == Some(&expected), "{mark}: {place} is {get:?}");
            ensure!(app.pointer(&format!("{place}/tcpSocket")).is_none(), "{mark}: {place} has two handlers");
        }
        Ok(())
    }

    /// Checks that nothing of evenkeel is left, and that there are five replicas.
    async fn is_given_back(&self, mark: &str) -> anyhow::Result<()> {
        self.app(mark).await?;
        let deployment = self.namespace.deployment("web").await?;
        ensure!(sidecar(&deployment).is_none(), "{mark}: the sidecar is still there");
        let replicas = deployment.spec.and_then(|spec| spec.replicas);
        ensure!(replicas == Some(5), "{mark}: {replicas:?} replicas");
        Ok(())
    }

    /// Returns the app's container, with the mark.
    async fn app(&self, mark: &str) -> anyhow::Result<Value> {
        let object = serde_json::to_value(self.namespace.deployment("web").await?)?;
        let app = object["spec"]["template"]["spec"]["containers"][0].clone();
        ensure!(app["env"] == json!([{"name": "MARK", "value": mark}]), "the author's field {mark} was lost: {app}");
        Ok(app)
    }
}

//! Promise: a Prometheus that is configured as docs/INSTALL.md says scrapes every proxy, webhook and balancer; the
//! dashboard's queries return data, and each alert can be evaluated.
//!
//! Prometheus runs on this machine. It has the document's scrape configuration with two changes. It reaches pods
//! through the API server's proxy. And because Debian builds Prometheus without the discovery of Kubernetes, the test
//! lists the pods and gives Prometheus the labels that discovery would.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use e2e::{Client, TestNamespace, Web, in_namespace};
use generated_docs::{blocks, root};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const NEEDED: &str = "prometheus and promtool are needed (Debian's package is prometheus)";
/// The window of rates: several scrapes.
const WINDOW: &str = "15s";
const PAUSE: Duration = Duration::from_millis(100);
/// How long the first scrapes of all pods may take, and what is counted by them.
const WITHIN: Duration = Duration::from_mins(2);

#[tokio::test]
async fn prometheus_scrapes_what_dashboard_and_alerts_use() -> anyhow::Result<()> {
    in_namespace("monitoring", |namespace| async move {
        let web = Web::sample()?.replicas(2).annotation("evenkeel.dev/balance", "on");
        let address = namespace.deploy(&web).await?;
        let traffic = tokio::spawn(traffic(namespace.clone(), web, address));
        fault(address)?;
        let mut prometheus = Prometheus::start(&discovered(&namespace).await?)?;
        let ready = r#"{namespace="NAMESPACE", workload="web"} == 1"#.replace("NAMESPACE", namespace.name());
        prometheus
            .finds(&[
                format!("count(up{ready}) == 2"),
                r#"count(up{job="evenkeel-control-plane", pod=~".*webhook.*"} == 1) > 1"#.to_owned(),
                r#"count(up{job="evenkeel-control-plane", pod=~".*balancer.*"} == 1) > 1"#.to_owned(),
            ])
            .await?;
        let (dashboard, alerts) = (queries_of_dashboard(namespace.name())?, expressions_of_alerts()?);
        ensure!(dashboard.len() > 20 && alerts.len() > 20, "{dashboard:?} {alerts:?}");
        prometheus.finds(&dashboard).await?;
        for expression in &alerts {
            prometheus.query_finds_numbers(expression)?;
        }
        traffic.abort();
        Ok(())
    })
    .await
}

/// Sends requests and reviews again and again, because rates need traffic. Their results are checked by other tests.
async fn traffic(namespace: TestNamespace, mut web: Web, address: SocketAddr) {
    web = web.named("reviewed");
    loop {
        let _ = tokio::join!(async { Client::new(address).get().await.ok() }, namespace.dry_run(web.deployment()));
        sleep(PAUSE).await;
    }
}

/// Sends a request that the proxy refuses: the metric of faults has no series before the first one.
fn fault(address: SocketAddr) -> anyhow::Result<()> {
    let mut client = TcpStream::connect(address)?;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    Ok(())
}

/// Returns the queries of the dashboard's panels, for a namespace, without conditions that make the result empty while
/// nothing is wrong.
fn queries_of_dashboard(namespace: &str) -> anyhow::Result<Vec<String>> {
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(root().join("charts/evenkeel/files/dashboard.json"))?)?;
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries = targets.filter_map(|target| target["expr"].as_str()).map(|query| {
        let query = query.strip_suffix(" > 0").unwrap_or(query);
        query.replace("$namespace", namespace).replace("$workload", "web").replace("$__rate_interval", WINDOW)
    });
    Ok(queries.collect())
}

fn expressions_of_alerts() -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(root().join("charts/evenkeel/files/alerts.yaml"))?.replace("NAMESPACE", "evenkeel");
    let alerts: Value = serde_saphyr::from_str(&text)?;
    let groups = alerts["groups"].as_array().into_iter().flatten();
    let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
    Ok(rules.filter_map(|rule| rule["expr"].as_str().map(str::to_owned)).collect())
}

/// A Prometheus that scrapes the cluster of `KUBECONFIG`. It is killed when this value is dropped.
struct Prometheus {
    process: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(targets: &Value) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let configuration = folder.path().join("prometheus.yml");
        fs::write(&configuration, scrapes(folder.path(), targets)?.to_string())?;
        // The port is released at once, and no other program of this machine uses it.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", configuration.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}")).args(["--log.level=warn", "--query.lookback-delta=30s"]);
        let process = command.stdin(Stdio::null()).spawn().context(NEEDED)?;
        Ok(Self { process, url: format!("http://{address}"), _folder: folder })
    }

    /// Waits until each query has a result.
    async fn finds(&mut self, queries: &[String]) -> anyhow::Result<()> {
        let (mut missing, begun): (BTreeSet<&String>, _) = (queries.iter().collect(), Instant::now());
        loop {
            ensure!(self.process.try_wait()?.is_none(), "Prometheus has ended: its output above says why");
            let mut errors = Vec::new();
            missing.retain(|query| match self.query_finds_numbers(query) {
                Ok(found) => !found,
                Err(error) => {
                    errors.push(error);
                    true
                }
            });
            if missing.is_empty() {
                return Ok(());
            }
            ensure!(begun.elapsed() < WITHIN, "nothing is found by {missing:#?}: {errors:?}");
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Returns whether the result of a query has numbers.
    fn query_finds_numbers(&self, query: &str) -> anyhow::Result<bool> {
        let mut command = Command::new("promtool");
        let output = command.args(["query", "instant", "--format=json", &self.url, query]).output().context(NEEDED)?;
        ensure!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout)?;
        let is_number = |series: &Value| series["value"][1].as_str().is_some_and(|value| value != "NaN");
        Ok(found.as_array().is_some_and(|found| found.iter().any(is_number)))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the configuration of docs/INSTALL.md with these targets, scraped through the API server's proxy.
fn scrapes(folder: &Path, targets: &Value) -> anyhow::Result<Value> {
    let api_server = ApiServer::of_kubeconfig(folder)?;
    let discovered = folder.join("targets.json");
    fs::write(&discovered, targets.to_string())?;
    let block =
        blocks().into_iter().find(|block| block.page == "docs/INSTALL.md" && block.text.contains("scrape_configs"));
    let mut configuration: Value =
        serde_saphyr::from_str(&block.context("docs/INSTALL.md has no scrape_configs")?.text)?;
    for job in configuration["scrape_configs"].as_array_mut().context("a list")? {
        let discovery = job.as_object_mut().and_then(|job| job.remove("kubernetes_sd_configs"));
        ensure!(discovery.is_some_and(|it| it[0]["role"] == "pod"), "pods are discovered otherwise: {job}");
        job["file_sd_configs"] = json!([{"files": [discovered]}]);
        job["scheme"] = "https".into();
        job["tls_config"] = api_server.tls.clone();
        let pod =
            ["namespace", "pod_name", "pod_container_port_number"].map(|label| format!("__meta_kubernetes_{label}"));
        let to_pod = [
            json!({"target_label": "__address__", "replacement": api_server.host}),
            json!({
                "source_labels": pod, "separator": ";", "regex": "(.+);(.+);(.+)", "target_label": "__metrics_path__",
                "replacement": "/api/v1/namespaces/$1/pods/$2:$3/proxy/metrics",
            }),
        ];
        job["relabel_configs"].as_array_mut().context("a list")?.extend(to_pod);
    }
    configuration["global"] = json!({"scrape_interval": "2s"});
    Ok(configuration)
}

/// Returns the targets that Prometheus' discovery of pods finds in the namespace and in that of evenkeel: one for each
/// declared port.
async fn discovered(namespace: &TestNamespace) -> anyhow::Result<Value> {
    let mut targets = Vec::new();
    for name in [namespace.name(), "evenkeel"] {
        let pods = Api::<Pod>::namespaced(namespace.client(), name).list(&ListParams::default()).await?;
        targets.extend(pods.iter().flat_map(targets_of));
    }
    Ok(targets.into())
}

fn targets_of(pod: &Pod) -> Vec<Value> {
    let mut labels = BTreeMap::from([("namespace".to_owned(), pod.namespace().unwrap_or_default())]);
    labels.insert("pod_name".to_owned(), pod.name_any());
    if let Some(controller) = pod.owner_references().iter().find(|owner| owner.controller == Some(true)) {
        labels.insert("pod_controller_kind".to_owned(), controller.kind.clone());
        labels.insert("pod_controller_name".to_owned(), controller.name.clone());
    }
    let as_name = |key: &str| key.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    labels.extend(pod.labels().iter().map(|(key, value)| (format!("pod_label_{}", as_name(key)), value.clone())));
    let spec = pod.spec.iter();
    let containers = spec.flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports
        .map(|port| {
            let of_port = [
                ("pod_container_port_name".to_owned(), port.name.clone().unwrap_or_default()),
                ("pod_container_port_number".to_owned(), port.container_port.to_string()),
            ];
            let labels = labels.clone().into_iter().chain(of_port);
            let labels: BTreeMap<_, _> =
                labels.map(|(label, value)| (format!("__meta_kubernetes_{label}"), value)).collect();
            json!({"targets": [format!("{}:{}", pod.name_any(), port.container_port)], "labels": labels})
        })
        .collect()
}

/// The API server, and the credentials for it.
struct ApiServer {
    host: String,
    tls: Value,
}

impl ApiServer {
    /// Writes the certificates of the kubeconfig to files, which Prometheus needs.
    fn of_kubeconfig(folder: &Path) -> anyhow::Result<Self> {
        let view = ["config", "view", "--raw", "--flatten", "--minify", "--output=json"];
        let output = Command::new("kubectl").args(view).output().context("kubectl is needed")?;
        let config: Value = serde_json::from_slice(&output.stdout)?;
        let (cluster, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
        let file = |name: &str, holder: &Value, field: &str| -> anyhow::Result<PathBuf> {
            let data = holder[field].as_str().with_context(|| format!("the kubeconfig has no {field}"))?;
            let path = folder.join(name);
            fs::write(&path, decoded(data)?)?;
            Ok(path)
        };
        let tls = json!({
            "ca_file": file("ca.pem", cluster, "certificate-authority-data")?,
            "cert_file": file("client.pem", user, "client-certificate-data")?,
            "key_file": file("client.key", user, "client-key-data")?,
        });
        let url = cluster["server"].as_str().context("the kubeconfig has no server")?;
        let Some(host) = url.strip_prefix("https://") else { bail!("the API server {url} is not reached by TLS") };
        Ok(Self { host: host.trim_end_matches('/').to_owned(), tls })
    }
}

fn decoded(base64: &str) -> anyhow::Result<Vec<u8>> {
    let bytes: k8s_openapi::ByteString = serde_json::from_value(base64.into())?;
    Ok(bytes.0)
}

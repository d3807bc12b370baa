//! What proxies count and pods are, and what the balancer hears of them: there under load that is made so, and not there before.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{Client, Fleet, Load, TestNamespace, Web, in_namespace};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{PostParams, ResourceExt as _};
use serde_json::{Value, json};

use super::broken::{deployment, set};
use super::report::{bad, once_found, once_well};

/// More pods than a third of those that are ready: then no pod is instructed.
const SILENT: usize = 2;
/// One client on one connection, at a rate that tells busy pods from idle ones.
const BUSY: Load = Load { clients: 1, interval: Duration::from_millis(10) };
/// Enough to make a limit of 100,000 requests take hours, and many refused requests stand out.
const CALM: Load = Load { clients: 2, interval: Duration::from_millis(100) };
const ANNOTATIONS: &str = "/metadata/annotations/evenkeel.dev~1";
/// A request with two Host fields, which RFC 9112 §3.2 forbids.
const TWO_HOSTS: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
const REFUSED: usize = 30;

// Clients go on while `evenkeel check` runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_pods_and_clients_do_is_found() -> anyhow::Result<()> {
    in_namespace("check-live", |namespace| async move {
        let balanced = Web::sample()?.replicas(2).annotation("evenkeel.dev/balance", "on");
        let web = namespace.deploy(&balanced).await?;
        namespace.apply(&quiet()?).await?;
        namespace.apply(&past()?).await?;
        let to_quiet = expose(&namespace, "quiet", json!("http")).await?;
        let past_proxy = expose(&namespace, "past", json!(8080)).await?;
        namespace.wait_for_rollout("quiet").await?;
        namespace.wait_for_rollout("past").await?;
        // One pod is instructed after the other: balancing is in force a few seconds after the last is ready.
        let report = once_well(&namespace, &["web", "installation"]).await?;
        ensure!(bad(&report, "past") == ["service-bypasses-proxy"], "{report:#}");
        let mut quiet = bad(&report, "quiet");
        quiet.sort_unstable();
        ensure!(quiet == ["app-not-listening", "balancing-not-in-force", "certificate-unusable"], "{report:#}");

        let _busy = Fleet::start(web, BUSY);
        let _calm = Fleet::start(to_quiet, CALM);
        let mut kept = Client::new(past_proxy);
        kept.get().await.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        let _refused = refused(to_quiet)?;
        for number in 1..=SILENT {
            silent(&namespace, number).await?;
        }
        let awaited = [
            ("installation", "balancer-reports-missing"),
            ("web", "pod-without-proxy"),
            ("web", "load-uneven"),
            ("quiet", "client-fault"),
            ("quiet", "limit-not-reached"),
            ("past", "connections-bypass-proxy"),
        ];
        once_found(&namespace, &awaited).await.map(drop)
    })
    .await
}

/// A pod whose port 9090 nobody listens on, with a limit that is far away, and a Secret that is not there. One pod alone is not balanced.
fn quiet() -> anyhow::Result<k8s_openapi::api::apps::v1::Deployment> {
    deployment("quiet", |object| {
        object["spec"]["replicas"] = json!(1);
        set(object, &format!("{ANNOTATIONS}max-requests"), json!("100000"));
        set(object, &format!("{ANNOTATIONS}tls-secret"), json!("nosuch"));
        set(object, &format!("{ANNOTATIONS}balance"), json!("on"));
        let ports = json!([{"name": "http", "containerPort": 8080}, {"name": "idle", "containerPort": 9090}]);
        set(object, "/spec/template/spec/containers/0/ports", ports);
    })
}

/// A pod past whose proxy a Service leads by its number.
fn past() -> anyhow::Result<k8s_openapi::api::apps::v1::Deployment> {
    deployment("past", |object| {
        object["spec"]["replicas"] = json!(1);
        set(object, &format!("{ANNOTATIONS}interception"), json!("named-port"));
    })
}

/// Creates the Service of an app, which leads to this port; where a node has it.
async fn expose(namespace: &TestNamespace, name: &str, port: Value) -> anyhow::Result<SocketAddr> {
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": port}]},
    }))?;
    namespace.expose(&service).await?.into_iter().next().context("an address")
}

/// Sends requests that the proxy refuses, each on a connection of its own.
fn refused(address: SocketAddr) -> anyhow::Result<Vec<TcpStream>> {
    (0..REFUSED)
        .map(|_| {
            let mut connection = TcpStream::connect(address)?;
            connection.write_all(TWO_HOSTS)?;
            Ok(connection)
        })
        .collect()
}

/// Creates a pod of `web` that is as the others for the balancer, and does not answer it, as behind a network policy. Its controller has
/// the others' kind and name; of another API group, so that the ReplicaSet leaves it alone.
async fn silent(namespace: &TestNamespace, number: usize) -> anyhow::Result<()> {
    let pods = namespace.pods().await?;
    let sibling = pods.iter().find(|pod| pod.labels().get("app").is_some_and(|app| app == "web"));
    let sibling = sibling.context("web has pods")?;
    let controller = sibling.owner_references().first().context("a ReplicaSet")?;
    let app = sibling.spec.as_ref().and_then(|spec| spec.containers.first()).context("an app")?;
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {
            "name": format!("silent-{number}"),
            "labels": {"app": "web", "evenkeel.dev/balance": "on"},
            "ownerReferences": [{
                "apiVersion": "example.com/v1", "kind": controller.kind, "name": controller.name,
                "uid": format!("silent-{number}"), "controller": true,
            }],
        },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "web", "image": app.image, "imagePullPolicy": app.image_pull_policy,
                "ports": [{"name": "http", "containerPort": 8080}],
            }],
        },
    }))?;
    namespace.api().create(&PostParams::default(), &pod).await?;
    Ok(())
}

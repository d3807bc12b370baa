//! Findings from the metrics of proxies, from the state of pods and from the balancer: absent before the test causes
//! them, and present afterwards.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{Client, Fleet, Load, TestNamespace, Web, in_namespace};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Portforwarder, PostParams, ResourceExt as _};
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::broken::{deployment, set};
use super::report::{bad, once_found, once_well, says};

/// More than a third of the ready pods: then the balancer sends no instruction.
const SILENT: usize = 2;
/// One client on one connection, at a rate that distinguishes busy pods from idle ones.
const BUSY: Load = Load { clients: 1, interval: Duration::from_millis(10) };
/// A rate at which a limit of 100,000 requests takes hours to reach, and refused requests are a large share.
const CALM: Load = Load { clients: 2, interval: Duration::from_millis(100) };
const ANNOTATIONS: &str = "/metadata/annotations/evenkeel.dev~1";
/// A request with two Host fields, which RFC 9112 §3.2 forbids.
const TWO_HOSTS: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
const STANDS_OUT: usize = 30;
/// Requests to which echo-app sends an incomplete response, and one that the proxy does not forward.
const CUT: &[u8] = b"GET /cut HTTP/1.1\r\nHost: a\r\n\r\n";
const FAULTY: &[u8] = b"GET /lookalike HTTP/1.1\r\nHost: a\r\n\r\n";
/// The proxy's port for the first named port.
const NAMED_PORT: u16 = 15220;

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
        // Pods get their first instruction one after the other: balancing is in force a few seconds after the last is
        // ready.
        let report = once_well(&namespace, &["web", "installation"]).await?;
        ensure!(bad(&report, "past") == ["service-bypasses-proxy"], "{report:#}");
        ensure!(says(&report, "web", "balancing-in-force"), "{report:#}");
        ensure!(!says(&report, "quiet", "balancing-in-force"), "{report:#}");
        let mut quiet = bad(&report, "quiet");
        quiet.sort_unstable();
        ensure!(quiet == ["app-not-listening", "balancing-not-in-force", "certificate-unusable"], "{report:#}");

        let _requests = [TWO_HOSTS, CUT, FAULTY].map(|request| each_on_its_own(to_quiet, request));
        let _tunnel = tls_past_the_node(&namespace, "past").await?;
        crashing(&namespace, "quiet").await?;
        // The silent pods exist before the balancer could move the busy client to one of them.
        let _busy = Fleet::start(web, BUSY);
        let _calm = Fleet::start(to_quiet, CALM);
        let mut kept = Client::new(past_proxy);
        kept.get().await.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        for number in 1..=SILENT {
            silent(&namespace, number).await?;
        }
        let awaited = [
            ("installation", "balancer-reports-missing"),
            ("web", "pod-without-proxy"),
            ("web", "load-uneven"),
            ("quiet", "client-fault"),
            ("quiet", "app-breaks-off"),
            ("quiet", "app-fault"),
            ("quiet", "proxy-restarted"),
            ("past", "tls-tunnel"),
            ("quiet", "limit-not-reached"),
            ("past", "connections-bypass-proxy"),
        ];
        once_found(&namespace, &awaited).await.map(drop)
    })
    .await
}

/// Returns a Deployment of one pod, with a port on which nothing listens, a limit that is not reached, and a missing
/// Secret. A single pod is not balanced.
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

/// Returns a Deployment whose Service bypasses the proxy, because it targets a port number.
fn past() -> anyhow::Result<k8s_openapi::api::apps::v1::Deployment> {
    deployment("past", |object| {
        object["spec"]["replicas"] = json!(1);
        set(object, &format!("{ANNOTATIONS}interception"), json!("named-port"));
    })
}

/// Creates the Service of an app with this target port. Returns its address on a node.
async fn expose(namespace: &TestNamespace, name: &str, port: Value) -> anyhow::Result<SocketAddr> {
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": port}]},
    }))?;
    namespace.expose(&service).await?.into_iter().next().context("an address")
}

/// Sends a request many times, each on a new connection, so that it is a large share of all requests.
fn each_on_its_own(address: SocketAddr, request: &[u8]) -> anyhow::Result<Vec<TcpStream>> {
    (0..STANDS_OUT)
        .map(|_| {
            let mut connection = TcpStream::connect(address)?;
            connection.write_all(request)?;
            Ok(connection)
        })
        .collect()
}

/// Begins a TLS handshake with the proxy of an app, from within its pod: a connection from a node's address would count
/// as a probe.
async fn tls_past_the_node(namespace: &TestNamespace, app: &str) -> anyhow::Result<Portforwarder> {
    let pods = namespace.pods().await?;
    let pod = pods.iter().find(|pod| pod.labels().get("app").is_some_and(|it| it == app)).context("its pod")?;
    let mut forwarder = namespace.api::<Pod>().portforward(&pod.name_any(), &[NAMED_PORT]).await?;
    let mut stream = forwarder.take_stream(NAMED_PORT).context("a stream")?;
    let mut client = rustls::ClientConnection::new(
        Arc::new(rustls::ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()),
        ServerName::try_from("web")?,
    )?;
    let mut hello = Vec::new();
    client.write_tls(&mut hello)?;
    stream.write_all(&hello).await?;
    stream.flush().await?;
    Ok(forwarder)
}

/// Creates a pod of a workload whose proxy cannot start, so that the kubelet restarts it again and again.
async fn crashing(namespace: &TestNamespace, name: &str) -> anyhow::Result<()> {
    let mut template = serde_json::to_value(namespace.deployment(name).await?.spec.context("a spec")?.template)?;
    let containers = template["spec"]["initContainers"].as_array_mut().context("the proxy")?;
    containers.retain(|container| container["name"] == "recycling-proxy");
    let variables = containers.first_mut().and_then(|proxy| proxy["env"].as_array_mut()).context("its variables")?;
    variables.push(json!({"name": "EVENKEEL_MAX_REQUESTS", "value": "many"}));
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "crashing", "labels": {"app": name}},
        "spec": template["spec"],
    }))?;
    namespace.api().create(&PostParams::default(), &pod).await?;
    Ok(())
}

/// Creates a pod that the balancer counts among those of `web` and that does not answer it, as behind a network policy.
/// Its owner has the kind and the name of the others' owner, and another API group, so that the ReplicaSet ignores it.
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

//! Promise: probes still test the app. Without a rewrite, a probe that only opens a connection would reach the proxy's
//! listener whether or not the app listens.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use e2e::{TestNamespace, Web, in_namespace};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Ten periods of the probe.
const LONG_ENOUGH: Duration = Duration::from_secs(10);
/// Three periods of a probe with its timeout, and room for a busy machine.
const NOTICED_WITHIN: Duration = Duration::from_mins(1);
/// How long a pod may take until its proxy is ready and its app runs.
const STARTED_WITHIN: Duration = Duration::from_mins(2);

#[tokio::test]
async fn a_tcp_probe_fails_while_the_app_does_not_listen() -> anyhow::Result<()> {
    in_namespace("probes", |namespace| async move {
        let elsewhere = probed()?.args(&["--listen", "[::]:9999"]);
        namespace.create(elsewhere.deployment()).await?;
        let started = status_once_started(&namespace).await?;
        sleep(LONG_ENOUGH).await;
        let now = only_pod(&namespace).await?.unwrap_or(started);
        println!("the app listens on another port: Ready is {}", condition(&now, "Ready"));
        ensure!(condition(&now, "Ready") == "False", "the pod is ready although nothing listens on the probed port");
        Ok(())
    })
    .await
}

/// The apps of a running pod stop listening one after the other. An app that requires a header of the PROXY protocol
/// would refuse a probe without one and never become ready.
#[tokio::test]
async fn a_pod_whose_app_has_died_is_not_ready() -> anyhow::Result<()> {
    tokio::try_join!(
        become_unready("redirect", false),
        become_unready("named-port", false),
        become_unready("redirect", true),
        become_unready("named-port", true),
    )?;
    Ok(())
}

/// Runs a pod with an app for every kind of probe: each listens on its own port and has its own probe.
async fn become_unready(interception: &'static str, with_header: bool) -> anyhow::Result<()> {
    let web = probed_in_every_way(with_header)?.annotation("evenkeel.dev/interception", interception);
    in_namespace("probes", |namespace| async move {
        namespace.deploy(&web).await?;
        let pod = namespace.pod_names().await?.pop().context("there is no pod")?;
        for ((app, _), port) in APPS.iter().zip(FIRST_PORT..) {
            // This request bypasses the proxy, so that it has no header and the app would refuse it.
            let by_way_of_proxy = with_header && interception == "named-port";
            let port = if by_way_of_proxy { port - FIRST_PORT + settings::NAMED_PORTS.start() } else { port };
            namespace.stop_accepting(&pod, port).await?;
            let noticed = until_unready(&namespace, app).await?;
            println!(
                "{interception}, PROXY header: {with_header}: container {app} unready {:.1} s after its app stopped listening",
                noticed.as_secs_f64()
            );
        }
        let status = only_pod(&namespace).await?.context("the pod is gone")?;
        ensure!(condition(&status, "Ready") == "False", "the pod is ready although none of its containers is");
        Ok(())
    })
    .await
}

async fn until_unready(namespace: &TestNamespace, app: &str) -> anyhow::Result<Duration> {
    let stopped = Instant::now();
    loop {
        let status = only_pod(namespace).await?.context("the pod is gone")?;
        let containers = || status.container_statuses.iter().flatten();
        let restarts: i32 = containers().map(|container| container.restart_count).sum();
        ensure!(restarts == 0, "a container was restarted, so that the pod is unready for another reason");
        if containers().any(|container| container.name == app && !container.ready) {
            ensure!(proxy_is_ready(&status), "the proxy is unready, not the app");
            return Ok(stopped.elapsed());
        }
        ensure!(
            stopped.elapsed() < NOTICED_WITHIN,
            "container {app} is still ready after {NOTICED_WITHIN:?} although its app does not listen"
        );
        sleep(Duration::from_millis(250)).await;
    }
}

/// The containers by their kinds of probe, with the names of their ports, whose numbers ascend. The sample's Service
/// targets the first by its name.
const APPS: [(&str, &str); 4] = [("http-get", "http"), ("tcp-socket", "tcp"), ("grpc", "grpc"), ("exec", "exec")];
const FIRST_PORT: u16 = 8080;

fn probed_in_every_way(with_header: bool) -> anyhow::Result<Web> {
    let sample = Web::sample()?.replicas(1).annotation("evenkeel.dev/max-requests", "100");
    let web = sample.apps(|sample| {
        let apps = APPS.iter().zip(FIRST_PORT..).map(|((name, port_name), port)| {
            let mut app = serde_json::to_value(sample)?;
            let header: &[&str] = if with_header { &["--proxy-protocol"] } else { &[] };
            app["name"] = json!(name);
            app["args"] = json!([&["--listen", &format!("[::]:{port}")], header].concat());
            app["ports"] = json!([{"name": port_name, "containerPort": port}]);
            app["readinessProbe"] = probe(name, port_name, port, header);
            app["readinessProbe"]["periodSeconds"] = json!(1);
            // A gRPC probe waits for its timeout even if nothing listens.
            app["readinessProbe"]["timeoutSeconds"] = json!(2);
            serde_json::from_value(app)
        });
        apps.collect::<Result<_, _>>().context("the apps")
    })?;
    Ok(if with_header { web.annotation("evenkeel.dev/proxy-protocol", "v1") } else { web })
}

fn probe(app: &str, port_name: &str, port: u16, header: &[&str]) -> Value {
    let beside = format!("127.0.0.1:{port}");
    let command = [&["/echo-app", "--check", &beside], header].concat();
    match app {
        "http-get" => json!({"httpGet": {"path": "/healthz", "port": port_name}}),
        "tcp-socket" => json!({"tcpSocket": {"port": port_name}}),
        "grpc" => json!({"grpc": {"port": port}}),
        _ => json!({"exec": {"command": command}}),
    }
}

fn probed() -> anyhow::Result<Web> {
    Ok(Web::sample()?.replicas(1).tcp_probes().annotation("evenkeel.dev/max-requests", "100"))
}

/// Returns the status of the pod in which proxy and app run.
async fn status_once_started(namespace: &TestNamespace) -> anyhow::Result<PodStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = only_pod(namespace).await?
            && condition(&status, "Initialized") == "True"
            && proxy_is_ready(&status)
        {
            return Ok(status);
        }
        if started.elapsed() > STARTED_WITHIN {
            bail!("no pod with a ready proxy and a running app after {STARTED_WITHIN:?}");
        }
        sleep(Duration::from_millis(250)).await;
    }
}

async fn only_pod(namespace: &TestNamespace) -> anyhow::Result<Option<PodStatus>> {
    let pods: Vec<Pod> = namespace.pods().await?;
    Ok(pods.into_iter().next().and_then(|pod| pod.status))
}

fn proxy_is_ready(status: &PodStatus) -> bool {
    let proxies = status.init_container_statuses.iter().flatten().filter(|status| status.name == "recycling-proxy");
    let apps = status.container_statuses.iter().flatten();
    let runs = apps.filter_map(|app| app.state.as_ref()).any(|state| state.running.is_some());
    runs && proxies.into_iter().any(|proxy| proxy.ready)
}

/// Returns the status of a condition: `True`, `False` or `Unknown`.
fn condition<'a>(status: &'a PodStatus, name: &str) -> &'a str {
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == name).map_or("Unknown", |condition| &condition.status)
}

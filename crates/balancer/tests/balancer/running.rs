//! What proxies receive, and what is stored.

use std::process::Command;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::api_server::ApiServer;
use crate::process::Balancer;
use crate::proxies::{Proxy, TIMEOUT, slice_of};

/// A cluster with `loads.len()` pods of one workload from 127.0.0.`first` on; all know the keys once they are
/// published.
pub(crate) struct TestCluster {
    pub(crate) api: ApiServer,
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) port: u16,
}

impl TestCluster {
    pub(crate) async fn with(first: u8, loads: &[f64]) -> Self {
        let (api, port) = (ApiServer::start(), free_port().await);
        let mut cluster = Self { api, proxies: Vec::new(), port };
        for (last, load) in (first..).zip(loads) {
            cluster.add(last, *load).await;
        }
        cluster
    }

    pub(crate) async fn add(&mut self, last: u8, load: f64) {
        let proxy = Proxy::start(last, self.port, load).await;
        self.api.put("pods", &proxy.pod());
        self.proxies.push(proxy);
        self.publish();
    }

    fn publish(&self) {
        self.api.put("endpointslices", &slice_of(&self.proxies.iter().collect::<Vec<_>>()));
    }

    pub(crate) fn start(&self, identity: &str) -> Balancer {
        Balancer::start(self.api.kubeconfig(), identity, self.port)
    }

    /// Waits for the public keys, and has every proxy know them, as a rollout would.
    pub(crate) async fn roll_out_keys(&self, count: usize) -> String {
        let keys = published_keys(&self.api, count).await;
        self.proxies.iter().for_each(|proxy| proxy.learn(&keys));
        keys
    }

    pub(crate) fn holder(&self) -> Option<String> {
        Some(self.api.written("leases", "evenkeel-balancer")?["spec"]["holderIdentity"].as_str()?.to_owned())
    }
}

/// Returns a port that is free on every address.
async fn free_port() -> u16 {
    TcpListener::bind("0.0.0.0:0").await.unwrap().local_addr().unwrap().port()
}

/// Waits until so many public keys are published.
pub(crate) async fn published_keys(api: &ApiServer, count: usize) -> String {
    until(|| {
        let keys = api.written("configmaps", "evenkeel-balancer-keys")?["data"]["keys"].as_str()?.to_owned();
        (keys.split(',').count() == count).then_some(keys)
    })
    .await
}

/// Begins a rotation. Returns the second key.
pub(crate) fn rotate(api: &ApiServer) -> String {
    let mut rotate = Command::new(env!("CARGO_BIN_EXE_evenkeel-balancer"));
    let output = rotate.arg("rotate").env("KUBECONFIG", api.kubeconfig()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Looks until there is something.
pub(crate) async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, found).await.expect("it has to come")
}

/// Asks until there is something.
pub(crate) async fn until_some<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, found).await.expect("it has to come")
}

pub(crate) async fn get(balancer: &Balancer, path: &str) -> (u16, String) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<hyper::body::Bytes>>();
    let response = client.get(format!("http://{}{path}", balancer.admin).parse().unwrap()).await.unwrap();
    let status = response.status().as_u16();
    (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

pub(crate) fn is(mean: f64) -> impl Fn(&balancing::WorkloadInstruction) -> bool {
    move |instruction| (instruction.rule().mean() - mean).abs() < 1e-6
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_receive_their_mean_and_a_new_pod_becomes_part_of_it() {
    let mut cluster = TestCluster::with(10, &[30.0, 10.0]).await;
    let balancer = cluster.start("one");
    cluster.roll_out_keys(1).await;
    for proxy in &cluster.proxies {
        proxy.receives(is(20.0)).await;
    }
    cluster.add(12, 5.0).await;
    cluster.roll_out_keys(1).await;
    let told = cluster.proxies[0].receives(is(15.0)).await;
    assert!(told.change().ago < Duration::from_secs(2), "{told:?}");
    cluster.proxies[2].receives(is(15.0)).await;
    cluster.proxies[1].set_load(40.0);
    cluster.proxies[2].receives(is(25.0)).await;
    cluster.api.delete("pods", "web-12");
    cluster.proxies[0].receives(is(35.0)).await;

    let (status, workloads) = get(&balancer, "/workloads").await;
    let workloads: Value = serde_json::from_str(&workloads).unwrap();
    let workload = &workloads["workloads"][0];
    assert_eq!(
        (status, &workload["workload"], &workload["state"]),
        (200, &json!("shop/Deployment/web"), &json!("instructed"))
    );
    assert_eq!(
        (&workload["settledPods"], &workload["mean"], &workload["highest"]),
        (&json!(2), &json!(35.0), &json!(40.0))
    );
    assert_eq!(get(&balancer, "/readyz").await, (200, "ok\n".to_owned()));
    let (_, metrics) = get(&balancer, "/metrics").await;
    for line in
        ["evenkeel_balancer_leader 1", "evenkeel_balancer_refused_instructions_total{reason=\"bad_signature\"} 0"]
    {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    assert!(cluster.proxies.iter().all(|proxy| proxy.count_refusals() == 0));
    assert_eq!(balancer.terminate(), Some(0));
    assert_eq!(cluster.holder().as_deref(), Some(""), "the Lease is handed on");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_replica_leads_when_the_leader_is_killed() {
    let cluster = TestCluster::with(20, &[30.0, 10.0]).await;
    let first = cluster.start("one");
    until(|| cluster.holder().filter(|holder| holder == "one")).await;
    let second = cluster.start("two");
    cluster.roll_out_keys(1).await;
    cluster.proxies[0].receives(is(20.0)).await;
    assert!(get(&second, "/metrics").await.1.contains("evenkeel_balancer_leader 0"));
    first.kill();
    cluster.proxies[0].set_load(50.0);
    cluster.proxies[1].receives(is(30.0)).await;
    assert_eq!(cluster.holder().as_deref(), Some("two"));
    let keys: Vec<_> = cluster.proxies.iter().map(Proxy::count_refusals).collect();
    assert_eq!(keys, [0, 0], "both sign with the same key, and numbers rise");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_key_signs_as_soon_as_every_pod_knows_it() {
    let cluster = TestCluster::with(40, &[30.0, 10.0]).await;
    let _balancer = cluster.start("one");
    let first = cluster.roll_out_keys(1).await;
    let second = rotate(&cluster.api);
    assert_eq!(rotate(&cluster.api), second, "a rotation that is under way goes on");
    cluster.roll_out_keys(2).await;
    assert_eq!(cluster.roll_out_keys(1).await, second);
    assert_ne!(first, second);
    for proxy in &cluster.proxies {
        proxy.forget();
        proxy.receives(is(20.0)).await;
        assert_eq!(proxy.count_refusals(), 0);
    }
}

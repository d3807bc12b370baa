//! Pods that do not answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use balancing::BalanceState;
use rustix::process::Signal;
use serde_json::Value;
use settings::ADMIN_PORT;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::count;
use super::real_pods::{RealPods, is_in_force};
use crate::process::Balancer;
use crate::proxies::{pod, slice};
use crate::running::{TestCluster, get, is, published_keys, until, until_some};

/// Takes questions on a port for ever and answers none. Returns how many of them the balancer gave up after `told` had
/// grown.
async fn hang(address: SocketAddr, told: impl Fn() -> usize + Clone + Send + 'static) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind(address).await.unwrap();
    let outlived = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&outlived);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (told, outlived) = (told.clone(), Arc::clone(&counter));
            tokio::spawn(async move {
                let before = told();
                while stream.read(&mut [0; 1024]).await.is_ok_and(|length| length > 0) {}
                if told() > before {
                    outlived.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    outlived
}

/// Returns a listener, and connections that fill its queue: the kernel drops what else comes, as a network policy does.
async fn swallow(address: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut queued = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        queued.push(connected.unwrap());
    }
    (listener, queued)
}

async fn workload(balancer: &Balancer) -> Option<Value> {
    let (_, workloads) = get(balancer, "/workloads").await;
    let mut workloads: Value = serde_json::from_str(&workloads).unwrap();
    Some(workloads["workloads"].get_mut(0)?.take())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_hangs_or_refuses_is_left_out_without_delay() {
    let cluster = TestCluster::with(60, &[30.0, 10.0, 20.0, 30.0, 10.0, 20.0]).await;
    let address = |last: u8| SocketAddr::from(([127, 0, 0, last], cluster.port));
    let counters: Vec<_> = cluster.proxies.iter().map(crate::proxies::Proxy::counter).collect();
    let outlived = hang(address(66), move || counters.iter().map(|told| told()).sum()).await;
    let _swallowing = swallow(address(67)).await;
    // Nobody listens on the last one.
    for last in [66, 67, 68] {
        cluster.api.put("pods", &pod(&format!("web-{last}"), IpAddr::from([127, 0, 0, last])));
    }
    let names: Vec<String> = (60..69).map(|last| format!("web-{last}")).collect();
    cluster.api.put("endpointslices", &slice(&names.iter().map(String::as_str).collect::<Vec<_>>()));

    let balancer = cluster.start("one");
    cluster.roll_out_keys(1).await;
    for proxy in &cluster.proxies {
        proxy.receives(is(20.0)).await;
    }
    until(|| (outlived.load(Ordering::Relaxed) >= 3).then_some(())).await;
    until_some(async || {
        let web = workload(&balancer).await?;
        let is_left_out = web["settledPods"] == 9 && web["reportingPods"] == 6 && web["state"] == "instructed";
        let late = count(&balancer, "reports_total{result=\"late\"}").await;
        let unreachable = count(&balancer, "reports_total{result=\"unreachable\"}").await;
        (is_left_out && late >= 3 && unreachable >= 1).then_some(())
    })
    .await;
    for proxy in &cluster.proxies {
        assert!(proxy.received().iter().all(is(20.0)) && proxy.count_refusals() == 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instructions_continue_with_thirty_percent_of_pods_missing_and_stop_with_forty() {
    let mut pods = RealPods::none().await;
    let balancer = Balancer::start(pods.api.kubeconfig(), "one", ADMIN_PORT);
    let keys = published_keys(&pods.api, 1).await;
    let names: Vec<String> = (0..10).map(|number| format!("web-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    pods.add(&names, &keys).await;
    pods.report(&names, is_in_force).await;

    let signal = |pods: &mut RealPods, names: &[&str], signal| {
        for name in names {
            pods.proxies.get_mut(*name).unwrap().process().signal(signal).unwrap();
        }
    };
    let reporting = async |number: u32, state: &str| {
        until_some(async || {
            let web = workload(&balancer).await?;
            (web["reportingPods"] == number && web["state"] == *state).then_some(())
        })
        .await;
    };
    signal(&mut pods, &names[..3], Signal::STOP);
    reporting(7, "instructed").await;
    pods.told_above(&names[3..], 0).await;

    signal(&mut pods, &names[3..4], Signal::STOP);
    reporting(6, "reports_missing").await;
    pods.report(&names[4..], |report| report.state == BalanceState::Expired).await;
    assert_eq!(pods.count(names[4], "balance_state{state=\"expired\"}").await, 1);
    until_some(async || (count(&balancer, "workloads{state=\"reports_missing\"}").await == 1).then_some(())).await;

    signal(&mut pods, &names[..4], Signal::CONT);
    pods.report(&names, is_in_force).await;
}

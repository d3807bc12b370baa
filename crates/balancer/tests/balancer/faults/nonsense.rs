//! Pods that report nonsense affect only their own workload.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::routing::get;
use balancing::{MAX_REPORT_BYTES, Sequence};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::count;
use crate::proxies::{Proxy, pod, pod_in, slice, slice_in};
use crate::running::{TestCluster, is, until_some};

const LOAD: f64 = 20.0;

/// Answers every question with what `answer` returns.
async fn say(address: SocketAddr, answer: impl Fn() -> String + Clone + Send + Sync + 'static) {
    let listener = TcpListener::bind(address).await.unwrap();
    let answer = move || {
        let answer = answer();
        async move { answer }
    };
    let routes = Router::new().route("/balance", get(answer.clone()).post(answer));
    tokio::spawn(async move { axum::serve(listener, routes).await });
}

/// Returns a report of `shop/Deployment/web` with some members as they are in `changes`.
fn report(changes: &Value) -> String {
    let mut report = json!({
        "version": 1, "workload": "shop/Deployment/web", "load": LOAD, "connections": 10, "marked": 0,
        "recent": {"requests": 600.0, "seconds": 300.0}, "requests": 1000, "retired": 0, "state": "in_force",
    });
    for (member, value) in changes.as_object().unwrap() {
        report[member] = value.clone();
    }
    report.to_string()
}

/// Answers that are no report of their pod.
fn nonsense() -> Vec<String> {
    let bent = json!({"load": 1e12, "recent": {"requests": 1e12, "seconds": 1e-9}});
    let of = |workload: &str| {
        let mut changes = bent.clone();
        changes["workload"] = workload.into();
        report(&changes)
    };
    vec![
        report(&json!({"load": -1.0})),
        report(&json!({})).replace("20.0", "NaN"),
        report(&json!({"load": 1e308})),
        report(&json!({})).replace("20.0", "1e999"),
        report(&json!({"marked": 11})),
        report(&json!({"more": "x".repeat(MAX_REPORT_BYTES)})),
        "<html>".to_owned(),
        of("bank/Deployment/ledger"),
        of("shop/Deployment/api"),
    ]
}

/// Two pods of another workload.
async fn pair(cluster: &TestCluster, workload: &str, name: &str, hosts: [u8; 2], loads: [f64; 2]) -> [Proxy; 2] {
    let (namespace, _) = workload.split_once('/').unwrap();
    let start = async |host: u8, load: f64| {
        let address = SocketAddr::from(([127, 0, 0, host], cluster.port));
        let proxy = Proxy::of(workload, format!("{name}-{host}"), address, load).await;
        cluster.api.put("pods", &pod_in(namespace, &proxy.name, proxy.address));
        proxy
    };
    let pair = [start(hosts[0], loads[0]).await, start(hosts[1], loads[1]).await];
    let names: Vec<&str> = pair.iter().map(|proxy| &*proxy.name).collect();
    cluster.api.put("endpointslices", &slice_in(namespace, &format!("{name}-abc"), &names));
    pair
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_reports_nonsense_affects_no_other_workload() {
    let cluster = TestCluster::with(100, &[LOAD; 20]).await;
    let api = pair(&cluster, "shop/Deployment/api", "api", [150, 151], [7.0, 9.0]).await;
    let ledger = pair(&cluster, "bank/Deployment/ledger", "ledger", [152, 153], [5.0, 5.0]).await;
    let mut names: Vec<String> = cluster.proxies.iter().map(|proxy| proxy.name.clone()).collect();
    let mut add = |host: u8| {
        let name = format!("web-{host}");
        cluster.api.put("pods", &pod(&name, IpAddr::from([127, 0, 0, host])));
        names.push(name);
        SocketAddr::from(([127, 0, 0, host], cluster.port))
    };
    for (host, answer) in (160..).zip(nonsense()) {
        say(add(host), move || answer.clone()).await;
    }
    // These are reports: with the highest number, and with counts that jump by more than there is in sum.
    for host in [180, 181] {
        static ANSWERS: AtomicU64 = AtomicU64::new(0);
        let answer = || {
            let pair = ANSWERS.fetch_add(1, Ordering::Relaxed) / 2;
            let retired = if pair.is_multiple_of(2) { 0 } else { u64::MAX };
            report(&json!({"sequence": Sequence::MAX, "retired": retired, "requests": retired}))
        };
        say(add(host), answer).await;
    }
    cluster.api.put("endpointslices", &slice(&names.iter().map(String::as_str).collect::<Vec<_>>()));

    let one = cluster.start("one");
    let keys = cluster.roll_out_keys(1).await;
    let all: Vec<(&Proxy, f64)> = { cluster.proxies.iter().map(|proxy| (proxy, LOAD)) }
        .chain(api.iter().map(|proxy| (proxy, 8.0)))
        .chain(ledger.iter().map(|proxy| (proxy, 5.0)))
        .collect();
    for (proxy, _) in &all {
        proxy.learn(&keys);
    }
    // Each kind is heard, and the counts have jumped.
    until_some(async || {
        let (invalid, foreign) = ("reports_total{result=\"invalid\"}", "reports_total{result=\"foreign_workload\"}");
        let is_heard = count(&one, invalid).await >= 14 && count(&one, foreign).await >= 4;
        (is_heard && all.iter().all(|(proxy, _)| proxy.received().len() >= 5)).then_some(())
    })
    .await;
    // Another leader hears the same.
    let two = cluster.start("two");
    one.kill();
    for (proxy, _) in &all {
        proxy.forget();
    }
    until_some(async || all.iter().all(|(proxy, _)| proxy.received().len() >= 5).then_some(())).await;
    assert_eq!(count(&two, "leader").await, 1);
    for (proxy, mean) in all {
        assert!(proxy.received().iter().all(is(mean)), "{}: {:?}", proxy.name, proxy.received());
        assert_eq!(proxy.count_refusals(), 0, "{}", proxy.name);
    }
}

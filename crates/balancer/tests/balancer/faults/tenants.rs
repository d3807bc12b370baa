//! Hostile tenants: what they may write into the cluster, and what their pods may answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::count;
use crate::proxies::{pod, slice_in};
use crate::running::{TestCluster, is, until, until_some};

/// In KiB. The program as it is built for tests takes 30 MiB with two pods; a container has 512 MiB.
const MOST_MEMORY: u64 = 80 << 10;
const LARGE_PODS: usize = 1000;
const LARGE: usize = 480_000;

/// Counts the connections to an address.
async fn canary(address: SocketAddr) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind(address).await.unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    connections
}

#[tokio::test(flavor = "multi_thread")]
async fn the_balancer_connects_only_to_the_own_address_of_labelled_pods() {
    let cluster = TestCluster::with(70, &[30.0, 10.0]).await;
    let at = |last: u8| IpAddr::from([127, 0, 0, last]);
    let mut canaries = Vec::new();
    let mut put = async |last: u8, change: &dyn Fn(&mut Value)| {
        canaries.push(canary(SocketAddr::new(at(last), cluster.port)).await);
        let mut pod = pod(&format!("web-{last}"), at(last));
        change(&mut pod);
        cluster.api.put("pods", &pod);
    };
    put(72, &|pod| pod["status"]["hostIP"] = pod["status"]["podIP"].clone()).await;
    put(73, &|pod| pod["status"]["phase"] = "Succeeded".into()).await;
    put(74, &|pod| pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into()).await;
    // Its address is not in its status; in an EndpointSlice it is.
    put(75, &|pod| pod["status"]["podIP"] = Value::Null).await;
    let endpoint = |uid: &str| json!({"addresses": [at(75)], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "uid": uid}});
    let mut forged = slice_in("shop", "forged", &[]);
    forged["endpoints"] = ["uid-web-70", "uid-web-72", "uid-web-75", "uid-nobody"].map(endpoint).to_vec().into();
    cluster.api.put("endpointslices", &forged);

    let balancer = cluster.start("one");
    cluster.roll_out_keys(1).await;
    for proxy in &cluster.proxies {
        until(|| (proxy.received().len() >= 5).then_some(())).await;
        assert!(proxy.received().iter().all(is(20.0)));
    }
    // All have been looked at: four of six say to which workload they belong to nobody.
    assert_eq!(count(&balancer, "pods{state=\"unknown\"}").await, 4);
    let connections: Vec<usize> = canaries.iter().map(|canary| canary.load(Ordering::Relaxed)).collect();
    assert_eq!(connections, [0, 0, 0, 0]);
}

/// Answers without end: fields, content, or a byte now and then.
async fn answer_without_end(mut stream: TcpStream, kind: usize) {
    // It may hang up at any time.
    let _ = stream.read(&mut [0; 1024]).await;
    let head = "HTTP/1.1 200 OK\r\n";
    let (head, part, pause) = match kind % 3 {
        0 => (head.to_owned(), "X: ".to_owned() + &"x".repeat(16_000) + "\r\n", Duration::ZERO),
        1 => (
            format!("{head}Transfer-Encoding: chunked\r\n\r\n"),
            format!("4000\r\n{}\r\n", "x".repeat(0x4000)),
            Duration::ZERO,
        ),
        _ => (format!("{head}Content-Length: 4000\r\n\r\n"), " ".to_owned(), Duration::from_millis(100)),
    };
    let mut written = stream.write_all(head.as_bytes()).await;
    while written.is_ok() {
        written = stream.write_all(part.as_bytes()).await;
        sleep(pause).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_pods_and_endless_reports_take_little_memory_and_delay_nobody() {
    let cluster = TestCluster::with(80, &[30.0, 10.0]).await;
    let endless = SocketAddr::from(([127, 0, 0, 90], cluster.port));
    let listener = TcpListener::bind(endless).await.unwrap();
    tokio::spawn(async move {
        for kind in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer_without_end(stream, kind));
        }
    });
    for number in 0..LARGE_PODS {
        cluster.api.put("pods", &pod(&format!("large-{number:04}"), endless.ip()));
    }
    cluster.api.pad_pods(LARGE);
    let balancer = cluster.start("one");
    cluster.roll_out_keys(1).await;
    // Each has been asked once or more.
    until_some(async || {
        let (invalid, late, unreachable) = (
            count(&balancer, "reports_total{result=\"invalid\"}").await,
            count(&balancer, "reports_total{result=\"late\"}").await,
            count(&balancer, "reports_total{result=\"unreachable\"}").await,
        );
        (invalid + late + unreachable >= LARGE_PODS as u64).then_some(())
    })
    .await;
    for proxy in &cluster.proxies {
        proxy.forget();
        proxy.receives(is(20.0)).await;
    }
    assert_eq!(count(&balancer, "pods{state=\"unknown\"}").await, LARGE_PODS as u64);
    let memory = balancer.peak_memory();
    eprintln!("{memory} KiB at most");
    assert!(memory < MOST_MEMORY, "{memory} KiB");
}

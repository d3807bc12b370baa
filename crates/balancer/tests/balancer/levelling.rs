//! The balancer and real proxies, with keep-alive clients that land at random, as behind a Service.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use settings::{ADMIN_PORT, ProxyOption};
use test_support::{Peer, RecyclingProxy, Surprise};
use tokio::net::TcpListener;
use tokio::time::{Instant, interval, sleep};

use crate::api_server::ApiServer;
use crate::process::Balancer;
use crate::proxies::{pod, slice};
use crate::running::until;

const CLIENTS: u64 = 120;
const EVERY: Duration = Duration::from_millis(200);
/// Load is measured over so long: a client sends 15 requests in it.
const WINDOW: Duration = Duration::from_secs(3);

/// The pods that take new connections, and what has happened.
#[derive(Default)]
struct Service {
    pods: Mutex<Vec<Pod>>,
    reconnects: AtomicU64,
    failures: AtomicU64,
}

#[derive(Clone)]
struct Pod {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
}

impl Service {
    fn pick(&self, random: &mut fastrand::Rng) -> Pod {
        let pods = self.pods.lock().unwrap();
        pods[random.usize(..pods.len())].clone()
    }

    /// The requests of each pod in the window that begins now.
    async fn loads(&self) -> Vec<u64> {
        let counts = || -> Vec<u64> {
            self.pods.lock().unwrap().iter().map(|pod| pod.requests.load(Ordering::Relaxed)).collect()
        };
        let before = counts();
        sleep(WINDOW).await;
        counts().iter().zip(before).map(|(after, before)| after - before).collect()
    }
}

/// A client that keeps its connection until it is told to close it, and then connects to any pod.
async fn client(service: Arc<Service>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut times = interval(EVERY);
    loop {
        let pod = service.pick(&mut random);
        let used: Result<(), Surprise> = async {
            let mut peer = Peer::connect(pod.address).await?;
            loop {
                times.tick().await;
                peer.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await?;
                let head = peer.read_head().await?;
                peer.expect("ok").await?;
                pod.requests.fetch_add(1, Ordering::Relaxed);
                if head.announces_close() {
                    return Ok(());
                }
            }
        }
        .await;
        service.reconnects.fetch_add(1, Ordering::Relaxed);
        if let Err(surprise) = used {
            eprintln!("client {seed}: {surprise}");
            service.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The proxy as it is now.
fn proxy_program() -> PathBuf {
    test_support::build_programs(Path::new(env!("CARGO_BIN_EXE_evenkeel-balancer"))).join("recycling-proxy")
}

async fn app() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/", get(|| async { "ok" }));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

/// The busiest pod against the mean, in percent.
fn skew(loads: &[u64]) -> u64 {
    let (busiest, sum) = (loads.iter().max().copied().unwrap_or_default(), loads.iter().sum::<u64>());
    100 * busiest * loads.len() as u64 / sum.max(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn load_is_level_after_a_scale_out_and_no_request_is_lost() {
    let (program, app, api) = (proxy_program(), app().await, ApiServer::start().await);
    let _balancer = Balancer::start(api.kubeconfig(), "one", ADMIN_PORT);
    let keys =
        until(|| Some(api.written("configmaps", "evenkeel-balancer-keys")?["data"]["keys"].as_str()?.to_owned()));
    let keys = keys.await;
    let service = Arc::new(Service::default());
    let mut proxies = Vec::new();
    let mut scale = async |count: usize| {
        while proxies.len() < count {
            let options = [
                (ProxyOption::BalanceKeys, &*keys),
                (ProxyOption::Workload, "Deployment/web"),
                (ProxyOption::Namespace, "shop"),
            ];
            let proxy = RecyclingProxy::start(&program, app, &options).await.unwrap();
            let name = format!("web-{}", proxies.len());
            api.put("pods", &pod(&name, proxy.admin_address().ip()));
            let requests = Arc::default();
            service.pods.lock().unwrap().push(Pod { address: proxy.address(), requests });
            proxies.push((name, proxy));
        }
        let names: BTreeSet<&str> = proxies.iter().map(|(name, _)| &**name).collect();
        api.put("endpointslices", &slice(&names.into_iter().collect::<Vec<_>>()));
    };
    scale(4).await;
    for seed in 0..CLIENTS {
        tokio::spawn(client(Arc::clone(&service), seed));
    }
    // Rates are estimated from what connections have carried.
    sleep(Duration::from_secs(10)).await;
    scale(8).await;
    let (start, before) = (Instant::now(), service.reconnects.load(Ordering::Relaxed));
    let loads = loop {
        let loads = service.loads().await;
        eprintln!("after {:.1} s: {loads:?}, busiest at {} %", start.elapsed().as_secs_f64(), skew(&loads));
        if skew(&loads) <= 135 || start.elapsed() > Duration::from_mins(1) {
            break loads;
        }
    };
    let moved = service.reconnects.load(Ordering::Relaxed) - before;
    eprintln!("{moved} reconnects of {CLIENTS} connections");
    assert!(skew(&loads) <= 135, "{loads:?}");
    assert!(loads.iter().all(|load| *load > 0), "{loads:?}");
    assert!(moved <= 2 * CLIENTS, "{moved}");
    assert_eq!(service.failures.load(Ordering::Relaxed), 0);
}

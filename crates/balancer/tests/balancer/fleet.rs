//! Real proxies behind the balancer, with keep-alive clients that land at random, as behind a Service.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use settings::{ADMIN_PORT, ProxyOption};
use test_support::{Peer, RecyclingProxy, Unexpected};
use tokio::net::TcpListener;
use tokio::time::{interval, sleep};

use crate::api_server::ApiServer;
use crate::process::Balancer;
use crate::proxies::{pod, slice};
use crate::running::until;

pub(crate) const CLIENTS: u64 = 120;
const EVERY: Duration = Duration::from_millis(200);
/// Load is measured over so long: a client sends 15 requests in it.
const WINDOW: Duration = Duration::from_secs(3);

/// The pods that take new connections, and what has happened.
#[derive(Default)]
pub(crate) struct Service {
    pods: Mutex<Vec<Pod>>,
    pub(crate) reconnects: AtomicU64,
    pub(crate) failures: AtomicU64,
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

    /// Returns the requests of each pod in the window that begins now.
    pub(crate) async fn loads(&self) -> Vec<u64> {
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
        let used: Result<(), Unexpected> = async {
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
        if let Err(unexpected) = used {
            eprintln!("client {seed}: {unexpected}");
            service.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Returns the proxy as it is now.
pub(crate) fn proxy_program() -> PathBuf {
    static FOLDER: LazyLock<PathBuf> =
        LazyLock::new(|| test_support::build_programs(Path::new(env!("CARGO_BIN_EXE_evenkeel-balancer"))));
    FOLDER.join("recycling-proxy")
}

pub(crate) async fn app() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/", get(|| async { "ok" }));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

/// A balancer, proxies of the workload `shop/Deployment/web`, and the Service in front of them.
pub(crate) struct Fleet {
    pub(crate) balancer: Balancer,
    pub(crate) service: Arc<Service>,
    api: ApiServer,
    keys: String,
    program: PathBuf,
    app: SocketAddr,
    proxies: Vec<(String, RecyclingProxy)>,
}

impl Fleet {
    /// Starts `count` pods and then the clients.
    pub(crate) async fn start(count: usize) -> Self {
        let (program, app, api) = (proxy_program(), app().await, ApiServer::start());
        let balancer = Balancer::start(api.kubeconfig(), "one", ADMIN_PORT);
        let keys =
            until(|| Some(api.written("configmaps", "evenkeel-balancer-keys")?["data"]["keys"].as_str()?.to_owned()));
        let keys = keys.await;
        let mut fleet = Self { balancer, service: Arc::default(), api, keys, program, app, proxies: Vec::new() };
        fleet.scale(count).await;
        for seed in 0..CLIENTS {
            tokio::spawn(client(Arc::clone(&fleet.service), seed));
        }
        fleet
    }

    /// Adds pods until there are `count`.
    pub(crate) async fn scale(&mut self, count: usize) {
        while self.proxies.len() < count {
            let options = [
                (ProxyOption::BalanceKeys, &*self.keys),
                (ProxyOption::Workload, "Deployment/web"),
                (ProxyOption::Namespace, "shop"),
            ];
            let proxy = RecyclingProxy::start(&self.program, self.app, &options).await.unwrap();
            let name = format!("web-{}", self.proxies.len());
            self.api.put("pods", &pod(&name, proxy.admin_address().ip()));
            let requests = Arc::default();
            self.service.pods.lock().unwrap().push(Pod { address: proxy.address(), requests });
            self.proxies.push((name, proxy));
        }
        let names: BTreeSet<&str> = self.proxies.iter().map(|(name, _)| &**name).collect();
        self.api.put("endpointslices", &slice(&names.into_iter().collect::<Vec<_>>()));
    }
}

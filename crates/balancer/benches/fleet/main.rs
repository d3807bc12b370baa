//! What the balancer costs with ten thousand pods, and how late its instructions are.
//!
//! `cargo bench --package balancer --bench fleet` starts the balancer, an API server that serves generated Pods and
//! `EndpointSlice`s, endpoints that answer as proxies do, each on an address of the loopback network, and some real
//! proxies. It prints the table of `bench/BALANCER.md`.

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/balancer/api_server.rs"]
mod api_server;
mod endpoints;
mod measure;
#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/balancer/process.rs"]
mod process;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use serde_json::{Value, json};
use settings::{ADMIN_PORT, ProxyOption};
use test_support::RecyclingProxy;
use tokio::time::sleep;

use crate::api_server::ApiServer;
use crate::endpoints::{Endpoints, EndpointsArguments};
use crate::measure::Phase;
use crate::process::Balancer;

/// Endpoints of one process: each has a listener and a connection, and descriptors are limited.
const ENDPOINTS_PER_PROCESS: usize = 2500;
/// The first replica's Lease is taken over after 3 s, and then first reports come in.
const LEADS_AFTER: Duration = Duration::from_secs(12);
/// Pods count as new for a minute after all have been listed for the first time.
const CHANGE_LASTS: Duration = Duration::from_secs(65);

#[derive(Parser)]
struct Cli {
    /// Endpoints that answer as proxies do.
    #[arg(long, default_value_t = 10_000)]
    endpoints: usize,
    /// Real proxies among them.
    #[arg(long, default_value_t = 200)]
    proxies: usize,
    /// Pods of a workload, without the real proxies.
    #[arg(long, default_value_t = 20)]
    pods: usize,
    /// One in so many workloads is uneven for ever: 20 is 5 %.
    #[arg(long, default_value_t = 20)]
    uneven: usize,
    /// Length of each measurement, seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// What cargo says to benchmarks.
    #[arg(long, hide = true)]
    bench: bool,
    /// The process is one of the endpoints, with what it needs as JSON.
    #[arg(long, hide = true)]
    serve: Option<String>,
}

fn main() -> Result<()> {
    daemon::raise_descriptor_limit();
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match &cli.serve {
        Some(arguments) => runtime.block_on(endpoints::serve(serde_json::from_str(arguments)?)),
        None => runtime.block_on(run(&cli)),
    }
}

async fn run(cli: &Cli) -> Result<()> {
    let api = ApiServer::start();
    let keys = keys(&api).await?;
    let program = Path::new(env!("CARGO_BIN_EXE_evenkeel-balancer"));
    let mut fleet = Vec::new();
    for first in (0..cli.endpoints).step_by(ENDPOINTS_PER_PROCESS) {
        let count = ENDPOINTS_PER_PROCESS.min(cli.endpoints - first);
        let (keys, pods, uneven) = (keys.clone(), cli.pods, cli.uneven);
        fleet.push(Endpoints::start(&EndpointsArguments { first, count, pods, uneven, keys })?);
    }
    let proxies = proxies(cli, &keys, program).await?;
    let workloads = cli.endpoints.div_ceil(cli.pods);
    let synthetic = (0..cli.endpoints).map(|n| (n / cli.pods, IpAddr::from(address(n))));
    let real = proxies.iter().enumerate().map(|(n, proxy)| (n % workloads, proxy.admin_address().ip()));
    publish(&api, workloads, synthetic.chain(real));
    eprintln!("{} endpoints and {} real proxies in {workloads} workloads", cli.endpoints, proxies.len());

    let balancer = Balancer::start(api.kubeconfig(), "one", ADMIN_PORT);
    sleep(LEADS_AFTER).await;
    let length = Duration::from_secs(cli.seconds);
    let mut phases =
        vec![Phase::measure("after the start, when all pods are new", &balancer, &mut fleet, length).await?];
    sleep(CHANGE_LASTS.saturating_sub(length)).await;
    phases.push(Phase::measure("some uneven, the others at rest", &balancer, &mut fleet, length).await?);
    println!("{}", measure::table(&phases));
    println!("{}", measure::answers(balancer.admin).await?);
    Ok(())
}

/// The first replica makes the keys.
async fn keys(api: &ApiServer) -> Result<String> {
    let _first = Balancer::start(api.kubeconfig(), "first", ADMIN_PORT);
    loop {
        if let Some(keys) = api.written("configmaps", "evenkeel-balancer-keys") {
            return Ok(keys["data"]["keys"].as_str().context("keys in the ConfigMap")?.to_owned());
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn proxies(cli: &Cli, keys: &str, balancer: &Path) -> Result<Vec<RecyclingProxy>> {
    let program = balancer.with_file_name("recycling-proxy");
    let app = SocketAddr::from(([127, 0, 0, 1], 1));
    let mut proxies = Vec::new();
    for n in 0..cli.proxies {
        let workload = format!("Deployment/web-{}", n % cli.endpoints.div_ceil(cli.pods));
        let options =
            [(ProxyOption::BalanceKeys, keys), (ProxyOption::Workload, &*workload), (ProxyOption::Namespace, "shop")];
        let started = RecyclingProxy::start(&program, app, &options).await;
        proxies.push(started.with_context(|| format!("{}: build it first", program.display()))?);
    }
    Ok(proxies)
}

/// Returns the address of an endpoint: in 127.0.0.0/16, of which real proxies take none.
fn address(n: usize) -> Ipv4Addr {
    let part = |number: usize| u8::try_from(number).expect("fewer than 63,000 endpoints");
    Ipv4Addr::new(127, 0, part(1 + n / 250), part(1 + n % 250))
}

/// Puts a Pod there for each address, and an `EndpointSlice` for each workload.
fn publish(api: &ApiServer, workloads: usize, pods: impl Iterator<Item = (usize, IpAddr)>) {
    let mut ready: Vec<Vec<Value>> = vec![Vec::new(); workloads];
    for (n, (workload, address)) in pods.enumerate() {
        let uid = format!("00000000-0000-4000-8000-{n:012}");
        api.put("pods", &pod(n, &uid, workload, address));
        ready[workload].push(json!({"conditions": {"ready": true}, "targetRef": {"kind": "Pod", "uid": uid}}));
    }
    for (workload, endpoints) in ready.into_iter().enumerate() {
        let name = format!("web-{workload}");
        let metadata = json!({"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1"});
        let slice = json!({"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "metadata": metadata,
            "addressType": "IPv4", "endpoints": endpoints});
        api.put("endpointslices", &slice);
    }
}

fn pod(n: usize, uid: &str, workload: usize, address: IpAddr) -> Value {
    let owner = format!("web-{workload}-5d4f8");
    json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": format!("web-{workload}-{n}"), "namespace": "shop", "uid": uid, "resourceVersion": "1",
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": true},
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": address,
            "hostIP": "192.0.2.1",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

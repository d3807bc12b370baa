//! Scripted proxies that follow the contract, each on an address of the loopback network.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use balancing::{LastSequence, PublicKeys, Quantity, Receiver, Recent, Report, Workload, WorkloadInstruction};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long anything may take here before it counts as never.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(1);

/// A proxy.
pub(crate) struct Proxy {
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    workload: Workload,
    state: Arc<Mutex<ProxyState>>,
    news: Arc<Notify>,
}

struct ProxyState {
    workload: Workload,
    load: f64,
    keys: Option<PublicKeys>,
    last: LastSequence,
    received: Vec<WorkloadInstruction>,
    refusals: usize,
}

impl Proxy {
    /// Starts one of `shop/Deployment/web` on 127.0.0.`last` with a load in requests per second. It takes no
    /// instruction before it has keys.
    pub(crate) async fn start(last: u8, port: u16, load: f64) -> Self {
        let address = SocketAddr::from(([127, 0, 0, last], port));
        Self::of("shop/Deployment/web", format!("web-{last}"), address, load).await
    }

    /// Starts one of this workload.
    pub(crate) async fn of(workload: &str, name: String, address: SocketAddr, load: f64) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (workload, address): (Workload, _) = (workload.parse().unwrap(), address.ip());
        let state = ProxyState {
            workload: workload.clone(),
            load,
            keys: None,
            last: LastSequence::NONE,
            received: Vec::new(),
            refusals: 0,
        };
        let (state, news) = (Arc::new(Mutex::new(state)), Arc::new(Notify::new()));
        let routes = Router::new()
            .route("/balance", get(show).post(receive))
            .with_state((Arc::clone(&state), Arc::clone(&news)));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { name, address, workload, state, news }
    }

    /// Gives it the keys that are published.
    pub(crate) fn learn(&self, keys: &str) {
        self.state.lock().unwrap().keys = Some(keys.parse().unwrap());
    }

    pub(crate) fn set_load(&self, load: f64) {
        self.state.lock().unwrap().load = load;
    }

    /// Returns what counts the instructions that it has taken.
    pub(crate) fn counter(&self) -> impl Fn() -> usize + Clone + Send + use<> {
        let state = Arc::clone(&self.state);
        move || state.lock().unwrap().received.len()
    }

    /// Returns the instructions that it has taken since it was told to forget them.
    pub(crate) fn received(&self) -> Vec<WorkloadInstruction> {
        self.state.lock().unwrap().received.clone()
    }

    pub(crate) fn count_refusals(&self) -> usize {
        self.state.lock().unwrap().refusals
    }

    /// Waits for an instruction that is as the test says.
    pub(crate) async fn receives(&self, is_it: impl Fn(&WorkloadInstruction) -> bool) -> WorkloadInstruction {
        let received = async {
            loop {
                let news = self.news.notified();
                if let Some(found) = self.state.lock().unwrap().received.iter().find(|instruction| is_it(instruction)) {
                    return found.clone();
                }
                news.await;
            }
        };
        timeout(TIMEOUT, received)
            .await
            .unwrap_or_else(|_| panic!("{} received {:?}", self.name, self.state.lock().unwrap().received))
    }

    /// Forgets what it has received so far.
    pub(crate) fn forget(&self) {
        self.state.lock().unwrap().received.clear();
    }

    /// Returns the Pod.
    pub(crate) fn pod(&self) -> Value {
        pod_in(self.workload.namespace(), &self.name, self.address)
    }
}

/// Returns a Pod of the namespace `shop` that is ready.
pub(crate) fn pod(name: &str, address: IpAddr) -> Value {
    pod_in("shop", name, address)
}

/// Returns a Pod that is ready. It belongs to the Deployment whose name its own begins with.
pub(crate) fn pod_in(namespace: &str, name: &str, address: IpAddr) -> Value {
    let (deployment, _) = name.rsplit_once('-').unwrap();
    let replica_set = format!("{deployment}-5d4f8");
    json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": format!("uid-{name}"),
            "resourceVersion": "1",
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": replica_set, "uid": replica_set, "controller": true},
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

/// Returns an `EndpointSlice` in which these are ready.
pub(crate) fn slice_of(proxies: &[&Proxy]) -> Value {
    slice(&proxies.iter().map(|proxy| &*proxy.name).collect::<Vec<_>>())
}

/// Returns an `EndpointSlice` of the namespace `shop` in which the Pods with these names are ready.
pub(crate) fn slice(names: &[&str]) -> Value {
    slice_in("shop", "web-abc", names)
}

/// Returns an `EndpointSlice` in which the Pods with these names are ready.
pub(crate) fn slice_in(namespace: &str, name: &str, names: &[&str]) -> Value {
    let endpoint = |name: &&str| {
        json!({
            // An address that nobody must connect to.
            "addresses": ["127.0.0.1"],
            "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "uid": format!("uid-{name}")},
        })
    };
    json!({
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1"},
        "addressType": "IPv4",
        "endpoints": names.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

type Shared = (Arc<Mutex<ProxyState>>, Arc<Notify>);

async fn show(State((state, _)): State<Shared>) -> String {
    report(&state.lock().unwrap()).to_json()
}

async fn receive(State((state, news)): State<Shared>, body: Bytes) -> (StatusCode, String) {
    let mut state = state.lock().unwrap();
    let Some(keys) = state.keys.clone() else { return (StatusCode::NOT_FOUND, String::new()) };
    let receiver = Receiver::new(keys, state.workload.clone());
    match receiver.receive(&body, state.last) {
        Ok((last, instruction)) => {
            state.last = last;
            state.received.push(instruction);
            news.notify_waiters();
            (StatusCode::OK, report(&state).to_json())
        }
        Err(refusal) => {
            state.refusals += 1;
            let mut report = report(&state);
            report.refused = Some(refusal);
            (StatusCode::FORBIDDEN, report.to_json())
        }
    }
}

fn report(state: &ProxyState) -> Report {
    let quantity = |number| Quantity::new(number).unwrap();
    let mut report = Report::new(state.workload.clone());
    report.load = quantity(state.load);
    report.connections = 10;
    report.recent = Recent { requests: quantity(state.load * 30.0), seconds: quantity(300.0) };
    report.sequence = state.last.get();
    report.keys = state.keys.iter().flat_map(PublicKeys::iter).map(balancing::PublicKey::id).collect();
    report
}

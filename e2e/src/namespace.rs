//! A namespace of a test's own.

use std::fmt::Debug;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use hyper::Request;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::api::{ListParams, Patch, PatchParams, PostParams, Resource, ResourceExt};
use kube::client::Body;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::client;
use crate::cluster::Cluster;
use crate::rollout;
use crate::web::{Web, sidecar};

/// The field manager of the tests.
const MANAGER: &str = "evenkeel-e2e";
/// How long a Service may take until it routes to a workload's pods and to no others.
const SETTLED_WITHIN: Duration = Duration::from_mins(1);
/// The timeout of a new connection while the Service settles. One that was sent to a deleted pod would otherwise wait
/// for all its SYN retries.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How many new connections in a row must reach current pods. One stale endpoint of four is missed once in 300 times.
const PROBES: u32 = 20;

/// A namespace of one test.
#[derive(Clone)]
pub struct TestNamespace {
    cluster: Cluster,
    name: String,
}

/// Runs a test in a namespace of its own, which is deleted whether it passes, fails or panics.
///
/// # Panics
/// If the test panics.
pub async fn in_namespace<F, T, R>(name: &str, test: F) -> anyhow::Result<R>
where
    F: FnOnce(TestNamespace) -> T,
    T: Future<Output = anyhow::Result<R>> + Send + 'static,
    R: Send + 'static,
{
    in_labelled_namespace(name, &[], test).await
}

/// Does the same in a namespace with labels.
///
/// # Panics
/// If the test panics.
pub async fn in_labelled_namespace<F, T, R>(name: &str, labels: &[(&str, &str)], test: F) -> anyhow::Result<R>
where
    F: FnOnce(TestNamespace) -> T,
    T: Future<Output = anyhow::Result<R>> + Send + 'static,
    R: Send + 'static,
{
    let cluster = Cluster::connect().await?;
    let namespaces = Api::<Namespace>::all(cluster.client.clone());
    let mut namespace = Namespace::default();
    namespace.metadata.generate_name = Some(format!("e2e-{name}-"));
    namespace.labels_mut().extend(labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let created = namespaces.create(&PostParams::default(), &namespace).await?;
    let namespace = TestNamespace { cluster, name: created.name_any() };
    println!("{name}: in namespace {}", namespace.name);

    // In a task of its own, so that the namespace is deleted after a panic, too.
    let ended = tokio::spawn(test(namespace.clone())).await;
    if ended.as_ref().map_or(true, Result::is_err) {
        println!("{}", namespace.diagnosis().await);
    }
    namespaces.delete(&namespace.name, &kube::api::DeleteParams::default()).await?;
    match ended {
        Ok(outcome) => outcome,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

impl TestNamespace {
    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a client of the whole cluster.
    pub fn client(&self) -> Client {
        self.cluster.client.clone()
    }

    /// Returns the address of a node.
    pub(crate) fn node(&self) -> IpAddr {
        self.cluster.node
    }

    /// Returns the address of a `NodePort`.
    pub fn at_node(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.cluster.node, port)
    }

    /// Returns the API of a kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client(), &self.name)
    }

    /// Creates the workload and its Service, and waits until each of its pods answers. Returns the address of the
    /// Service.
    pub async fn deploy(&self, web: &Web) -> anyhow::Result<SocketAddr> {
        let deployment = self.apply(&web.deployment).await?;
        if web.wants_sidecar() && sidecar(&deployment).is_none() {
            bail!("the webhook did not inject into an annotated Deployment: see its logs");
        }
        let service = self.apply(&web.service).await?;
        self.wait_for_rollout("web").await?;
        let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
        let port = ports.first().and_then(|port| port.node_port).context("the Service has no NodePort")?;
        let address = SocketAddr::new(self.cluster.node, port.try_into()?);
        self.settle(address).await?;
        Ok(address)
    }

    /// Creates a Service with a `NodePort`. Returns its addresses: IPv4, and IPv6 if the cluster has both.
    pub async fn expose(&self, service: &Service) -> anyhow::Result<Vec<SocketAddr>> {
        let mut service = service.clone();
        let spec = service.spec.get_or_insert_default();
        spec.type_ = Some("NodePort".to_owned());
        spec.ip_family_policy = Some("PreferDualStack".to_owned());
        let spec = self.api::<Service>().create(&PostParams::default(), &service).await?.spec.unwrap_or_default();
        let port =
            spec.ports.iter().flatten().find_map(|port| port.node_port).context("the Service has no NodePort")?;
        let mut addresses = vec![SocketAddr::new(self.cluster.node, port.try_into()?)];
        if spec.ip_families.is_some_and(|families| families.len() > 1) {
            let otherwise = self.cluster.node_otherwise;
            let otherwise = otherwise.context("Services have IPv4 and IPv6 here, and the node has one of them")?;
            addresses.push(SocketAddr::new(otherwise, port.try_into()?));
        }
        Ok(addresses)
    }

    /// Returns the same port at the address of each node: nodes learn of changes at different times.
    pub fn on_every_node(&self, address: SocketAddr) -> Vec<SocketAddr> {
        self.cluster.nodes.iter().map(|&node| SocketAddr::new(node, address.port())).collect()
    }

    /// Waits until new connections to the Service at `address` reach each of the pods and nothing else.
    ///
    /// Nodes learn of a rollout after the API server: they may not route to a ready pod yet, and still route to a
    /// deleted one.
    pub async fn settle(&self, address: SocketAddr) -> anyhow::Result<()> {
        let pods = self.pod_names().await?;
        let started = Instant::now();
        let (mut unseen, mut in_a_row) = (pods.clone(), 0);
        while !unseen.is_empty() || in_a_row < PROBES {
            let outcome = timeout(PROBE_TIMEOUT, client::Client::new(address).get()).await;
            match &outcome {
                Ok(Ok(answer)) if pods.iter().any(|pod| **pod == *answer.pod) => {
                    unseen.retain(|pod| **pod != *answer.pod);
                    in_a_row += 1;
                }
                Ok(_) | Err(_) => {
                    in_a_row = 0;
                    sleep(Duration::from_millis(200)).await;
                }
            }
            if started.elapsed() > SETTLED_WITHIN {
                bail!(
                    "the Service at {address} does not lead to {pods:?} alone after {SETTLED_WITHIN:?}: not to {unseen:?}, last: {outcome:?}"
                );
            }
        }
        Ok(())
    }

    /// Creates a Deployment, as `kubectl create` does. Returns the stored object, and the warnings that kubectl would
    /// print.
    pub async fn create(&self, deployment: &Deployment) -> anyhow::Result<(Deployment, Vec<String>)> {
        let requests = kube::api::Request::new(Deployment::url_path(&(), Some(&self.name)));
        let request = requests.create(&PostParams::default(), serde_json::to_vec(deployment)?)?;
        let response = self.client().send(request.map(Body::from)).await?;
        let status = response.status();
        let warnings = response.headers().get_all("warning").iter();
        let warnings = warnings.map(|warning| warning.to_str().map(str::to_owned)).collect::<Result<_, _>>()?;
        let body = response.into_body().collect_bytes().await?;
        ensure!(status.is_success(), "not admitted: {status}: {}", String::from_utf8_lossy(&body));
        Ok((serde_json::from_slice(&body)?, warnings))
    }

    /// Returns what the API server would store for a new Deployment, as `kubectl create --dry-run=server` does.
    pub async fn dry_run(&self, deployment: &Deployment) -> anyhow::Result<Deployment> {
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        Ok(self.api().create(&dry_run, deployment).await?)
    }

    /// Returns what the API server would store for a replaced Deployment, as `kubectl replace --dry-run=server` does.
    pub async fn dry_run_replace(&self, deployment: &Deployment) -> anyhow::Result<Deployment> {
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        Ok(self.api().replace(&deployment.name_any(), &dry_run, deployment).await?)
    }

    /// Creates the sample's `HorizontalPodAutoscaler`.
    pub async fn autoscale(&self, autoscaler: &HorizontalPodAutoscaler) -> anyhow::Result<()> {
        self.apply(autoscaler).await.map(drop)
    }

    /// Applies an object, as `kubectl apply --server-side` does.
    pub async fn apply<K>(&self, object: &K) -> anyhow::Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
        K::DynamicType: Default,
    {
        let parameters = PatchParams::apply(MANAGER);
        Ok(self.api::<K>().patch(&object.name_any(), &parameters, &Patch::Apply(object)).await?)
    }

    /// Returns the Deployment as it is stored now.
    pub async fn deployment(&self, name: &str) -> anyhow::Result<Deployment> {
        Ok(self.api::<Deployment>().get(name).await?)
    }

    /// Sets or, with `None`, removes annotations of the Deployment, as `kubectl annotate` does, and waits for the
    /// rollout.
    pub async fn annotate(&self, name: &str, annotations: &[(&str, Option<&str>)]) -> anyhow::Result<()> {
        let annotations: Value = annotations.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        self.merge(name, &json!({ "metadata": { "annotations": annotations } })).await
    }

    /// Replaces all pods, as `kubectl rollout restart` does. `reason` must be new each time.
    pub async fn restart(&self, name: &str, reason: &str) -> anyhow::Result<()> {
        let annotations = json!({ "e2e.evenkeel.dev/restart": reason });
        self.merge(name, &json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } })).await
    }

    /// Sets the number of pods, and waits until they are ready and the others are deleted.
    pub async fn scale(&self, name: &str, replicas: u32) -> anyhow::Result<()> {
        let scale = json!({ "spec": { "replicas": replicas } });
        self.api::<Deployment>().patch_scale(name, &PatchParams::default(), &Patch::Merge(scale)).await?;
        self.wait_for_rollout(name).await
    }

    async fn merge(&self, name: &str, patch: &Value) -> anyhow::Result<()> {
        self.api::<Deployment>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        self.wait_for_rollout(name).await
    }

    /// Waits until the Deployment's pods are current and ready, and the others are deleted.
    pub async fn wait_for_rollout(&self, name: &str) -> anyhow::Result<()> {
        rollout::finished(&self.cluster.client, &self.name, name).await
    }

    /// Returns the pods that are not being deleted.
    pub async fn pods(&self) -> anyhow::Result<Vec<Pod>> {
        let pods = self.api::<Pod>().list(&ListParams::default()).await?;
        Ok(pods.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect())
    }

    /// Lets the app at this port of a pod accept no more connections, by a request through the API server.
    pub async fn stop_accepting(&self, pod: &str, port: u16) -> anyhow::Result<()> {
        self.post_to_app(pod, port, "stop-accepting").await
    }

    /// Lets the app at this port of a pod fail its liveness probe and answer everything else, by a request through the
    /// API server.
    pub async fn fail_app(&self, pod: &str, port: u16) -> anyhow::Result<()> {
        self.post_to_app(pod, port, "fail-health").await
    }

    async fn post_to_app(&self, pod: &str, port: u16, what: &str) -> anyhow::Result<()> {
        let path = format!("/api/v1/namespaces/{}/pods/{pod}:{port}/proxy/{what}", self.name);
        let request = Request::post(path).body(Vec::new())?;
        self.client().request_text(request).await?;
        Ok(())
    }

    /// Returns the names of the pods that are not being deleted.
    pub async fn pod_names(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.pods().await?.iter().map(ResourceExt::name_any).collect())
    }
}

//! The cluster that the tests run on.

use std::net::IpAddr;

use anyhow::{Context as _, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};

/// The name and the namespace of the release that `make install` creates.
const RELEASE: &str = "evenkeel";

/// The cluster of `KUBECONFIG`, with evenkeel in it.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// The node address at which tests connect to `NodePort`s.
    pub(crate) node: IpAddr,
    /// The same in the other address family, if the cluster has both.
    pub(crate) node_otherwise: Option<IpAddr>,
    /// The address of each node.
    pub(crate) nodes: Vec<IpAddr>,
}

impl Cluster {
    pub(crate) async fn connect() -> anyhow::Result<Self> {
        if std::env::var_os("KUBECONFIG").is_none() {
            bail!(
                "KUBECONFIG is not set: it names the cluster to test in, and `make e2e` makes one where it is not set"
            );
        }
        let client = Client::try_default().await.context("the cluster of KUBECONFIG cannot be used")?;
        webhook(&client).await?;
        let nodes = node_addresses(&client).await?;
        let addresses = nodes.first().context("the cluster has no node")?;
        let node = *addresses.first().context("the cluster's node has no InternalIP")?;
        let node_otherwise = addresses.iter().copied().find(|address| address.is_ipv4() != node.is_ipv4());
        let nodes = nodes.iter().filter_map(|addresses| addresses.first().copied()).collect();
        Ok(Self { client, node, node_otherwise, nodes })
    }
}

/// Returns the Deployment of the installed webhook, and never that of a test's own release.
pub(crate) async fn webhook(client: &Client) -> anyhow::Result<Deployment> {
    let installed = Api::<Deployment>::namespaced(client.clone(), RELEASE).get_opt(&format!("{RELEASE}-webhook")).await;
    installed.context("the cluster of KUBECONFIG does not answer")?.context(
        "evenkeel is not installed in the cluster of KUBECONFIG, as the release evenkeel in the namespace evenkeel: \
         `make install` does it, `make e2e` too",
    )
}

/// Returns the addresses of each node.
async fn node_addresses(client: &Client) -> anyhow::Result<Vec<Vec<IpAddr>>> {
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await?;
    Ok(nodes.items.into_iter().map(internal_addresses).collect())
}

fn internal_addresses(node: Node) -> Vec<IpAddr> {
    let addresses = node.status.and_then(|status| status.addresses).unwrap_or_default();
    let internal = addresses.iter().filter(|address| address.type_ == "InternalIP");
    internal.filter_map(|address| address.address.parse().ok()).collect()
}

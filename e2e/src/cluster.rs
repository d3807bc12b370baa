//! The cluster that the tests run on.

use std::net::IpAddr;

use anyhow::{Context as _, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};

/// The cluster of `KUBECONFIG`, with evenkeel in it.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// Where `NodePort`s are reached.
    pub(crate) node: IpAddr,
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
        let node = node_address(&client).await?;
        Ok(Self { client, node })
    }
}

/// The Deployment of the installed webhook.
pub(crate) async fn webhook(client: &Client) -> anyhow::Result<Deployment> {
    let ours = ListParams::default().labels("app.kubernetes.io/name=evenkeel");
    let found = Api::<Deployment>::all(client.clone()).list(&ours).await;
    let deployment = found.context("the cluster of KUBECONFIG does not answer")?.items.into_iter().next();
    deployment.context("evenkeel is not installed in the cluster of KUBECONFIG: `make install` does it, `make e2e` too")
}

async fn node_address(client: &Client) -> anyhow::Result<IpAddr> {
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await?;
    let status = nodes.items.into_iter().next().and_then(|node| node.status).context("the cluster has no node")?;
    let addresses = status.addresses.unwrap_or_default();
    let internal = addresses.iter().find(|address| address.type_ == "InternalIP");
    internal.and_then(|address| address.address.parse().ok()).context("the cluster's node has no InternalIP")
}

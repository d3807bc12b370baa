//! The installed webhook, to be taken away and brought back.

use std::time::Duration;

use anyhow::{Context as _, bail};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams, PostParams, ResourceExt as _};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::cluster;
use crate::namespace::TestNamespace;
use crate::rollout;
use crate::web::{Web, sidecar};

/// How long the way from the API server to a ready webhook may take to be laid.
const REACHABLE: Duration = Duration::from_mins(1);

/// The webhook's Deployment.
pub struct Webhook {
    client: Client,
    namespace: String,
    name: String,
    replicas: i32,
    /// Where a workload can be tried on it.
    trials: Api<Deployment>,
}

impl Webhook {
    /// The one that the cluster asks about workloads in this namespace.
    pub async fn of(workloads: &TestNamespace) -> anyhow::Result<Self> {
        let client = workloads.client();
        let deployment = cluster::webhook(&client).await?;
        Ok(Self {
            client,
            namespace: deployment.namespace().context("a Deployment has a namespace")?,
            name: deployment.name_any(),
            replicas: deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1),
            trials: workloads.api(),
        })
    }

    /// Ends all of its pods and waits until they are gone.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.scale(0).await
    }

    /// Starts its pods again and waits until the API server reaches them.
    pub async fn start(&self) -> anyhow::Result<()> {
        self.scale(self.replicas).await?;
        let trial = Web::sample()?.annotation("evenkeel.dev/max-requests", "100");
        let started = Instant::now();
        while !self.injects(&trial).await? {
            if started.elapsed() > REACHABLE {
                bail!("the webhook runs again and was not asked about a workload in {REACHABLE:?}");
            }
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    async fn injects(&self, trial: &Web) -> anyhow::Result<bool> {
        let mut deployment = trial.deployment().clone();
        deployment.metadata.name = Some("trial".to_owned());
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        Ok(sidecar(&self.trials.create(&dry_run, &deployment).await?).is_some())
    }

    async fn scale(&self, replicas: i32) -> anyhow::Result<()> {
        let deployments = Api::<Deployment>::namespaced(self.client.clone(), &self.namespace);
        let scale = json!({ "spec": { "replicas": replicas } });
        deployments.patch_scale(&self.name, &PatchParams::default(), &Patch::Merge(scale)).await?;
        rollout::finished(&self.client, &self.namespace, &self.name).await
    }
}

//! The installed webhook, which tests stop and start.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, ResourceExt};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::cluster;
use crate::namespace::TestNamespace;
use crate::rollout;
use crate::web::{Web, sidecar};

/// How long it may take until the API server reaches a ready webhook.
const REACHABLE: Duration = Duration::from_mins(1);

/// The webhook's Deployment.
pub struct Webhook {
    client: Client,
    namespace: String,
    name: String,
    replicas: i32,
    /// The namespace in which workloads are tried.
    trials: TestNamespace,
}

impl Webhook {
    /// Returns the webhook that reviews workloads in this namespace.
    pub async fn of(workloads: &TestNamespace) -> anyhow::Result<Self> {
        let client = workloads.client();
        let deployment = cluster::webhook(&client).await?;
        Ok(Self {
            client,
            namespace: deployment.namespace().context("a Deployment has a namespace")?,
            name: deployment.name_any(),
            replicas: deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1),
            trials: workloads.clone(),
        })
    }

    /// Scales it to zero and waits until its pods are deleted.
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
                bail!("the webhook runs again, but received no review within {REACHABLE:?}");
            }
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Deletes one of its pods with this grace period in seconds, as `kubectl delete pod` does, and waits until there
    /// are as many as before.
    pub async fn lose_a_replica(&self, grace: Option<u32>) -> anyhow::Result<()> {
        ensure!(self.replicas > 1, "the webhook has one replica: there is no other to answer when it goes");
        let before = self.pods().await?;
        let lost = before.first().context("the webhook has no pod")?;
        let parameters = DeleteParams { grace_period_seconds: grace, ..DeleteParams::default() };
        Api::<Pod>::namespaced(self.client.clone(), &self.namespace).delete(lost, &parameters).await?;
        let started = Instant::now();
        while self.pods().await?.iter().all(|pod| before.contains(pod)) {
            ensure!(started.elapsed() < REACHABLE, "no pod replaces {lost} within {REACHABLE:?}");
            sleep(Duration::from_millis(200)).await;
        }
        rollout::finished(&self.client, &self.namespace, &self.name).await
    }

    /// Returns the names of its pods.
    async fn pods(&self) -> anyhow::Result<Vec<String>> {
        let component = ListParams::default().labels("app.kubernetes.io/component=webhook");
        let pods = Api::<Pod>::namespaced(self.client.clone(), &self.namespace).list(&component).await?;
        Ok(pods.items.iter().map(ResourceExt::name_any).collect())
    }

    async fn injects(&self, trial: &Web) -> anyhow::Result<bool> {
        let mut deployment = trial.deployment().clone();
        deployment.metadata.name = Some("trial".to_owned());
        Ok(sidecar(&self.trials.dry_run(&deployment).await?).is_some())
    }

    async fn scale(&self, replicas: i32) -> anyhow::Result<()> {
        let deployments = Api::<Deployment>::namespaced(self.client.clone(), &self.namespace);
        let scale = json!({ "spec": { "replicas": replicas } });
        deployments.patch_scale(&self.name, &PatchParams::default(), &Patch::Merge(scale)).await?;
        rollout::finished(&self.client, &self.namespace, &self.name).await
    }
}

//! Promise: connections of every kind of workload in the chart's `webhook.kinds` are recycled, and the proxy can be
//! removed from each.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use e2e::{Client, Release, TestNamespace, Web, in_labelled_namespace};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::wait::{await_condition, conditions};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// The name of the release, and the label of the namespaces that it reviews.
const RELEASE: &str = "evenkeel-kinds";
const MAX_REQUESTS: u32 = 5;
const REQUESTS: u32 = 50;
/// How long it may take until the API server reaches a ready webhook, and until a pod is ready.
const REACHABLE: Duration = Duration::from_mins(1);
const READY: Duration = Duration::from_mins(2);

#[tokio::test]
async fn connections_of_every_kind_of_workload_are_recycled() -> anyhow::Result<()> {
    let client = kube::Client::try_default().await?;
    let kinds = "--set=webhook.kinds={StatefulSet,DaemonSet,ReplicaSet,Pod,Rollout}";
    let _release = Release::install(&client, RELEASE, &[kinds]).await?;
    let rollouts = Rollouts::known(&client).await?;
    let outcome = tokio::try_join!(
        recycled("apps/v1", "StatefulSet", json!({"serviceName": "web", "replicas": 1})),
        recycled("apps/v1", "DaemonSet", json!({})),
        recycled("apps/v1", "ReplicaSet", json!({"replicas": 1})),
        recycled("v1", "Pod", json!({})),
        patched("argoproj.io/v1alpha1", "Rollout", json!({"replicas": 0})),
    );
    rollouts.forget(&client).await?;
    outcome.map(drop)
}

/// Argo's kind: the cluster's, or one of the test's that accepts any object and has no controller.
struct Rollouts {
    is_ours: bool,
}

impl Rollouts {
    const NAME: &str = "rollouts.argoproj.io";

    async fn known(client: &kube::Client) -> anyhow::Result<Self> {
        let definitions = Api::<CustomResourceDefinition>::all(client.clone());
        if definitions.get_opt(Self::NAME).await?.is_some() {
            return Ok(Self { is_ours: false });
        }
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let version = json!({"name": "v1alpha1", "served": true, "storage": true, "schema": schema});
        let names = json!({"kind": "Rollout", "plural": "rollouts", "singular": "rollout"});
        let definition = serde_json::from_value(json!({
            "metadata": {"name": Self::NAME},
            "spec": {"group": "argoproj.io", "scope": "Namespaced", "names": names, "versions": [version]},
        }))?;
        definitions.create(&PostParams::default(), &definition).await?;
        await_condition(definitions, Self::NAME, conditions::is_crd_established()).await?;
        Ok(Self { is_ours: true })
    }

    async fn forget(self, client: &kube::Client) -> anyhow::Result<()> {
        if self.is_ours {
            Api::<CustomResourceDefinition>::all(client.clone()).delete(Self::NAME, &DeleteParams::default()).await?;
        }
        Ok(())
    }
}

/// Creates a workload with the annotation, and checks that connections are recycled. If its pods can change, checks
/// that it is as before without the annotation.
async fn recycled(version: &'static str, kind: &'static str, spec: Value) -> anyhow::Result<()> {
    in_labelled_namespace(&kind.to_lowercase(), &[(RELEASE, "on")], |namespace| async move {
        let workload = Workload::of(version, kind, spec, namespace)?;
        workload.create().await?;
        let addresses = workload.namespace.expose(&service()?).await?;
        let address = *addresses.first().context("a Service has an address")?;
        workload.until_ready().await?;
        workload.namespace.settle(address).await?;
        let mut client = Client::new(address);
        for request in 1..=REQUESTS {
            client.get().await.map_err(|failure| anyhow::anyhow!("{kind}: request {request}: {failure}"))?;
        }
        println!("{kind}: {REQUESTS} requests, {} connections, 0 failed", client.opened());
        ensure!(client.opened() == REQUESTS / MAX_REQUESTS, "{kind}: {} connections", client.opened());
        if kind == "Pod" { Ok(()) } else { workload.is_given_back().await }
    })
    .await
}

/// Does the same for a kind that has no controller, without connections.
async fn patched(version: &'static str, kind: &'static str, spec: Value) -> anyhow::Result<()> {
    in_labelled_namespace(&kind.to_lowercase(), &[(RELEASE, "on")], |namespace| async move {
        let workload = Workload::of(version, kind, spec, namespace)?;
        workload.create().await?;
        println!("{kind}: injected");
        workload.is_given_back().await
    })
    .await
}

struct Workload {
    kind: &'static str,
    namespace: TestNamespace,
    api: Api<DynamicObject>,
    /// The object as its author wrote it.
    object: DynamicObject,
}

impl Workload {
    /// Returns the sample's pods under another kind.
    fn of(version: &str, kind: &'static str, spec: Value, namespace: TestNamespace) -> anyhow::Result<Self> {
        let (group, version_of_group) = version.rsplit_once('/').unwrap_or(("", version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version_of_group, kind));
        let api = Api::namespaced_with(namespace.client(), namespace.name(), &resource);
        let deployment = serde_json::to_value(Web::sample()?.deployment())?;
        let mut spec = spec;
        if kind == "Pod" {
            spec = deployment["spec"]["template"]["spec"].clone();
        } else {
            spec["selector"] = deployment["spec"]["selector"].clone();
            spec["template"] = deployment["spec"]["template"].clone();
        }
        let metadata = json!({"name": "web", "labels": {"app": "web"}, "annotations": {
            "evenkeel.dev/max-requests": MAX_REQUESTS.to_string(), "evenkeel.dev/jitter": "0%",
        }});
        let object = json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec});
        Ok(Self { kind, namespace, api, object: serde_json::from_value(object)? })
    }

    /// Creates it as soon as the API server calls the webhook.
    async fn create(&self) -> anyhow::Result<()> {
        let (started, dry_run) = (Instant::now(), PostParams { dry_run: true, ..PostParams::default() });
        while !self.is_injected(&self.api.create(&dry_run, &self.object).await?) {
            ensure!(started.elapsed() < REACHABLE, "{}: not injected in {REACHABLE:?}", self.kind);
            sleep(Duration::from_millis(200)).await;
        }
        let created = self.api.create(&PostParams::default(), &self.object).await?;
        ensure!(self.is_injected(&created), "{}: not injected", self.kind);
        Ok(())
    }

    fn is_injected(&self, object: &DynamicObject) -> bool {
        let init = self.template(object).pointer("/initContainers").and_then(Value::as_array);
        init.into_iter().flatten().any(|container| container["name"] == "recycling-proxy")
    }

    /// Returns the `spec` of the pods.
    fn template<'a>(&self, object: &'a DynamicObject) -> &'a Value {
        if self.kind == "Pod" { &object.data["spec"] } else { &object.data["spec"]["template"]["spec"] }
    }

    async fn until_ready(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let pods = self.namespace.pods().await?;
            let is_ready = |status: &k8s_openapi::api::core::v1::PodStatus| {
                let mut conditions = status.conditions.iter().flatten();
                conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
            };
            if !pods.is_empty() && pods.iter().all(|pod| pod.status.as_ref().is_some_and(is_ready)) {
                return Ok(());
            }
            if started.elapsed() > READY {
                bail!("{}: its pods are not ready after {READY:?}", self.kind);
            }
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// Checks that without the annotation it is what the API server stores of the author's object.
    async fn is_given_back(&self) -> anyhow::Result<()> {
        let off =
            json!({"metadata": {"annotations": {"evenkeel.dev/max-requests": null, "evenkeel.dev/jitter": null}}});
        let after = self.api.patch("web", &PatchParams::default(), &Patch::Merge(off)).await?;
        let mut plain = self.object.clone();
        plain.metadata.annotations = None;
        plain.metadata.name = Some("plain".to_owned());
        let plain = self.api.create(&PostParams { dry_run: true, ..PostParams::default() }, &plain).await?;
        let (found, expected) = (&after.data["spec"]["template"], &plain.data["spec"]["template"]);
        ensure!(found == expected, "{}: removing the annotation left fields of evenkeel: {found}", self.kind);
        Ok(())
    }
}

fn service() -> anyhow::Result<Service> {
    let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]});
    serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).context("a Service")
}

//! Promise: `evenkeel check` says why recycling is not there, or has no effect, and says nothing where all is well.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{Client, TestNamespace, Web, in_labelled_namespace, in_namespace, program};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const CLEAN: i32 = 0;
const FOUND: i32 = 2;
const REQUESTS: u32 = 20;
/// How long a pod may take until its proxy is ready and its app is probed.
const REFUSED_WITHIN: Duration = Duration::from_mins(2);

#[tokio::test]
async fn a_sound_workload_is_clean_and_each_broken_one_has_its_finding() -> anyhow::Result<()> {
    in_namespace("check", |namespace| async move {
        let web = Web::sample()?.replicas(1).annotation("evenkeel.dev/max-requests", "10");
        let mut client = Client::new(namespace.deploy(&web).await?);
        for request in 1..=REQUESTS {
            client.get().await.map_err(|failure| anyhow::anyhow!("request {request}: {failure}"))?;
        }
        let report = check(&namespace, CLEAN)?;
        let good = ["injected", "service-reaches-proxy", "pods-have-proxy", "measured"];
        ensure!(ids(&report, "web", "ok") == good, "{report:#}");
        ensure!(ids(&report, "web", "problem").is_empty() && report["notChecked"] == json!([]), "{report:#}");
        let installation = &report["objects"][0];
        ensure!(installation["kind"] == "installation" && installation["severity"] == "ok", "{report:#}");

        for broken in BROKEN {
            broken.apply(&namespace).await?;
        }
        let elsewhere = deployment("deaf", |object| {
            object["spec"]["replicas"] = json!(1);
            set(object, "/spec/template/spec/containers/0/args", json!(["--listen", "[::]:9999"]));
        })?;
        namespace.apply(&elsewhere).await?;
        let report = once_refused(&namespace, "deaf").await?;
        for broken in BROKEN {
            let found = [ids(&report, broken.name, "problem"), ids(&report, broken.name, "warning")].concat();
            ensure!(found == [broken.finding], "{}: {found:?} in {report:#}", broken.name);
        }
        ensure!(ids(&report, "web", "problem").is_empty(), "{report:#}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_workload_that_nobody_reviewed_is_found_until_it_is() -> anyhow::Result<()> {
    const OPT_OUT: &str = "evenkeel.dev/inject";
    in_labelled_namespace("check-unreviewed", &[(OPT_OUT, "disabled")], |namespace| async move {
        namespace.apply(&deployment("web", |_| {})?).await?;
        let report = check(&namespace, FOUND)?;
        ensure!(ids(&report, "web", "problem") == ["namespace-opted-out"], "{report:#}");
        let opted_in = json!({"metadata": {"labels": {OPT_OUT: null}}});
        let namespaces = Api::<Namespace>::all(namespace.client());
        namespaces.patch(namespace.name(), &PatchParams::default(), &Patch::Merge(opted_in)).await?;
        let report = check(&namespace, FOUND)?;
        ensure!(ids(&report, "web", "problem") == ["not-reviewed"], "{report:#}");
        // The command of the finding.
        namespace.restart("web", "reviewed").await?;
        let report = check(&namespace, CLEAN)?;
        ensure!(ids(&report, "web", "problem").is_empty(), "{report:#}");
        Ok(())
    })
    .await
}

/// The first report in which a pod's app has refused a connection: its probe makes one every other second.
async fn once_refused(namespace: &TestNamespace, name: &str) -> anyhow::Result<Value> {
    let started = Instant::now();
    loop {
        let report = check(namespace, FOUND)?;
        if ids(&report, name, "problem") == ["app-unreachable"] {
            return Ok(report);
        }
        ensure!(started.elapsed() < REFUSED_WITHIN, "{name} is not found to refuse connections: {report:#}");
        sleep(Duration::from_secs(1)).await;
    }
}

/// A workload without pods of which one thing is wrong.
struct Broken {
    name: &'static str,
    finding: &'static str,
    /// What is other than in a sound Deployment, as JSON pointers and values.
    deployment: &'static [(&'static str, &'static str)],
    kind: &'static str,
    /// The `spec` of a Service, and of an autoscaler.
    service: Option<&'static str>,
    autoscaler: Option<&'static str>,
}

const SOUND: Broken =
    Broken { name: "", finding: "", deployment: &[], kind: "Deployment", service: None, autoscaler: None };
const MAX_REQUESTS: &str = "/metadata/annotations/evenkeel.dev~1max-requests";
const INTERCEPTION: &str = "/metadata/annotations/evenkeel.dev~1interception";

const BROKEN: &[Broken] = &[
    Broken { name: "invalid", finding: "invalid-annotations", deployment: &[(MAX_REQUESTS, r#""1k""#)], ..SOUND },
    Broken {
        name: "host",
        finding: "not-injected",
        deployment: &[("/spec/template/spec/hostNetwork", "true")],
        ..SOUND
    },
    Broken { name: "set", finding: "kind-not-reviewed", kind: "StatefulSet", ..SOUND },
    Broken {
        name: "past",
        finding: "service-bypasses-proxy",
        deployment: &[(INTERCEPTION, r#""named-port""#)],
        service: Some(r#"{"ports": [{"port": 80, "targetPort": 8080}]}"#),
        ..SOUND
    },
    Broken {
        name: "elsewhere",
        finding: "service-port-not-taken",
        service: Some(r#"{"ports": [{"port": 80, "targetPort": 9999}]}"#),
        ..SOUND
    },
    Broken {
        name: "sticky",
        finding: "session-affinity",
        service: Some(r#"{"sessionAffinity": "ClientIP", "ports": [{"port": 80, "targetPort": "http"}]}"#),
        ..SOUND
    },
    Broken {
        name: "hpa",
        finding: "hpa-by-pod",
        autoscaler: Some(
            r#"[{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"}}}]"#,
        ),
        ..SOUND
    },
];

impl Broken {
    async fn apply(&self, namespace: &TestNamespace) -> anyhow::Result<()> {
        let object = deployment(self.name, |object| {
            for (pointer, value) in self.deployment {
                set(object, pointer, serde_json::from_str(value).expect("JSON"));
            }
        })?;
        if self.kind == "StatefulSet" {
            let mut set = serde_json::to_value(object)?;
            set["kind"] = self.kind.into();
            namespace.apply::<StatefulSet>(&serde_json::from_value(set)?).await?;
        } else {
            namespace.apply(&object).await?;
        }
        let metadata = json!({"name": self.name});
        if let Some(spec) = self.service {
            let mut spec: Value = serde_json::from_str(spec)?;
            spec["selector"] = json!({"app": self.name});
            let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
            namespace.apply::<Service>(&serde_json::from_value(service)?).await?;
        }
        if let Some(metrics) = self.autoscaler {
            let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": self.name});
            let metrics: Value = serde_json::from_str(metrics)?;
            let spec = json!({"scaleTargetRef": target, "maxReplicas": 2, "metrics": metrics});
            let kind = "HorizontalPodAutoscaler";
            let hpa = json!({"apiVersion": "autoscaling/v2", "kind": kind, "metadata": metadata, "spec": spec});
            namespace.apply::<HorizontalPodAutoscaler>(&serde_json::from_value(hpa)?).await?;
        }
        Ok(())
    }
}

/// The sample's Deployment under another name, without pods.
fn deployment(name: &str, change: impl FnOnce(&mut Value)) -> anyhow::Result<Deployment> {
    let web = Web::sample()?.replicas(0).annotation("evenkeel.dev/max-requests", "10");
    let mut object = serde_json::to_value(web.deployment())?;
    object["metadata"]["name"] = name.into();
    object["metadata"]["labels"] = json!({"app": name});
    object["spec"]["selector"]["matchLabels"] = json!({"app": name});
    object["spec"]["template"]["metadata"]["labels"] = json!({"app": name});
    change(&mut object);
    Ok(serde_json::from_value(object)?)
}

/// Sets a member of an object at a pointer, or adds it.
fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
    let parent = object.pointer_mut(parent).expect("the parent is there");
    parent[member.replace("~1", "/")] = value;
}

/// Runs `evenkeel check` on the namespace; its report.
fn check(namespace: &TestNamespace, expected: i32) -> anyhow::Result<Value> {
    let arguments = ["check", "--namespace", namespace.name(), "--interval", "2", "--output", "json"];
    let (code, report) = program::evenkeel_finds(&arguments)?;
    ensure!(code == expected, "exit code {code} in place of {expected}: {report}");
    serde_json::from_str(&report).context("the report is not JSON")
}

/// The identifiers of what was found about the workload with this name, so severe.
fn ids(report: &Value, name: &str, severity: &str) -> Vec<String> {
    let objects = report["objects"].as_array().into_iter().flatten();
    let findings = objects.filter(|object| object["name"] == name).filter_map(|object| object["findings"].as_array());
    let severe = findings.flatten().filter(|finding| finding["severity"] == severity);
    severe.filter_map(|finding| finding["id"].as_str().map(str::to_owned)).collect()
}

//! Workloads with one fault each.

use anyhow::ensure;
use e2e::{Client, CustomKind, Web, in_namespace, program};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use super::report::{CLEAN, bad, check, ids, once_found, says};

const REQUESTS: u32 = 20;

/// A workload without pods, and other objects.
struct Broken {
    name: &'static str,
    findings: &'static [&'static str],
    kind: &'static str,
    /// The differences from a sound Deployment, as JSON pointers and values; `null` removes a member.
    changes: &'static [(&'static str, &'static str)],
    /// The kinds of other objects, and their `spec`, in which `NAME` stands for the name.
    beside: &'static [(&'static str, &'static str)],
}

const SOUND: Broken = Broken { name: "", findings: &[], kind: "Deployment", changes: &[], beside: &[] };
const MAX_REQUESTS: &str = "/metadata/annotations/evenkeel.dev~1max-requests";
const INTERCEPTION: &str = "/metadata/annotations/evenkeel.dev~1interception";
const PORTS: &str = "/spec/template/spec/containers/0/ports";
const CPU_REQUEST: &str = "/spec/template/spec/containers/0/resources/requests/cpu";
const RESOURCES: &str = "/spec/template/spec/containers/0/resources";
const BY_NAME: &str = r#"{"selector": {"app": "NAME"}, "ports": [{"port": 80, "targetPort": "http"}]}"#;

const BROKEN: &[Broken] = &[
    Broken { name: "invalid", findings: &["invalid-annotations"], changes: &[(MAX_REQUESTS, r#""1k""#)], ..SOUND },
    Broken {
        name: "host",
        findings: &["not-injected"],
        changes: &[("/spec/template/spec/hostNetwork", "true")],
        ..SOUND
    },
    Broken {
        name: "mesh",
        findings: &["mesh-balances"],
        changes: &[("/spec/template/metadata/labels/sidecar.istio.io~1inject", r#""true""#)],
        ..SOUND
    },
    Broken { name: "set", findings: &["kind-not-reviewed"], kind: "StatefulSet", ..SOUND },
    Broken {
        name: "settings-alone",
        findings: &["no-opt-in"],
        changes: &[(MAX_REQUESTS, "null"), ("/metadata/annotations/evenkeel.dev~1jitter", r#""10%""#)],
        ..SOUND
    },
    Broken {
        name: "label",
        findings: &["annotation-misplaced"],
        changes: &[("/metadata/labels/evenkeel.dev~1max-requests", r#""10""#)],
        ..SOUND
    },
    Broken {
        name: "prefix",
        findings: &["annotation-prefix"],
        changes: &[("/metadata/annotations/evenkeel.io~1max-requests", r#""10""#)],
        ..SOUND
    },
    Broken {
        name: "hasty",
        findings: &["drain-cut"],
        changes: &[("/spec/template/spec/terminationGracePeriodSeconds", "9")],
        ..SOUND
    },
    Broken {
        name: "hook",
        findings: &["own-hook"],
        changes: &[("/spec/template/spec/containers/0/lifecycle", r#"{"preStop": {"sleep": {"seconds": 5}}}"#)],
        ..SOUND
    },
    Broken {
        name: "guaranteed",
        findings: &["not-guaranteed"],
        changes: &[(
            RESOURCES,
            r#"{"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"cpu": "20m", "memory": "64Mi"}}"#,
        )],
        ..SOUND
    },
    Broken {
        name: "unnamed",
        findings: &["port-unnamed"],
        changes: &[
            (INTERCEPTION, r#""named-port""#),
            (PORTS, r#"[{"name": "http", "containerPort": 8080}, {"containerPort": 9090}]"#),
        ],
        ..SOUND
    },
    Broken {
        name: "past",
        findings: &["service-bypasses-proxy"],
        changes: &[(INTERCEPTION, r#""named-port""#)],
        beside: &[("Service", r#"{"selector": {"app": "NAME"}, "ports": [{"port": 80, "targetPort": 8080}]}"#)],
        ..SOUND
    },
    Broken {
        name: "elsewhere",
        findings: &["service-port-not-taken"],
        beside: &[("Service", r#"{"selector": {"app": "NAME"}, "ports": [{"port": 80, "targetPort": 9999}]}"#)],
        ..SOUND
    },
    Broken {
        name: "unknown",
        findings: &["service-port-unknown"],
        beside: &[("Service", r#"{"selector": {"app": "NAME"}, "ports": [{"port": 80, "targetPort": "grpc"}]}"#)],
        ..SOUND
    },
    Broken {
        name: "headless",
        findings: &["headless-service"],
        beside: &[(
            "Service",
            r#"{"selector": {"app": "NAME"}, "clusterIP": "None", "ports": [{"port": 80, "targetPort": "http"}]}"#,
        )],
        ..SOUND
    },
    Broken {
        name: "sticky",
        findings: &["session-affinity"],
        beside: &[(
            "Service",
            r#"{"selector": {"app": "NAME"}, "sessionAffinity": "ClientIP", "ports": [{"port": 80, "targetPort": "http"}]}"#,
        )],
        ..SOUND
    },
    Broken {
        name: "local",
        findings: &["traffic-policy"],
        beside: &[(
            "Service",
            r#"{"selector": {"app": "NAME"}, "internalTrafficPolicy": "Local", "ports": [{"port": 80, "targetPort": "http"}]}"#,
        )],
        ..SOUND
    },
    Broken {
        name: "hpa",
        findings: &["hpa-by-pod"],
        beside: &[(
            "HorizontalPodAutoscaler",
            r#"{"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "NAME"}, "maxReplicas": 2, "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"}}}]}"#,
        )],
        ..SOUND
    },
    Broken {
        name: "hpa-other",
        findings: &["hpa-container"],
        beside: &[(
            "HorizontalPodAutoscaler",
            r#"{"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "NAME"}, "maxReplicas": 2, "metrics": [
                {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "recycling-proxy",
                 "target": {"type": "AverageValue", "averageValue": "1"}}}]}"#,
        )],
        ..SOUND
    },
    Broken {
        name: "hpa-blind",
        findings: &["cpu-request-missing"],
        changes: &[(CPU_REQUEST, "null")],
        beside: &[(
            "HorizontalPodAutoscaler",
            r#"{"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "NAME"}, "maxReplicas": 2, "metrics": [
                {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "web",
                 "target": {"type": "Utilization", "averageUtilization": 60}}}]}"#,
        )],
        ..SOUND
    },
    Broken {
        name: "keda",
        findings: &["scaled-object-by-pod"],
        beside: &[(
            "ScaledObject",
            r#"{"scaleTargetRef": {"name": "NAME"}, "triggers": [{"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}}]}"#,
        )],
        ..SOUND
    },
    Broken {
        name: "keda-by-app",
        findings: &[],
        beside: &[(
            "ScaledObject",
            r#"{"scaleTargetRef": {"name": "NAME"}, "triggers": [{"type": "cpu", "metadata": {"value": "60", "containerName": "web"}}]}"#,
        )],
        ..SOUND
    },
    Broken {
        name: "closed",
        findings: &["admin-port-closed"],
        beside: &[(
            "NetworkPolicy",
            r#"{"podSelector": {"matchLabels": {"app": "NAME"}}, "ingress": [{"ports": [{"port": 8080}]}]}"#,
        )],
        ..SOUND
    },
    Broken {
        name: "by-number",
        findings: &["policy-by-number"],
        changes: &[(INTERCEPTION, r#""named-port""#)],
        beside: &[(
            "NetworkPolicy",
            r#"{"podSelector": {"matchLabels": {"app": "NAME"}}, "ingress": [{"ports": [{"port": 8080}, {"port": 15211}]}]}"#,
        )],
        ..SOUND
    },
    Broken {
        name: "ingress",
        findings: &[],
        beside: &[
            ("Service", BY_NAME),
            ("Ingress", r#"{"defaultBackend": {"service": {"name": "NAME", "port": {"number": 80}}}}"#),
        ],
        ..SOUND
    },
];

/// Workloads, and confirmations that their reports must not have.
const NOT_CONFIRMED: [(&str, &str); 5] = [
    ("invalid", "injected"),
    ("past", "service-reaches-proxy"),
    ("host", "pods-have-proxy"),
    ("host", "measured"),
    ("web", "ingress-in-front"),
];

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
        ensure!(ids(&report, "web", "ok") == good && says(&report, "installation", "installed"), "{report:#}");
        ensure!(bad(&report, "web").is_empty() && report["notChecked"] == json!([]), "{report:#}");
        ensure!(report["objects"][0]["kind"] == "installation", "{report:#}");
        ensure!(bad(&report, "installation").is_empty(), "{report:#}");

        let keda = CustomKind::define(&namespace, "ScaledObject", "keda.sh", "scaledobjects").await?;
        let mut objects: Vec<Value> = BROKEN.iter().map(Broken::objects).collect::<anyhow::Result<Vec<_>>>()?.concat();
        objects.push(serde_json::to_value(deployment("deaf", |object| {
            object["spec"]["replicas"] = json!(1);
            set(object, "/spec/template/spec/containers/0/args", json!(["--listen", "[::]:9999"]));
        })?)?);
        objects.push(serde_json::to_value(deployment("no-image", |object| {
            object["spec"]["replicas"] = json!(1);
            set(object, "/metadata/annotations/evenkeel.dev~1proxy-image", json!("localhost/evenkeel-nosuch:dev"));
        })?)?);
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        program::run(
            namespace.name(),
            "kubectl",
            &["apply", "--server-side", "--filename", "-"],
            Some(&list.to_string()),
        )?;
        let report = once_found(&namespace, &[("deaf", "app-unreachable"), ("no-image", "proxy-not-ready")]).await?;
        drop(keda);
        for broken in BROKEN {
            let found = bad(&report, broken.name);
            ensure!(found == broken.findings, "{}: {found:?} in {report:#}", broken.name);
        }
        ensure!(bad(&report, "web").is_empty(), "{report:#}");
        ensure!(says(&report, "ingress", "ingress-in-front"), "{report:#}");
        for (name, id) in NOT_CONFIRMED {
            ensure!(!says(&report, name, id), "{id} of {name}: {report:#}");
        }
        ensure!(report.to_string().contains("ports on which the pod listens instead: 9999"), "{report:#}");
        Ok(())
    })
    .await
}

impl Broken {
    /// Returns the workload and the other objects.
    fn objects(&self) -> anyhow::Result<Vec<Value>> {
        let mut workload = serde_json::to_value(deployment(self.name, |_| {})?)?;
        workload["kind"] = self.kind.into();
        for (pointer, value) in self.changes {
            set(&mut workload, pointer, serde_json::from_str(value)?);
        }
        let mut objects = vec![workload];
        for (kind, spec) in self.beside {
            let spec: Value = serde_json::from_str(&spec.replace("NAME", self.name))?;
            let metadata = json!({"name": self.name});
            objects.push(json!({"apiVersion": api_version(kind), "kind": kind, "metadata": metadata, "spec": spec}));
        }
        Ok(objects)
    }
}

fn api_version(kind: &str) -> &'static str {
    match kind {
        "HorizontalPodAutoscaler" => "autoscaling/v2",
        "NetworkPolicy" | "Ingress" => "networking.k8s.io/v1",
        "ScaledObject" => "keda.sh/v1alpha1",
        _ => "v1",
    }
}

/// Returns the sample's Deployment under another name, without pods.
pub(crate) fn deployment(name: &str, change: impl FnOnce(&mut Value)) -> anyhow::Result<Deployment> {
    let web = Web::sample()?.replicas(0).annotation("evenkeel.dev/max-requests", "10");
    let mut object = serde_json::to_value(web.deployment())?;
    object["metadata"]["name"] = name.into();
    object["metadata"]["labels"] = json!({"app": name});
    object["spec"]["selector"]["matchLabels"] = json!({"app": name});
    object["spec"]["template"]["metadata"]["labels"] = json!({"app": name});
    change(&mut object);
    Ok(serde_json::from_value(object)?)
}

/// Sets a member of an object at a pointer, or adds it; `null` removes it.
pub(crate) fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
    let parent = object.pointer_mut(parent).and_then(Value::as_object_mut).expect("the parent is an object");
    let member = member.replace("~1", "/");
    if value.is_null() {
        parent.remove(&member)
    } else {
        parent.insert(member, value)
    };
}

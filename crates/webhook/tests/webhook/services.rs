//! Services that bypass the proxy: reviews warn of them, and Events report those that are created or changed later.
//! Removals have Events, too.

use serde_json::{Value, json};

use crate::api_server::{ApiServer, Contents};
use crate::process::Process;
use crate::running::review_of_deployment;

pub(crate) const ASKS: (&str, &str) = ("evenkeel.dev/max-requests", "5");

/// Returns a stored Deployment with these annotations.
pub(crate) fn stored(name: &str, annotations: &Value) -> Value {
    let mut object = review_of_deployment(annotations)["request"]["object"].take();
    let uid = format!("uid-of-{name}");
    for (key, value) in [("name", name), ("uid", &uid), ("resourceVersion", "5")] {
        object["metadata"][key] = json!(value);
    }
    object["metadata"]["generation"] = json!(1);
    object
}

pub(crate) fn asking() -> Value {
    json!({ASKS.0: ASKS.1})
}

/// Returns the same Deployment with the proxy.
pub(crate) fn injected(name: &str, annotations: &Value) -> Value {
    let mut object = stored(name, annotations);
    let kind = inject::WorkloadKind::Deployment;
    let outcome = inject::inject(&object, kind, None, &inject::Installation::default());
    json_patch::patch(&mut object, outcome.patch().unwrap()).unwrap();
    object
}

pub(crate) fn service(name: &str, spec: &Value) -> Value {
    let metadata = json!({"name": name, "namespace": "shop", "resourceVersion": "5"});
    let mut spec = spec.clone();
    spec["selector"] = json!({"app": "web"});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
}

pub(crate) fn to(port: u16) -> Value {
    json!({"ports": [{"port": 80, "targetPort": port}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_with_another_target_gets_a_warning_and_an_event() {
    let services = vec![service("elsewhere", &to(9999)), service("web", &to(8080))];
    // Events are published once Services are known.
    let deployments = vec![injected("web", &asking()).to_string()];
    let cluster = ApiServer::start(Contents { deployments, services, ..Contents::default() }).await;
    let webhook = Process::start(&cluster).await;
    let note = cluster.note("ServiceBypassesProxy").await;
    let expected = "service/elsewhere port 80 targets 9999, which no container declares: it intercepts 8080";
    assert_eq!(note, expected);
    let response = webhook.review(review_of_deployment(&asking()).to_string()).await;
    let warning = "evenkeel: service/elsewhere: port 9999 is not intercepted";
    assert_eq!(response["warnings"], json!([warning]), "{response}");
    assert!(response["patch"].is_string(), "it is injected all the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_created_after_the_deployment_gets_an_event() {
    let deployments = vec![injected("web", &asking()).to_string(), stored("missed", &asking()).to_string()];
    let cluster = ApiServer::start(Contents { deployments, ..Contents::default() }).await;
    let _webhook = Process::start(&cluster).await;
    cluster.wait_for_event_on("missed").await;
    assert_eq!(cluster.reasons(), ["InjectionMissed"], "an old injection gets no Event");
    cluster.change_service(&service("late", &to(9999)));
    assert!(cluster.note("ServiceBypassesProxy").await.starts_with("service/late port 80 targets 9999"));
    let mut sticky = to(8080);
    sticky["sessionAffinity"] = json!("ClientIP");
    cluster.change_service(&service("late", &sticky));
    assert!(cluster.note("SessionAffinity").await.starts_with("service/late has sessionAffinity"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_with_an_expired_resource_version_lists_again() {
    let deployments = vec![injected("web", &asking()).to_string()];
    let contents = Contents { deployments, forgets_first_list: true, ..Contents::default() };
    let cluster = ApiServer::start(contents).await;
    let _webhook = Process::start(&cluster).await;
    cluster.change_deployment(&stored("missed", &asking()));
    cluster.wait_for_event_on("missed").await;
    cluster.change_service(&service("late", &to(9999)));
    assert!(cluster.note("ServiceBypassesProxy").await.starts_with("service/late port 80 targets 9999"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_removal_of_a_proxy_gets_an_event() {
    let names = ["goes", "switched-off", "stays"];
    let mut deployments: Vec<String> = names.iter().map(|name| injected(name, &asking()).to_string()).collect();
    deployments.push(stored("last", &asking()).to_string());
    let cluster = ApiServer::start(Contents { deployments, ..Contents::default() }).await;
    let _webhook = Process::start(&cluster).await;
    cluster.wait_for_event_on("last").await;
    let mut without = injected("stays", &asking());
    without["metadata"]["annotations"] = json!({});
    cluster.change_deployment(&without);
    assert!(cluster.note("InjectionMissed").await.contains("not injected"));
    cluster.wait_for_event_on("stays").await;
    for (name, annotations) in
        [("goes", json!({})), ("switched-off", json!({ASKS.0: ASKS.1, "evenkeel.dev/inject": "disabled"}))]
    {
        cluster.change_deployment(&stored(name, &annotations));
        cluster.wait_for_event_on(name).await;
    }
    assert!(cluster.note("ProxyRemoved").await.contains("was removed"));
    assert_eq!(cluster.reasons(), ["InjectionMissed", "InjectionMissed", "ProxyRemoved", "ProxyRemoved"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warnings_and_events_name_an_opted_out_namespace_as_the_cause() {
    let mut left = injected("left", &asking());
    left["metadata"]["annotations"] = json!({});
    let deployments = vec![stored("web", &asking()).to_string(), left.to_string()];
    let namespace = json!({"labels": {"evenkeel.dev/inject": "disabled"}});
    let cluster = ApiServer::start(Contents { deployments, namespace, ..Contents::default() }).await;
    let _webhook = Process::opted_out_by_label(&cluster).await;
    cluster.wait_for_event_on("left").await;
    assert_eq!(cluster.reasons(), ["NamespaceOptedOut", "NamespaceOptedOut"]);
    assert!(cluster.note("NamespaceOptedOut").await.starts_with("asked for, but not injected"));
}

//! Objects of tenants take little memory of the webhook, and do not delay Events on other workloads.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::api_server::{ApiServer, Contents};
use crate::process::Process;
use crate::running::review_of_deployment;

/// In KiB. A test build takes 25 MiB at rest; the container's limit is 128 MiB.
const MOST_MEMORY: u64 = 64 << 10;
/// For the bodies of reviews, in KiB.
const MOST_BODIES: u64 = 16 << 10;

/// Returns a Deployment as JSON text, because it may be large.
fn deployment(name: &str, annotations: &str, container: &str) -> String {
    format!(
        r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"{name}","namespace":"shop",
        "uid":"00000000-0000-4000-8000-{name:0>12}","resourceVersion":"5","generation":1,"annotations":{annotations}}},
        "spec":{{"template":{{"metadata":{{}},"spec":{{"containers":[{container}]}}}}}}}}"#
    )
    .replace('\n', " ")
}

const ASKS: &str = r#"{"evenkeel.dev/max-requests":"5"}"#;

/// Returns a Deployment that was not reviewed, which gets an Event.
fn missed(name: &str) -> String {
    deployment(name, ASKS, r#"{"name":"app","ports":[{"containerPort":80}]}"#)
}

/// Returns a container of 480 kB, which takes thirty times as much memory once it is parsed.
fn variables() -> String {
    format!(r#"{{"name":"app","env":[{}{{"name":"A"}}]}}"#, r#"{"name":"A"},"#.repeat(32_000))
}

fn numbered(count: usize, make: impl Fn(&str) -> String) -> Vec<String> {
    (0..count).map(|number| make(&number.to_string())).collect()
}

/// Starts the program in a cluster with `contents`, and waits for its Event on a last Deployment. Returns its peak
/// memory, and the cluster.
async fn memory_until_last_event(mut contents: Contents) -> (u64, ApiServer) {
    contents.deployments.push(missed("last"));
    let cluster = ApiServer::start(contents).await;
    let webhook = Process::start(&cluster).await;
    cluster.wait_for_event_on("last").await;
    (webhook.peak_memory(), cluster)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_bounded_with_large_deployments_without_annotations() {
    let container = variables();
    let deployments = numbered(25, |name| deployment(name, "{}", &container));
    let (memory, _) = memory_until_last_event(Contents { deployments, ..Contents::default() }).await;
    assert!(memory < MOST_MEMORY, "{memory} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_bounded_with_large_annotated_deployments() {
    let container = variables();
    let deployments = numbered(25, |name| deployment(name, ASKS, &container));
    let (memory, _) = memory_until_last_event(Contents { deployments, ..Contents::default() }).await;
    assert!(memory < MOST_MEMORY, "{memory} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_bounded_with_large_metadata() {
    let names: Vec<String> = (0..5_000).map(|number| format!("evenkeel.dev/x{number}")).collect();
    let annotations: Value = names.iter().map(|name| (name.clone(), json!("y".repeat(30)))).collect();
    let fields: Value = names.iter().map(|name| (format!("f:{name}"), json!({"f:a": {}, "f:b": {}}))).collect();
    let managed = format!(r#""metadata":{{"managedFields":[{{"manager":"x","fieldsV1":{fields}}}],"#);
    let of_template = format!(r#""metadata":{{"annotations":{annotations}}}"#);
    let text = annotations.to_string();
    let deployments = numbered(25, |name| {
        let deployment = deployment(name, &text, r#"{"name":"app"}"#);
        deployment.replacen(r#""metadata":{"#, &managed, 1).replacen(r#""metadata":{}"#, &of_template, 1)
    });
    let namespace = json!({"labels": annotations, "managedFields": [{"manager": "x", "fieldsV1": fields}]});
    let (memory, _) = memory_until_last_event(Contents { deployments, namespace, ..Contents::default() }).await;
    assert!(memory < MOST_MEMORY, "{memory} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_bounded_with_many_services() {
    let selector: Value = (0..4).map(|n| (format!("app.kubernetes.io/label-{n}"), json!("x".repeat(40)))).collect();
    let ports: Value = (0..3).map(|n| json!({"name": "p", "port": 80 + n, "targetPort": "http"})).collect();
    let spec = json!({"selector": selector, "ports": ports});
    let service = |number: u32| json!({"metadata": {"name": format!("s{number}"), "namespace": "shop"}, "spec": spec});
    let services = (0..12_000).map(service).collect();
    let (memory, _) = memory_until_last_event(Contents { services, ..Contents::default() }).await;
    assert!(memory < MOST_MEMORY, "{memory} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_bounded_with_large_watch_events() {
    let change = |object: &str| format!(r#"{{"type":"MODIFIED","object":{object}}}"#);
    let large =
        variables().replace(r#""name":"app""#, &format!(r#""name":"app","args":[{}"<"]"#, r#""<","#.repeat(700_000)));
    let large = numbered(3, |name| deployment(name, ASKS, &large));
    let mut watched: Vec<String> = large.iter().map(|object| change(object)).collect();
    watched.push(change(&missed("changed")));
    let cluster = ApiServer::start(Contents { watched, ..Contents::default() }).await;
    let webhook = Process::start(&cluster).await;
    cluster.wait_for_event_on("changed").await;
    let memory = webhook.peak_memory();
    assert!(memory < MOST_MEMORY, "{memory} KiB");
    assert_eq!(cluster.events(), ["changed"], "objects that are too large get no Event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_bounded_with_large_concurrent_reviews() {
    let cluster = ApiServer::start(Contents::default()).await;
    let webhook = Process::start(&cluster).await;
    let small = review_of_deployment(&json!({"evenkeel.dev/max-requests": "5"})).to_string();
    // 100,000 values in 300 kB.
    let arguments = format!(r#""image":"app:1","args":[{}""]"#, r#""","#.repeat(99_000));
    let large = small.replace(r#""image":"app:1""#, &arguments);
    assert!(large.len() > 290_000);
    let flood = join_all((0..50).map(|_| webhook.review(large.clone())));
    let others = async {
        let mut answers = Vec::new();
        for _ in 0..20 {
            answers.push(webhook.review(small.clone()).await);
        }
        answers
    };
    let (flood, others) = tokio::join!(flood, others);
    for answer in flood {
        assert_eq!(answer["allowed"], true);
        assert!(answer["patch"].is_string() || answer["warnings"][0].is_string(), "{answer}");
    }
    for answer in others {
        assert!(answer["patch"].is_string(), "an object of usual size is injected: {answer}");
    }
    let memory = webhook.peak_memory();
    assert!(memory < MOST_MEMORY + MOST_BODIES, "{memory} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_a_path_is_not_requested() {
    let cluster = ApiServer::start(Contents::default()).await;
    let webhook = Process::start(&cluster).await;
    let mut review = review_of_deployment(&json!({"evenkeel.dev/max-requests": "5"}));
    for namespace in ["evenkeel/secrets/evenkeel-webhook-ca", "shop?watch=true", "../../version", "%2e%2e", "", "shop"]
    {
        review["request"]["namespace"] = json!(namespace);
        assert!(webhook.review(review.to_string()).await["patch"].is_string(), "{namespace}");
    }
    let mut asked = cluster.requests();
    asked.sort_unstable();
    let expected =
        ["limitranges?&limit=32", "resourcequotas?&limit=32"].map(|list| format!("/api/v1/namespaces/shop/{list}"));
    assert_eq!(asked, ["/api/v1/namespaces/shop"].into_iter().map(str::to_owned).chain(expected).collect::<Vec<_>>());
}

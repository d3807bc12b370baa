//! A scripted API server: the endpoints that the webhook uses, with contents from the test.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// The deadline of everything that is awaited.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The contents of the API server.
#[derive(Default)]
pub(crate) struct Contents {
    /// Deployments as JSON, in the order in which they are listed.
    pub(crate) deployments: Vec<String>,
    /// Events of the watch of Deployments, a line each. After them the watch stays open.
    pub(crate) watched: Vec<String>,
    /// The Services in the list.
    pub(crate) services: Vec<Value>,
    /// The `LimitRange`s in each namespace.
    pub(crate) limit_ranges: Vec<Value>,
    /// The balancer's keys in their ConfigMap; `None` without a ConfigMap.
    pub(crate) balance_keys: Option<&'static str>,
    /// The metadata of each namespace, except its name.
    pub(crate) namespace: Value,
    /// Whether watches of Services and Deployments are refused until the kind has been listed twice, as by an API
    /// server that no longer knows the version of the first list.
    pub(crate) forgets_first_list: bool,
}

/// A running API server.
pub(crate) struct ApiServer {
    seen: Arc<Served>,
    _folder: tempfile::TempDir,
    kubeconfig: PathBuf,
}

struct Served {
    contents: Contents,
    /// How often each kind was listed.
    deployment_lists: AtomicUsize,
    service_lists: AtomicUsize,
    /// Later lines of the watches.
    deployment_changes: Feed,
    service_changes: Feed,
    /// The published Events.
    events: Mutex<Vec<Value>>,
    /// The paths of requests, with their queries.
    requests: Mutex<Vec<String>>,
    news: Notify,
}

impl ApiServer {
    pub(crate) async fn start(contents: Contents) -> Self {
        let seen = Arc::new(Served {
            contents,
            deployment_lists: AtomicUsize::default(),
            service_lists: AtomicUsize::default(),
            deployment_changes: Feed::default(),
            service_changes: Feed::default(),
            events: Mutex::default(),
            requests: Mutex::default(),
            news: Notify::new(),
        });
        let routes = Router::new()
            .route("/apis/apps/v1/deployments", get(deployments))
            .route("/apis/apps/v1/namespaces/{namespace}/deployments/{name}", get(deployment))
            .route("/apis/apps/v1/namespaces/{namespace}/deployments", get(deployments))
            .route("/api/v1/services", get(services))
            .route("/api/v1/namespaces/{name}", get(namespace))
            .route("/api/v1/namespaces/{name}/limitranges", get(limit_ranges))
            .route("/api/v1/namespaces/{name}/configmaps", get(config_maps))
            .route("/apis/events.k8s.io/v1/namespaces/{namespace}/events", post(event))
            .fallback(other)
            .with_state(Arc::clone(&seen));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = test_support::write_kubeconfig(folder.path(), address, "default");
        Self { seen, _folder: folder, kubeconfig }
    }

    /// Returns the value of `KUBECONFIG` for programs that use it.
    pub(crate) fn kubeconfig(&self) -> &std::path::Path {
        &self.kubeconfig
    }

    /// Waits for an Event on the workload `name`.
    pub(crate) async fn wait_for_event_on(&self, name: &str) {
        self.event(|event| event["regarding"]["name"] == name, name).await;
    }

    /// Waits for an Event with this reason, and returns its note.
    pub(crate) async fn note(&self, reason: &str) -> String {
        let event = self.event(|event| event["reason"] == reason, reason).await;
        event["note"].as_str().unwrap().to_owned()
    }

    async fn event(&self, is_it: impl Fn(&Value) -> bool, what: &str) -> Value {
        let published = async {
            loop {
                let news = self.seen.news.notified();
                if let Some(event) = self.seen.events.lock().unwrap().iter().find(|event| is_it(event)) {
                    return event.clone();
                }
                news.await;
            }
        };
        tokio::time::timeout(TIMEOUT, published)
            .await
            .unwrap_or_else(|_| panic!("no Event: {what}; {:?}", self.reasons()))
    }

    /// Returns the names of workloads in published Events.
    pub(crate) fn events(&self) -> Vec<String> {
        let events = self.seen.events.lock().unwrap();
        events.iter().map(|event| event["regarding"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Returns the reasons of Events, in order.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let events = self.seen.events.lock().unwrap();
        events.iter().map(|event| event["reason"].as_str().unwrap().to_owned()).collect()
    }

    /// Sends a change of a Deployment to watches.
    pub(crate) fn change_deployment(&self, deployment: &Value) {
        self.seen.deployment_changes.push(format!(r#"{{"type":"MODIFIED","object":{deployment}}}"#));
    }

    /// Sends a new or changed Service to watches.
    pub(crate) fn change_service(&self, service: &Value) {
        self.seen.service_changes.push(format!(r#"{{"type":"MODIFIED","object":{service}}}"#));
    }

    /// Returns the paths of requests, with their queries.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }
}

/// The lines of a watch, to which more can be added.
#[derive(Default)]
struct Feed {
    lines: Mutex<Vec<String>>,
    news: Notify,
}

impl Feed {
    fn push(&self, line: String) {
        self.lines.lock().unwrap().push(line);
        self.news.notify_waiters();
    }

    /// Returns the line with this number once it exists.
    async fn line(&self, number: usize) -> String {
        loop {
            let news = self.news.notified();
            if let Some(line) = self.lines.lock().unwrap().get(number) {
                return line.clone();
            }
            news.await;
        }
    }
}

/// Returns the response to a watch, with its first lines.
fn watch(first: &[String], seen: Arc<Served>, feed: fn(&Served) -> &Feed) -> Response {
    let first: Vec<Result<Bytes, Infallible>> = first.iter().map(|line| Ok(Bytes::from(format!("{line}\n")))).collect();
    let later = stream::unfold((seen, 0), move |(seen, next)| async move {
        let line = feed(&seen).line(next).await;
        Some((Ok(Bytes::from(format!("{line}\n"))), (seen, next + 1)))
    });
    Body::from_stream(stream::iter(first).chain(later)).into_response()
}

/// Returns the response to a watch from a version that the API server no longer knows.
fn gone() -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410,
        "message": "too old resource version: 7"});
    (StatusCode::GONE, axum::Json(status)).into_response()
}

async fn services(State(seen): State<Arc<Served>>, uri: Uri) -> Response {
    let is_watch = of_query(&uri, "watch").is_some();
    if is_watch && seen.contents.forgets_first_list && seen.service_lists.load(Relaxed) < 2 {
        return gone();
    }
    if is_watch {
        return watch(&[], seen, |seen| &seen.service_changes);
    }
    seen.service_lists.fetch_add(1, Relaxed);
    page("v1", "Service", &seen.contents.services, &uri)
}

async fn deployments(State(seen): State<Arc<Served>>, uri: Uri) -> Response {
    let is_watch = of_query(&uri, "watch").is_some();
    if is_watch && seen.contents.forgets_first_list && seen.deployment_lists.load(Relaxed) < 2 {
        return gone();
    }
    if is_watch {
        let first = seen.contents.watched.clone();
        return watch(&first, seen, |seen| &seen.deployment_changes);
    }
    seen.deployment_lists.fetch_add(1, Relaxed);
    page("apps/v1", "Deployment", &seen.contents.deployments, &uri)
}

fn of_query<'a>(uri: &'a Uri, key: &str) -> Option<&'a str> {
    let mut pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(name, value)| (name == key).then_some(value))
}

/// Returns a page of a list, as `limit` and `continue` ask for it.
fn page(api_version: &str, kind: &str, all: &[impl ToString], uri: &Uri) -> Response {
    let number = |key: &str| of_query(uri, key).and_then(|text| text.parse::<usize>().ok());
    let begin = number("continue").unwrap_or_default().min(all.len());
    let end = number("limit").map_or(all.len(), |limit| (begin + limit).min(all.len()));
    let more = if end < all.len() { end.to_string() } else { String::new() };
    let items: Vec<String> = all[begin..end].iter().map(ToString::to_string).collect();
    let head = format!(
        r#"{{"kind":"{kind}List","apiVersion":"{api_version}","metadata":{{"resourceVersion":"7","continue":"{more}"}},"items":["#
    );
    (StatusCode::OK, [("content-type", "application/json")], head + &items.join(",") + "]}\n").into_response()
}

async fn deployment(State(seen): State<Arc<Served>>, Path((_, name)): Path<(String, String)>) -> Response {
    let named = format!(r#""name":"{name}","namespace""#);
    let later = seen.deployment_changes.lines.lock().unwrap().clone();
    let lines = seen.contents.watched.iter().chain(&later);
    let changed = lines.filter_map(|line| Some(&line[line.find(r#""object":"#)? + 9..line.rfind('}')?]));
    let mut all = seen.contents.deployments.iter().map(String::as_str).chain(changed);
    match all.rfind(|object| object.contains(&named)) {
        Some(object) => object.to_owned().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn namespace(State(seen): State<Arc<Served>>, Path(name): Path<String>, uri: Uri) -> Response {
    seen.requests.lock().unwrap().push(uri.to_string());
    let mut metadata = seen.contents.namespace.clone();
    if metadata.is_null() {
        metadata = json!({});
    }
    metadata["name"] = json!(name);
    axum::Json(json!({"kind": "Namespace", "apiVersion": "v1", "metadata": metadata})).into_response()
}

async fn limit_ranges(State(seen): State<Arc<Served>>, uri: Uri) -> Response {
    seen.requests.lock().unwrap().push(uri.to_string());
    let list =
        json!({"kind": "LimitRangeList", "apiVersion": "v1", "metadata": {}, "items": seen.contents.limit_ranges});
    axum::Json(list).into_response()
}

/// Serves the ConfigMap of the balancer's keys, which the webhook requests by name.
async fn config_maps(State(seen): State<Arc<Served>>, Path(namespace): Path<String>, uri: Uri) -> Response {
    let query = uri.query().unwrap_or_default();
    if namespace != "tools" || !query.contains("fieldSelector=metadata.name%3Dkeys") {
        return StatusCode::FORBIDDEN.into_response();
    }
    if query.contains("watch=true") {
        return Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()).into_response();
    }
    let item = |keys| json!({"metadata": {"name": "keys", "namespace": "tools", "uid": "u"}, "data": {"keys": keys}});
    let items: Vec<Value> = seen.contents.balance_keys.map(item).into_iter().collect();
    let list =
        json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items});
    axum::Json(list).into_response()
}

async fn event(State(seen): State<Arc<Served>>, body: Bytes) -> Response {
    let event: Value = serde_json::from_slice(&body).unwrap();
    seen.events.lock().unwrap().push(event);
    seen.news.notify_waiters();
    (StatusCode::CREATED, body).into_response()
}

async fn other(State(seen): State<Arc<Served>>, uri: Uri) -> Response {
    seen.requests.lock().unwrap().push(uri.to_string());
    StatusCode::NOT_FOUND.into_response()
}

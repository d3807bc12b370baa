//! An API server of which a test says what it holds: as much of one as the webhook asks for.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// How long anything may take here before it counts as never.
const PATIENCE: Duration = Duration::from_mins(1);

/// What it holds.
#[derive(Default)]
pub(crate) struct Holds {
    /// Deployments as JSON, in the order in which they are listed.
    pub(crate) deployments: Vec<String>,
    /// What a watch of Deployments is sent, a line each, before it falls silent.
    pub(crate) watched: Vec<String>,
    /// The `LimitRange`s of every namespace.
    pub(crate) limit_ranges: Vec<Value>,
    /// What the ConfigMap of the balancer's keys has; `None` where there is none.
    pub(crate) balance_keys: Option<&'static str>,
    /// The metadata of every namespace, but its name.
    pub(crate) namespace: Value,
}

/// A running one.
pub(crate) struct ApiServer {
    seen: Arc<Seen>,
    _folder: tempfile::TempDir,
    kubeconfig: PathBuf,
}

struct Seen {
    holds: Holds,
    /// Names of workloads that Events were about.
    told: Mutex<Vec<String>>,
    /// Paths that were asked for, with their queries.
    asked: Mutex<Vec<String>>,
    news: Notify,
}

impl ApiServer {
    pub(crate) async fn start(holds: Holds) -> Self {
        let seen = Arc::new(Seen { holds, told: Mutex::default(), asked: Mutex::default(), news: Notify::new() });
        let routes = Router::new()
            .route("/apis/apps/v1/deployments", get(deployments))
            .route("/apis/apps/v1/namespaces/{namespace}/deployments/{name}", get(deployment))
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

    /// How a program finds it: the value of `KUBECONFIG`.
    pub(crate) fn kubeconfig(&self) -> &std::path::Path {
        &self.kubeconfig
    }

    /// Waits until an Event is about the workload `name`.
    pub(crate) async fn told_of(&self, name: &str) {
        let told = async {
            loop {
                let news = self.seen.news.notified();
                if self.seen.told.lock().unwrap().iter().any(|told| told == name) {
                    return;
                }
                news.await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("no Event is about {name}"));
    }

    /// The names that Events were about.
    pub(crate) fn told(&self) -> Vec<String> {
        self.seen.told.lock().unwrap().clone()
    }

    /// The paths that were asked for, with their queries.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.seen.asked.lock().unwrap().clone()
    }
}

async fn deployments(State(seen): State<Arc<Seen>>, uri: Uri) -> Response {
    let query = |key: &str| {
        let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find_map(|(name, value)| (name == key).then_some(value))
    };
    if query("watch").is_some() {
        let lines: Vec<_> = seen.holds.watched.iter().map(|line| Ok(Bytes::from(format!("{line}\n")))).collect();
        let lines = stream::iter::<Vec<Result<Bytes, Infallible>>>(lines);
        return Body::from_stream(futures_util::StreamExt::chain(lines, stream::pending())).into_response();
    }
    let number = |key: &str| query(key).and_then(|text| text.parse::<usize>().ok());
    let all = &seen.holds.deployments;
    let begin = number("continue").unwrap_or_default().min(all.len());
    let end = number("limit").map_or(all.len(), |limit| (begin + limit).min(all.len()));
    let more = if end < all.len() { end.to_string() } else { String::new() };
    let head = format!(
        r#"{{"kind":"DeploymentList","apiVersion":"apps/v1","metadata":{{"resourceVersion":"7","continue":"{more}"}},"items":["#
    );
    (StatusCode::OK, [("content-type", "application/json")], head + &all[begin..end].join(",") + "]}\n").into_response()
}

async fn deployment(State(seen): State<Arc<Seen>>, Path((_, name)): Path<(String, String)>) -> Response {
    let named = format!(r#""name":"{name}","namespace""#);
    let lines =
        seen.holds.watched.iter().filter_map(|line| Some(&line[line.find(r#""object":"#)? + 9..line.len() - 1]));
    let mut all = seen.holds.deployments.iter().map(String::as_str).chain(lines);
    match all.find(|object| object.contains(&named)) {
        Some(object) => object.to_owned().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn namespace(State(seen): State<Arc<Seen>>, Path(name): Path<String>, uri: Uri) -> Response {
    seen.asked.lock().unwrap().push(uri.to_string());
    let mut metadata = seen.holds.namespace.clone();
    if metadata.is_null() {
        metadata = json!({});
    }
    metadata["name"] = json!(name);
    axum::Json(json!({"kind": "Namespace", "apiVersion": "v1", "metadata": metadata})).into_response()
}

async fn limit_ranges(State(seen): State<Arc<Seen>>, uri: Uri) -> Response {
    seen.asked.lock().unwrap().push(uri.to_string());
    let list = json!({"kind": "LimitRangeList", "apiVersion": "v1", "metadata": {}, "items": seen.holds.limit_ranges});
    axum::Json(list).into_response()
}

/// Of the balancer's keys, which the webhook asks for by name.
async fn config_maps(State(seen): State<Arc<Seen>>, Path(namespace): Path<String>, uri: Uri) -> Response {
    let query = uri.query().unwrap_or_default();
    if namespace != "tools" || !query.contains("fieldSelector=metadata.name%3Dkeys") {
        return StatusCode::FORBIDDEN.into_response();
    }
    if query.contains("watch=true") {
        return Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()).into_response();
    }
    let item = |keys| json!({"metadata": {"name": "keys", "namespace": "tools", "uid": "u"}, "data": {"keys": keys}});
    let items: Vec<Value> = seen.holds.balance_keys.map(item).into_iter().collect();
    let list =
        json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items});
    axum::Json(list).into_response()
}

async fn event(State(seen): State<Arc<Seen>>, body: Bytes) -> Response {
    let event: Value = serde_json::from_slice(&body).unwrap();
    seen.told.lock().unwrap().push(event["regarding"]["name"].as_str().unwrap().to_owned());
    seen.news.notify_waiters();
    (StatusCode::CREATED, body).into_response()
}

async fn other(State(seen): State<Arc<Seen>>, uri: Uri) -> Response {
    seen.asked.lock().unwrap().push(uri.to_string());
    StatusCode::NOT_FOUND.into_response()
}

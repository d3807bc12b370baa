//! A scripted API server with the endpoints that the balancer uses.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path as FilePath, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use test_support::LoopbackHost;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::broadcast;

/// The port of an API server.
const PORT: u16 = 6443;

/// A running one. Dropped, it is gone.
pub(crate) struct ApiServer {
    objects: Arc<Objects>,
    host: LoopbackHost,
    /// Of its own, so that its connections end with it.
    serving: Option<Runtime>,
    _folder: tempfile::TempDir,
    kubeconfig: PathBuf,
}

struct Objects {
    /// By path.
    held: Mutex<BTreeMap<String, Value>>,
    /// Plural and event.
    events: broadcast::Sender<(&'static str, String)>,
    /// Counts its lives. A watch of an earlier one is refused, so that all is listed again.
    life: AtomicUsize,
    /// The length of an annotation that each listed Pod has, in bytes.
    padding: AtomicUsize,
}

impl ApiServer {
    pub(crate) fn start() -> Self {
        let events = broadcast::Sender::new(1000);
        let (held, life, padding) = (Mutex::default(), AtomicUsize::default(), AtomicUsize::default());
        let objects = Arc::new(Objects { held, events, life, padding });
        let host = LoopbackHost::reserve().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = test_support::write_kubeconfig(folder.path(), host.port(PORT), "default");
        let mut server = Self { objects, host, serving: None, _folder: folder, kubeconfig };
        server.come_back();
        server
    }

    /// Serves, at the address and with the objects that it had before.
    pub(crate) fn come_back(&mut self) {
        let objects = Arc::clone(&self.objects);
        objects.life.fetch_add(1, Ordering::Relaxed);
        let one = get(read).patch(write);
        let routes = Router::new()
            .route("/api/v1/pods", get(async |uri, state| list("pods", &uri, &state)))
            .route(
                "/apis/discovery.k8s.io/v1/endpointslices",
                get(async |uri, state| list("endpointslices", &uri, &state)),
            )
            .route("/api/v1/namespaces/{namespace}/{plural}/{name}", one.clone())
            .route("/apis/{group}/v1/namespaces/{namespace}/{plural}/{name}", one)
            .with_state(objects);
        let listener = std::net::TcpListener::bind(self.host.port(PORT)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move { axum::serve(TcpListener::from_std(listener).unwrap(), routes).await });
        self.serving = Some(runtime);
    }

    /// Ends all connections and answers nobody.
    pub(crate) fn go_away(&mut self) {
        if let Some(runtime) = self.serving.take() {
            runtime.shutdown_background();
        }
    }

    /// Has each Pod that is listed have so many bytes more.
    pub(crate) fn pad_pods(&self, bytes: usize) {
        self.objects.padding.store(bytes, Ordering::Relaxed);
    }

    /// Puts an object there as `other` has it.
    pub(crate) fn copy(&self, other: &Self, plural: &'static str, name: &str) {
        self.put(plural, &other.written(plural, name).unwrap());
    }

    /// Returns how a program finds it: the value of `KUBECONFIG`.
    pub(crate) fn kubeconfig(&self) -> &FilePath {
        &self.kubeconfig
    }

    /// Puts an object there, and tells who watches.
    pub(crate) fn put(&self, plural: &'static str, object: &Value) {
        let path = format!("{plural}/{}", object["metadata"]["name"].as_str().unwrap());
        let event = if self.objects.held().insert(path, object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        self.tell(plural, event, object);
    }

    /// Takes an object away, and tells who watches.
    pub(crate) fn delete(&self, plural: &'static str, name: &str) {
        let object = self.objects.held().remove(&format!("{plural}/{name}")).unwrap();
        self.tell(plural, "DELETED", &object);
    }

    fn tell(&self, plural: &'static str, event: &str, object: &Value) {
        // Nobody may be watching yet.
        let _ = self.objects.events.send((plural, json!({"type": event, "object": object}).to_string()));
    }

    /// Returns an object that the balancer writes.
    pub(crate) fn written(&self, plural: &str, name: &str) -> Option<Value> {
        self.objects.held().get(&format!("{plural}/{name}")).cloned()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.go_away();
    }
}

impl Objects {
    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        self.held.lock().unwrap()
    }
}

fn list(plural: &'static str, uri: &Uri, State(objects): &State<Arc<Objects>>) -> Response {
    let query = uri.query().unwrap_or_default();
    let labelled = query.contains("labelSelector=evenkeel.dev%2Fbalance%3Don");
    assert!(labelled || plural != "pods", "all Pods are asked for: {query}");
    let number = |key| query.split('&').find_map(|part| part.strip_prefix(key)?.parse::<usize>().ok());
    let life = objects.life.load(Ordering::Relaxed);
    if query.contains("watch=true") {
        if number("resourceVersion=") != Some(life) {
            return status(StatusCode::GONE, "Expired");
        }
        let events = stream::unfold(objects.events.subscribe(), |mut events| async move {
            let event = events.recv().await.ok()?;
            Some((event, events))
        });
        let lines = events.filter_map(move |(of, line)| async move {
            (of == plural).then(|| Ok::<_, Infallible>(Bytes::from(line + "\n")))
        });
        return Response::new(Body::from_stream(lines));
    }
    let (limit, from) = (number("limit=").unwrap_or(usize::MAX), number("continue=").unwrap_or(0));
    let (held, prefix) = (objects.held(), format!("{plural}/"));
    let all = held.iter().filter(|(path, _)| path.starts_with(&prefix));
    let items: Vec<Value> = all.skip(from).take(limit).map(|(_, object)| object.clone()).collect();
    let next = (items.len() == limit).then(|| (from + limit).to_string());
    let metadata = json!({"resourceVersion": life.to_string(), "continue": next});
    let padding = if plural == "pods" { objects.padding.load(Ordering::Relaxed) } else { 0 };
    list_of(&metadata, items, padding)
}

/// One object after the other, so that a large list is never whole in the memory of the test.
fn list_of(metadata: &Value, items: Vec<Value>, padding: usize) -> Response {
    let padding = Bytes::from("x".repeat(padding));
    let head = format!(r#"{{"kind":"List","apiVersion":"v1","metadata":{metadata},"items":["#);
    let objects = items.into_iter().enumerate().flat_map(move |(place, mut object)| {
        let separator = if place == 0 { "" } else { "," };
        object["metadata"]["annotations"] = json!({"padding": "|"});
        let text = object.to_string();
        let (before, after) = text.split_once('|').unwrap();
        [Bytes::from(format!("{separator}{before}")), padding.clone(), Bytes::from(after.to_owned())]
    });
    let parts = std::iter::once(Bytes::from(head)).chain(objects).chain([Bytes::from_static(b"]}")]);
    Response::new(Body::from_stream(stream::iter(parts.map(Ok::<_, Infallible>))))
}

async fn read(Path(path): Path<BTreeMap<String, String>>, State(objects): State<Arc<Objects>>) -> Response {
    match objects.held().get(&format!("{}/{}", path["plural"], path["name"])) {
        Some(object) => Json(object.clone()).into_response(),
        None => status(StatusCode::NOT_FOUND, "NotFound"),
    }
}

/// Server-side apply or a merge patch: members of maps are put in place, and a version that is named must be the
/// present one.
async fn write(
    Path(path): Path<BTreeMap<String, String>>,
    State(objects): State<Arc<Objects>>,
    change: Bytes,
) -> Response {
    let change: Value = serde_json::from_slice(&change).unwrap();
    let mut held = objects.held();
    let object = held.entry(format!("{}/{}", path["plural"], path["name"])).or_insert_with(|| json!({"metadata": {}}));
    let version = object["metadata"]["resourceVersion"].as_str().unwrap_or("0").to_owned();
    if change["metadata"]["resourceVersion"].as_str().is_some_and(|named| named != version) {
        return status(StatusCode::CONFLICT, "Conflict");
    }
    merge(object, &change);
    object["metadata"]["resourceVersion"] = (version.parse::<u64>().unwrap() + 1).to_string().into();
    Json(object.clone()).into_response()
}

fn merge(into: &mut Value, patch: &Value) {
    let Some(members) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in members {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut into[key], value);
        }
    }
}

fn status(code: StatusCode, reason: &str) -> Response {
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(), "reason": reason});
    (code, Json(status)).into_response()
}

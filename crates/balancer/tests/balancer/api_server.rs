//! An API server of which a test says what it holds: as much of one as the balancer asks for.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

/// A running one. Dropped, it is gone.
pub(crate) struct ApiServer {
    objects: Arc<Objects>,
    serving: AbortHandle,
    _folder: tempfile::TempDir,
    kubeconfig: PathBuf,
}

struct Objects {
    /// By path.
    held: Mutex<BTreeMap<String, Value>>,
    /// Plural and event.
    events: broadcast::Sender<(&'static str, String)>,
}

impl ApiServer {
    pub(crate) async fn start() -> Self {
        let objects = Arc::new(Objects { held: Mutex::default(), events: broadcast::Sender::new(1000) });
        let one = get(read).patch(write);
        let routes = Router::new()
            .route("/api/v1/pods", get(async |uri, state| list("pods", &uri, &state)))
            .route(
                "/apis/discovery.k8s.io/v1/endpointslices",
                get(async |uri, state| list("endpointslices", &uri, &state)),
            )
            .route("/api/v1/namespaces/{namespace}/{plural}/{name}", one.clone())
            .route("/apis/{group}/v1/namespaces/{namespace}/{plural}/{name}", one)
            .with_state(Arc::clone(&objects));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await }).abort_handle();
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = test_support::write_kubeconfig(folder.path(), address, "default");
        Self { objects, serving, _folder: folder, kubeconfig }
    }

    /// How a program finds it: the value of `KUBECONFIG`.
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
        self.serving.abort();
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
    if query.contains("watch=true") {
        let events = stream::unfold(objects.events.subscribe(), |mut events| async move {
            let event = events.recv().await.ok()?;
            Some((event, events))
        });
        let lines = events.filter_map(move |(of, line)| async move {
            (of == plural).then(|| Ok::<_, Infallible>(Bytes::from(line + "\n")))
        });
        return Response::new(Body::from_stream(lines));
    }
    let number = |key| query.split('&').find_map(|part| part.strip_prefix(key)?.parse::<usize>().ok());
    let (limit, from) = (number("limit=").unwrap_or(usize::MAX), number("continue=").unwrap_or(0));
    let (held, prefix) = (objects.held(), format!("{plural}/"));
    let all = held.iter().filter(|(path, _)| path.starts_with(&prefix));
    let items: Vec<Value> = all.skip(from).take(limit).map(|(_, object)| object.clone()).collect();
    let next = (items.len() == limit).then(|| (from + limit).to_string());
    let metadata = json!({"resourceVersion": "1", "continue": next});
    Json(json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items})).into_response()
}

async fn read(Path(path): Path<BTreeMap<String, String>>, State(objects): State<Arc<Objects>>) -> Response {
    match objects.held().get(&format!("{}/{}", path["plural"], path["name"])) {
        Some(object) => Json(object.clone()).into_response(),
        None => status(StatusCode::NOT_FOUND, "NotFound"),
    }
}

/// Server-side apply or a merge patch: members of maps are put in place, and a version that is named must be the present one.
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

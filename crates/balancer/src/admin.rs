//! The admin port, in plain HTTP: `/metrics`, `/livez`, `/readyz`, the page, and its JSON. It is read-only.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use balancing::Workload;
use tokio::sync::watch;

use crate::documents::{Hour, List, Pods};
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::page;
use crate::recorder::Recorder;
use crate::view::PodSelection;

/// The sources of the endpoints.
#[derive(Clone)]
pub struct Admin {
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Whether all has been listed, for `/readyz`.
    pub is_complete: watch::Receiver<bool>,
    /// Whether the keys have been read, for `/readyz`.
    pub keys: watch::Receiver<Option<Arc<Keys>>>,
    /// For the page and `/workloads`.
    pub recorder: Arc<Recorder>,
}

/// Returns the routes of the port.
pub fn routes(admin: Admin) -> Router {
    let pages = page::FILES
        .into_iter()
        .fold(Router::new(), |routes, file| routes.route(file.path, get(move || async move { file })));
    pages
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/workloads", get(workloads))
        .route("/workloads/{namespace}/{kind}/{name}", get(hour))
        .layer(map_response(page::secure))
        .with_state(admin)
}

/// Returns 200 on a replica that does not lead, too: it takes over when the leader ends.
async fn readyz(State(admin): State<Admin>) -> Response {
    let reason = if admin.keys.borrow().is_none() {
        "no key yet\n"
    } else if !*admin.is_complete.borrow() {
        "Pods and EndpointSlices are not listed yet\n"
    } else {
        return "ok\n".into_response();
    };
    (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    match admin.metrics.expose(accept) {
        Ok(exposition) => ([(CONTENT_TYPE, exposition.content_type)], exposition.text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Returns all workloads with their pods. The page omits the pods by `?pods=false`, because there may be hundreds.
async fn workloads(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let (pods, of) = match query.as_deref() {
        Some("pods=false") => (Pods::Hidden, PodSelection::None),
        Some(_) | None => (Pods::Shown, PodSelection::All),
    };
    let Some(view) = admin.recorder.view(of).await else { return shutting_down() };
    admin.recorder.history(|history, now| Json(List::of(&view, pods, history, now)).into_response())
}

/// Returns one workload, with its pods and its last hour.
async fn hour(State(admin): State<Admin>, Path([namespace, kind, name]): Path<[String; 3]>) -> Response {
    let unknown =
        || (StatusCode::NOT_FOUND, "no such workload is balanced, or this replica does not lead\n").into_response();
    let Ok(workload) = Workload::new(&namespace, &kind, &name) else { return unknown() };
    let Some(view) = admin.recorder.view(PodSelection::One(workload.clone())).await else { return shutting_down() };
    let hour = |history: &_, now| Hour::of(&view, &workload, history, now).map(|hour| Json(hour).into_response());
    admin.recorder.history(hour).unwrap_or_else(unknown)
}

fn shutting_down() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response()
}

//! The plain port: `/metrics`, `/livez`, `/readyz` and `/workloads`. It reads and changes nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::sync::{mpsc, oneshot, watch};

use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::view::View;

/// What the endpoints show.
#[derive(Clone)]
pub struct Admin {
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Whether all has been listed, for `/readyz`.
    pub is_complete: watch::Receiver<bool>,
    /// Whether the keys have been read, for `/readyz`.
    pub keys: watch::Receiver<Option<Arc<Keys>>>,
    /// Where `/workloads` comes from.
    pub viewers: mpsc::Sender<oneshot::Sender<View>>,
}

/// Returns the routes of the port.
pub fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/workloads", get(workloads))
        .with_state(admin)
}

/// A replica that does not lead is ready, too: it is there for when the leader is not.
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

async fn workloads(State(admin): State<Admin>) -> Response {
    let (viewer, view) = oneshot::channel();
    if admin.viewers.send(viewer).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response();
    }
    match view.await {
        Ok(view) => Json(view).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response(),
    }
}

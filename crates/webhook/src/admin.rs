//! The admin port, plain HTTP: `/metrics`, `/livez` and `/readyz`. All of it is read-only.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daemon::Clock;

use crate::health::Health;
use crate::metrics::Metrics;

/// The state that the endpoints show.
#[derive(Clone)]
pub struct Admin {
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// For `/readyz`.
    pub health: Arc<Health>,
    /// The clock for readiness.
    pub clock: Clock,
}

/// Returns the routes of the admin port.
pub fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn readyz(State(admin): State<Admin>) -> Response {
    match admin.health.readiness(admin.clock.now()) {
        Ok(()) => "ok\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let ends = admin.health.certificate().map(|validity| validity.not_after());
    match admin.metrics.expose(ends, accept) {
        Ok(exposition) => ([(CONTENT_TYPE, exposition.content_type)], exposition.text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

//! `POST /mutate`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, HttpBody};
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, Request, State};
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::judge::Judge;
use super::verdict::{Refused, Verdict};
use crate::health::Health;
use crate::listener::BoundedAddress;
use crate::metrics::Metrics;

/// What an API server takes for an object, and so twice what etcd stores; a review holds two objects.
pub const LARGEST_BODY: usize = 3 << 20;
/// An API server has given up long before (`timeoutSeconds`).
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Answers reviews and counts them.
#[derive(Clone)]
pub struct Reviewer {
    judge: Arc<Judge>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Reviewer {
    /// Answers as `judge` says.
    pub fn new(judge: Judge, metrics: Arc<Metrics>, health: Arc<Health>) -> Self {
        Self { judge: Arc::new(judge), metrics, health }
    }

    async fn answer(&self, body: Result<Bytes, Refused>) -> Response {
        let body = match body {
            Ok(body) => body,
            Err(refused) => return self.refuse(refused, refused.sentence().to_owned()),
        };
        let begin = Instant::now();
        match self.judge.judge(&body).await {
            Ok(judgement) => {
                self.metrics.reviewed(judgement.verdict, begin.elapsed());
                ([(CONTENT_TYPE, "application/json")], judgement.body).into_response()
            }
            Err(malformed) => self.refuse(Refused::Malformed, malformed.to_string()),
        }
    }

    fn refuse(&self, refused: Refused, sentence: String) -> Response {
        debug!(reason = refused.label(), sentence, "refused");
        self.metrics.refused(Verdict::Refused(refused));
        let status = match refused {
            Refused::Malformed | Refused::Broken => StatusCode::BAD_REQUEST,
            Refused::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refused::TimedOut => StatusCode::REQUEST_TIMEOUT,
        };
        (status, sentence + "\n").into_response()
    }
}

/// The routes of the TLS port.
pub fn routes(reviewer: Reviewer) -> Router {
    Router::new().route("/mutate", post(mutate)).layer(DefaultBodyLimit::max(LARGEST_BODY)).with_state(reviewer)
}

async fn mutate(
    State(reviewer): State<Reviewer>,
    ConnectInfo(peer): ConnectInfo<BoundedAddress>,
    request: Request,
) -> Response {
    let version = request.version();
    let mut response = reviewer.answer(read(request).await).await;
    if response.status().is_success() {
        peer.answered();
    }
    // Our own medicine: an API server that is told leaves for another replica before this one ends. (It speaks
    // HTTP/1.1 to webhooks. Over HTTP/2, where the field is not allowed, hyper sends GOAWAY by itself.)
    if reviewer.health.is_draining() && version == Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn read(request: Request) -> Result<Bytes, Refused> {
    // Where the length is announced there is no need to read as far as the limit.
    if usize::try_from(request.body().size_hint().lower()).is_ok_and(|length| length > LARGEST_BODY) {
        return Err(Refused::TooLarge);
    }
    match timeout(BODY_WITHIN, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Refused::TooLarge),
        Ok(Err(_)) => Err(Refused::Broken),
        Err(_) => Err(Refused::TimedOut),
    }
}

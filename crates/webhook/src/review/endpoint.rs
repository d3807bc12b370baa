//! `POST /mutate`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::judge::Judge;
use super::verdict::{Refused, Verdict};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::places::{Guest, Memory};

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

    async fn answer(&self, body: Result<Vec<u8>, Refused>) -> Response {
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
    Router::new().route("/mutate", post(mutate)).with_state(reviewer)
}

async fn mutate(
    State(reviewer): State<Reviewer>,
    ConnectInfo(guest): ConnectInfo<Guest>,
    request: Request,
) -> Response {
    let version = request.version();
    let mut memory = guest.memory();
    let mut response = reviewer.answer(read(request, &mut memory).await).await;
    if response.status().is_success() {
        guest.answered();
    }
    // Our own medicine: an API server that is told leaves for another replica before this one ends. (It speaks
    // HTTP/1.1 to webhooks. Over HTTP/2, where the field is not allowed, hyper sends GOAWAY by itself.)
    if reviewer.health.is_draining() && version == Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn read(request: Request, memory: &mut Memory) -> Result<Vec<u8>, Refused> {
    // Where the length is announced there is no need to read as far as the limit.
    if usize::try_from(request.body().size_hint().lower()).is_ok_and(|length| length > LARGEST_BODY) {
        return Err(Refused::TooLarge);
    }
    timeout(BODY_WITHIN, receive(request.into_body(), memory)).await.unwrap_or(Err(Refused::TimedOut))
}

/// Memory is counted as it fills: what is announced costs nothing.
async fn receive(mut body: Body, memory: &mut Memory) -> Result<Vec<u8>, Refused> {
    let mut received = Vec::new();
    while let Some(frame) = body.frame().await {
        // Trailers have nothing to say.
        let Ok(data) = frame.map_err(|_| Refused::Broken)?.into_data() else { continue };
        if received.len() + data.len() > LARGEST_BODY {
            return Err(Refused::TooLarge);
        }
        let more = u32::try_from(data.len()).map_err(|_| Refused::TooLarge)?;
        memory.grow(more).await.map_err(|_| Refused::Broken)?;
        received.extend_from_slice(&data);
    }
    Ok(received)
}

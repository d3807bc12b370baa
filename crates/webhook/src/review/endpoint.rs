//! `POST /mutate`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::judge::Judge;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::places::{Guest, Memory};
use crate::verdict::{Refused, Verdict};

/// What an API server takes for an object, and so twice what etcd stores; a review holds two objects.
pub const LARGEST_BODY: usize = 3 << 20;
/// An API server has given up long before (`timeoutSeconds`).
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// By how much room for a body grows whose length is not announced.
const STEP: usize = 256 << 10;

/// The body of an answer, and the memory that it is counted in.
struct Answer {
    body: Vec<u8>,
    _memory: Memory,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

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

    /// The answer stays within `memory` until it is sent, however slowly it is taken.
    async fn answer(&self, body: Result<Vec<u8>, Refused>, memory: Memory) -> Response {
        let body = match body {
            Ok(body) => body,
            Err(refused) => return self.refuse(refused, refused.sentence().to_owned()),
        };
        let begin = Instant::now();
        match self.judge.judge(&body).await {
            Ok(judgement) => {
                self.metrics.reviewed(judgement.verdict, begin.elapsed());
                let answer = Bytes::from_owner(Answer { body: judgement.body, _memory: memory });
                ([(CONTENT_TYPE, "application/json")], answer).into_response()
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
    let body = read(request, &mut memory).await;
    let mut response = reviewer.answer(body, memory).await;
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
    // Reserved, and not filled: the system gives memory when it is written to.
    let announced = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let mut received = Vec::with_capacity(announced.map_or(0, |length| length.min(LARGEST_BODY)));
    while let Some(frame) = body.frame().await {
        // Trailers have nothing to say.
        let Ok(data) = frame.map_err(|_| Refused::Broken)?.into_data() else { continue };
        if received.len() + data.len() > LARGEST_BODY {
            return Err(Refused::TooLarge);
        }
        let more = u32::try_from(data.len()).map_err(|_| Refused::TooLarge)?;
        memory.grow(more).await.map_err(|_| Refused::Broken)?;
        if received.capacity() - received.len() < data.len() {
            // Not twice as much as there is: that would be more than is counted.
            received.reserve_exact(data.len().max(STEP));
        }
        received.extend_from_slice(&data);
    }
    Ok(received)
}

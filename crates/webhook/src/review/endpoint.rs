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

use super::handler::Handler;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::slots::{BodyMemory, Connection};
use crate::verdict::{Refused, Verdict};

/// In bytes. API servers accept objects of up to 3 MiB, and etcd stores half of that; a review holds two objects.
pub const LARGEST_BODY: usize = 3 << 20;
/// API servers give up long before that (`timeoutSeconds`).
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// By how many bytes the buffer grows for a body without a `Content-Length`.
const STEP: usize = 256 << 10;

/// The body of a response, and the memory that accounts for it.
struct ResponseBody {
    body: Vec<u8>,
    _memory: BodyMemory,
}

impl AsRef<[u8]> for ResponseBody {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// The endpoint for reviews: reads requests, answers and counts them.
#[derive(Clone)]
pub struct Endpoint {
    handler: Arc<Handler>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Endpoint {
    /// Returns an endpoint that answers as `handler` does.
    pub fn new(handler: Handler, metrics: Arc<Metrics>, health: Arc<Health>) -> Self {
        Self { handler: Arc::new(handler), metrics, health }
    }

    /// Returns the response. `memory` accounts for it until it is sent, however slowly the client reads.
    async fn answer(&self, body: Result<Vec<u8>, Refused>, memory: BodyMemory) -> Response {
        let body = match body {
            Ok(body) => body,
            Err(refused) => return self.refuse(refused, refused.sentence().to_owned()),
        };
        let begin = Instant::now();
        match self.handler.handle(&body).await {
            Ok(reviewed) => {
                self.metrics.reviewed(reviewed.verdict, begin.elapsed());
                let body = Bytes::from_owner(ResponseBody { body: reviewed.body, _memory: memory });
                ([(CONTENT_TYPE, "application/json")], body).into_response()
            }
            Err(malformed) => self.refuse(Refused::Malformed, malformed.to_string()),
        }
    }

    fn refuse(&self, refused: Refused, sentence: String) -> Response {
        debug!(reason = refused.label(), sentence, "refused a request");
        self.metrics.refused(Verdict::Refused(refused));
        let status = match refused {
            Refused::Malformed | Refused::Broken => StatusCode::BAD_REQUEST,
            Refused::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refused::TimedOut => StatusCode::REQUEST_TIMEOUT,
        };
        (status, sentence + "\n").into_response()
    }
}

/// Returns the routes of the TLS port.
pub fn routes(endpoint: Endpoint) -> Router {
    Router::new().route("/mutate", post(mutate)).with_state(endpoint)
}

async fn mutate(
    State(endpoint): State<Endpoint>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let version = request.version();
    let mut memory = connection.memory();
    let body = read(request, &mut memory).await;
    let mut response = endpoint.answer(body, memory).await;
    if response.status().is_success() {
        connection.answered();
    }
    // Sends `Connection: close` while draining, so that API servers reconnect to another replica. (They speak HTTP/1.1
    // to webhooks. HTTP/2 forbids the field; there hyper sends GOAWAY by itself.)
    if endpoint.health.is_draining() && version == Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn read(request: Request, memory: &mut BodyMemory) -> Result<Vec<u8>, Refused> {
    // A `Content-Length` above the limit is refused before the body is read.
    if usize::try_from(request.body().size_hint().lower()).is_ok_and(|length| length > LARGEST_BODY) {
        return Err(Refused::TooLarge);
    }
    timeout(BODY_WITHIN, receive(request.into_body(), memory)).await.unwrap_or(Err(Refused::TimedOut))
}

/// Reads the body. Memory is accounted for as bytes arrive: a `Content-Length` alone takes none.
async fn receive(mut body: Body, memory: &mut BodyMemory) -> Result<Vec<u8>, Refused> {
    // The kernel backs reserved memory only once it is written to.
    let announced = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let mut received = Vec::with_capacity(announced.map_or(0, |length| length.min(LARGEST_BODY)));
    while let Some(frame) = body.frame().await {
        // Trailers are ignored.
        let Ok(data) = frame.map_err(|_| Refused::Broken)?.into_data() else { continue };
        if received.len() + data.len() > LARGEST_BODY {
            return Err(Refused::TooLarge);
        }
        let more = u32::try_from(data.len()).map_err(|_| Refused::TooLarge)?;
        memory.grow(more).await.map_err(|_| Refused::Broken)?;
        if received.capacity() - received.len() < data.len() {
            // `reserve` could double the capacity: more than is accounted for.
            received.reserve_exact(data.len().max(STEP));
        }
        received.extend_from_slice(&data);
    }
    Ok(received)
}

//! What the app answers.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Notify;

use crate::burn::burn;

/// The app: its name and what it has served.
pub(crate) struct App {
    name: HeaderValue,
    burn: Duration,
    requests: AtomicU64,
    connections: AtomicU64,
    stop_accepting: Notify,
    fails_health: AtomicBool,
}

type AnyBody = BoxBody<Bytes, hyper::Error>;

impl App {
    /// Returns an app that burns CPU time for each request.
    pub(crate) fn new(name: HeaderValue, burn: Duration) -> Self {
        let (requests, connections) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { name, burn, requests, connections, stop_accepting: Notify::new(), fails_health: AtomicBool::new(false) }
    }

    /// Waits for `POST /stop-accepting`.
    pub(crate) async fn told_to_stop_accepting(&self) {
        self.stop_accepting.notified().await;
    }

    /// Counts a connection.
    pub(crate) fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Answers a request; all but `/healthz` and `/count` are counted and cost CPU time.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<AnyBody> {
        let mut response = match request.uri().path() {
            "/healthz" if self.fails_health.load(Ordering::Relaxed) => with_status(StatusCode::SERVICE_UNAVAILABLE),
            "/healthz" => Response::new(empty()),
            "/count" => self.count(),
            "/grpc.health.v1.Health/Check" => serving(),
            "/stop-accepting" if request.method() == Method::POST => {
                self.stop_accepting.notify_one();
                Response::new(empty())
            }
            "/fail-health" if request.method() == Method::POST => {
                self.fails_health.store(true, Ordering::Relaxed);
                Response::new(empty())
            }
            _ => self.counted(request).await,
        };
        response.headers_mut().insert("x-pod", self.name.clone());
        response
    }

    fn count(&self) -> Response<AnyBody> {
        let (requests, connections) = (self.requests.load(Ordering::Relaxed), self.connections.load(Ordering::Relaxed));
        let mut response = Response::new(full(format!("{{\"requests\":{requests},\"connections\":{connections}}}\n")));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    async fn counted(&self, request: Request<Incoming>) -> Response<AnyBody> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        burn(self.burn);
        match request.uri().path() {
            "/" => Response::new(full([self.name.as_bytes(), b"\n"].concat())),
            "/cut" => Response::new(infallible(Half { sent: false })),
            "/lookalike" => with_lookalike(),
            "/echo" if request.method() == Method::POST => Response::new(request.into_body().boxed()),
            "/echo.Echo/Say" if request.method() == Method::POST => said(request).await,
            path => match path.strip_prefix("/bytes/").and_then(|length| length.parse().ok()) {
                Some(length) => Response::new(infallible(Filler { left: length })),
                None => with_status(StatusCode::NOT_FOUND),
            },
        }
    }
}

/// Returns a health check response: field 1, `status`, is 1, `SERVING`.
fn serving() -> Response<AnyBody> {
    grpc(Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]))
}

/// Returns the messages of the request once they are complete. If they were sent piece by piece, an empty DATA frame
/// would precede the trailers of each response, and hyper's client takes a hundred of those on a connection for an
/// attack.
async fn said(request: Request<Incoming>) -> Response<AnyBody> {
    match request.into_body().collect().await {
        Ok(body) => grpc(body.to_bytes()),
        Err(_) => with_status(StatusCode::BAD_REQUEST),
    }
}

/// Returns a gRPC response of these length-prefixed messages, with status OK.
fn grpc(messages: Bytes) -> Response<AnyBody> {
    let ok = HeaderMap::from_iter([("grpc-status".parse().expect("a name"), HeaderValue::from_static("0"))]);
    let mut response = Response::new(infallible(Full::new(messages).with_trailers(async { Some(Ok(ok)) })));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn with_lookalike() -> Response<AnyBody> {
    let mut response = Response::new(empty());
    response.headers_mut().insert("content_length", HeaderValue::from_static("0"));
    response
}

fn with_status(status: StatusCode) -> Response<AnyBody> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response
}

fn empty() -> AnyBody {
    infallible(Empty::new())
}

fn full(bytes: impl Into<Bytes>) -> AnyBody {
    infallible(Full::new(bytes.into()))
}

fn infallible(body: impl Body<Data = Bytes, Error = Infallible> + Send + Sync + 'static) -> AnyBody {
    body.map_err(|never| match never {}).boxed()
}

/// A body that ends before its Content-Length. The server then ends the connection.
struct Half {
    sent: bool,
}

impl Body for Half {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let half = (!self.sent).then(|| Ok(Frame::data(Bytes::from_static(b"half"))));
        self.sent = true;
        Poll::Ready(half)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(8)
    }
}

/// A body of a given length, never in memory as a whole.
struct Filler {
    left: u64,
}

static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

impl Body for Filler {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = usize::try_from(self.left).map_or(PIECE.len(), |left| left.min(PIECE.len()));
        if length == 0 {
            return Poll::Ready(None);
        }
        self.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE[..length])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

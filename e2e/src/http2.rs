//! An HTTP/2 client with prior knowledge: hyper's pool, unchanged.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;

use crate::client::{Answer, Failure, FailureKind, field, read};
use crate::dialer::Dialer;

/// Clients that share one connection at a time. When the server sends GOAWAY, the pool opens another one and retries
/// the requests that were not sent on the old one. It retries nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Http2Client {
    pool: Client<Dialer, Empty<Bytes>>,
    dialer: Dialer,
}

impl Http2Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let dialer = Dialer::new(address);
        let mut builder = Client::builder(TokioExecutor::new());
        let pool = builder.http2_only(true).pool_timer(TokioTimer::new()).build(dialer.clone());
        Self { pool, dialer }
    }

    /// Sends `GET /` and reads the whole response.
    pub(crate) async fn get(&self) -> Result<Answer, Failure> {
        let started = Instant::now();
        let request = Request::get("http://web/").body(Empty::new()).expect("a request of constants");
        let response = self.pool.request(request).await.map_err(|error| {
            let kind = if error.is_connect() { FailureKind::Connect } else { FailureKind::Answer };
            kind.because(&error)
        })?;
        let place = self.dialer.answered();
        let pod = field(response.headers(), "x-pod").into();
        read(response).await?;
        let latency = started.elapsed();
        Ok(Answer { pod, connection: place.connection, ordinal: place.ordinal, closes: false, latency })
    }
}

//! Sends a proxy a request for its report, or an instruction.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use balancing::{InvalidReport, MAX_REPORT_BYTES, Report};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The time for the connection, the request and the complete response.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How long an idle connection is kept: until the next request in a workload with an interval of 5 s. With a longer interval, it serves
/// the request and the instruction a second later. To keep it for the next round would cost memory in both processes all the time.
const KEPT_FOR: Duration = Duration::from_secs(8);
/// Requests in flight at once.
const IN_FLIGHT: usize = 1024;
/// Those of them to pods that failed to answer the last request: each may take a second.
const DOUBTFUL_IN_FLIGHT: usize = 256;
/// A head of a proxy's answer has two hundred bytes; this is the least that hyper allows.
const LARGEST_HEAD: usize = 8 << 10;
/// The media type of a JSON Web Signature in compact form (RFC 7515 §9.2.1).
const JOSE: &str = "application/jose";

/// Sends requests to proxies, over connections that are kept while they are frequent.
#[derive(Clone, Debug)]
pub struct Asker {
    client: Client<HttpConnector, Full<Bytes>>,
    port: u16,
    turns: Arc<Semaphore>,
    doubtful: Arc<Semaphore>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum NoReport {
    /// The time is over.
    #[error("no answer within {ANSWER_WITHIN:?}")]
    Late,
    /// There is no HTTP response.
    #[error("no response: {0}")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    /// The proxy has no keys, or the peer is not a proxy.
    #[error("answers {0}")]
    Status(StatusCode),
    /// The response is incomplete, or too long.
    #[error("the response is incomplete or has more than {MAX_REPORT_BYTES} bytes")]
    Body,
    /// The response is not a report.
    #[error(transparent)]
    Invalid(#[from] InvalidReport),
}

impl NoReport {
    /// All labels, that of a report included.
    pub const LABELS: &[&str] = &["report", "late", "unreachable", "status", "invalid", "foreign_workload"];

    /// Returns the word for it in metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Unreachable(_) => "unreachable",
            Self::Status(_) => "status",
            Self::Body | Self::Invalid(_) => "invalid",
        }
    }
}

impl Asker {
    /// Returns a client for `port`, the admin port of proxies.
    pub fn new(port: u16) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(ANSWER_WITHIN));
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(KEPT_FOR).pool_max_idle_per_host(1);
        client.http1_max_buf_size(LARGEST_HEAD);
        let turns = Arc::new(Semaphore::new(IN_FLIGHT));
        Self { client: client.build(connector), port, turns, doubtful: Arc::new(Semaphore::new(DOUBTFUL_IN_FLIGHT)) }
    }

    /// Sends `instruction`, if there is one, to the proxy at `address`, and returns its report.
    ///
    /// # Errors
    /// No report within a second.
    pub async fn ask(
        &self,
        address: IpAddr,
        instruction: Option<Bytes>,
        is_doubtful: bool,
    ) -> Result<Report, NoReport> {
        let turns = if is_doubtful { &self.doubtful } else { &self.turns };
        // No semaphore of ours is ever closed.
        let _turn = turns.acquire().await;
        timeout(ANSWER_WITHIN, self.exchange(address, instruction)).await.map_err(|_| NoReport::Late)?
    }

    async fn exchange(&self, address: IpAddr, instruction: Option<Bytes>) -> Result<Report, NoReport> {
        let uri = format!("http://{}{}", SocketAddr::new(address, self.port), balancing::PATH);
        let method = if instruction.is_some() { Method::POST } else { Method::GET };
        let request = Request::builder().method(method).uri(uri).header(CONTENT_TYPE, JOSE);
        let request = request.body(Full::new(instruction.unwrap_or_default())).expect("an address makes a URI");
        let response = self.client.request(request).await.map_err(NoReport::Unreachable)?;
        let status = response.status();
        // A proxy that refuses an instruction still reports.
        if !matches!(status, StatusCode::OK | StatusCode::FORBIDDEN) {
            return Err(NoReport::Status(status));
        }
        let body = Limited::new(response.into_body(), MAX_REPORT_BYTES).collect().await;
        let body = body.map_err(|error| {
            debug_assert!(error.is::<LengthLimitError>() || error.is::<hyper::Error>(), "{error}");
            NoReport::Body
        })?;
        Ok(Report::from_json(&body.to_bytes())?)
    }
}

//! The HTTP client of the proxies' admin ports: it requests reports and sends instructions.

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

/// The bound on connecting, sending the request and reading the whole response.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long an idle connection is kept. It serves the next request in a workload with an interval of 5 s, and with a
/// longer interval the poll and the instruction a second later. Keeping it until the next round would cost memory in
/// both processes all the time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(8);
/// The most requests in flight to pods that answered the last request.
const MAX_IN_FLIGHT: usize = 1024;
/// The most requests in flight to other pods: each may take a second.
const MAX_IN_FLIGHT_TO_UNRESPONSIVE: usize = 256;
/// The buffer of a response head. A proxy's response head has 200 bytes; hyper allows no smaller buffer.
const LARGEST_HEAD: usize = 8 << 10;
/// The media type of a JSON Web Signature in compact form (RFC 7515 §9.2.1).
const JOSE: &str = "application/jose";

/// A client for the admin ports of all proxies, with at most one idle connection to each.
#[derive(Clone, Debug)]
pub struct ProxyClient {
    client: Client<HttpConnector, Full<Bytes>>,
    port: u16,
    permits: Arc<Semaphore>,
    to_unresponsive: Arc<Semaphore>,
}

/// Why a proxy gave no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There was no complete response within a second.
    #[error("no answer within {TIMEOUT:?}")]
    Late,
    /// The connection failed, or the response is not HTTP.
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

impl ReportError {
    /// All values of the metric label `result`, those of received reports included.
    pub const LABELS: &[&str] = &["report", "late", "unreachable", "status", "invalid", "foreign_workload"];

    /// Returns its value of the metric label `result`.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Unreachable(_) => "unreachable",
            Self::Status(_) => "status",
            Self::Body | Self::Invalid(_) => "invalid",
        }
    }
}

impl ProxyClient {
    /// Returns a client. `port` is the admin port of all proxies.
    pub fn new(port: u16) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(TIMEOUT));
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_TIMEOUT).pool_max_idle_per_host(1);
        client.http1_max_buf_size(LARGEST_HEAD);
        let permits = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
        Self {
            client: client.build(connector),
            port,
            permits,
            to_unresponsive: Arc::new(Semaphore::new(MAX_IN_FLIGHT_TO_UNRESPONSIVE)),
        }
    }

    /// Sends `instruction`, if there is one, to the proxy at `address`, and returns its report.
    ///
    /// `is_unresponsive` means that the pod did not answer its last request: fewer such requests are in flight at once.
    ///
    /// # Errors
    /// If there is no valid report within a second.
    pub async fn request_report(
        &self,
        address: IpAddr,
        instruction: Option<Bytes>,
        is_unresponsive: bool,
    ) -> Result<Report, ReportError> {
        let permits = if is_unresponsive { &self.to_unresponsive } else { &self.permits };
        // `acquire` fails only if the semaphore is closed, which it never is.
        let _permit = permits.acquire().await;
        timeout(TIMEOUT, self.exchange(address, instruction)).await.map_err(|_| ReportError::Late)?
    }

    async fn exchange(&self, address: IpAddr, instruction: Option<Bytes>) -> Result<Report, ReportError> {
        let uri = format!("http://{}{}", SocketAddr::new(address, self.port), balancing::PATH);
        let method = if instruction.is_some() { Method::POST } else { Method::GET };
        let request = Request::builder().method(method).uri(uri).header(CONTENT_TYPE, JOSE);
        let request = request.body(Full::new(instruction.unwrap_or_default())).expect("an address makes a URI");
        let response = self.client.request(request).await.map_err(ReportError::Unreachable)?;
        let status = response.status();
        // A proxy that refuses an instruction answers 403 with its report.
        if !matches!(status, StatusCode::OK | StatusCode::FORBIDDEN) {
            return Err(ReportError::Status(status));
        }
        let body = Limited::new(response.into_body(), MAX_REPORT_BYTES).collect().await;
        let body = body.map_err(|error| {
            debug_assert!(error.is::<LengthLimitError>() || error.is::<hyper::Error>(), "{error}");
            ReportError::Body
        })?;
        Ok(Report::from_json(&body.to_bytes())?)
    }
}

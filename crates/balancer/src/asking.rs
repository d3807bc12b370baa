//! Asks a proxy.

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

/// For a connection, the question and the whole answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// A connection is kept for the next question of a workload that is asked every 5 s. Where the interval is longer, it serves the
/// question and the instruction a second later: to keep it for the next one would cost memory in both processes for ever.
const KEPT_FOR: Duration = Duration::from_secs(8);
/// Questions in flight at once.
const IN_FLIGHT: usize = 1024;
/// Those of them to pods that have not answered lately, of which each may take a second.
const DOUBTFUL_IN_FLIGHT: usize = 256;
/// A head of a proxy's answer has two hundred bytes; this is the least that hyper allows.
const LARGEST_HEAD: usize = 8 << 10;
/// The media type of a JSON Web Signature in compact form (RFC 7515 §9.2.1).
const JOSE: &str = "application/jose";

/// Asks proxies, each over a connection that is kept while it is asked often.
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
    /// It takes too long.
    #[error("no answer within {ANSWER_WITHIN:?}")]
    Late,
    /// Nobody answers in HTTP.
    #[error("no response: {0}")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    /// The proxy has no keys, or it is no proxy.
    #[error("answers {0}")]
    Status(StatusCode),
    /// The answer breaks off, or is too long.
    #[error("the response is incomplete or has more than {MAX_REPORT_BYTES} bytes")]
    Body,
    /// The answer is none.
    #[error(transparent)]
    Invalid(#[from] InvalidReport),
}

impl NoReport {
    /// The labels of all, and of a report.
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
    /// Returns one that asks at `port`, the admin port of proxies.
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

    /// Tells the proxy at `address` what `instruction` says, if there is one, and returns its report.
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
        // A proxy that refuses an instruction reports all the same.
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

//! Clients with hyper's connection pools, which send requests throughout.

use std::io;
use std::ops::AddAssign;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::service::{NODES, Node, Service};

/// Clients of each protocol on each node.
const CLIENTS: usize = 2;
/// The timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The idle timeout of a client's connections. Without it, a drain would wait for idle connections until its timeout.
const IDLE: Duration = Duration::from_secs(2);
const LONGEST_BODY: usize = 8 * 1024;

/// The clients of one Service.
pub(crate) struct Traffic {
    http1: JoinSet<Seen>,
    http2: JoinSet<Seen>,
    failed: Arc<AtomicUsize>,
    end: watch::Sender<bool>,
}

/// The results of clients.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answered: u64,
    pub(crate) failures: Vec<String>,
}

impl Traffic {
    /// Starts the clients, each with `rate` requests per second.
    pub(crate) fn start(service: &Service, rate: u32) -> Self {
        let (failed, end) = (Arc::default(), watch::Sender::new(false));
        let mut traffic = Self { http1: JoinSet::new(), http2: JoinSet::new(), failed, end };
        for number in 0..NODES * CLIENTS {
            for http2 in [false, true] {
                let caller = Caller::new(Arc::clone(&service.nodes()[number % NODES]), http2);
                let clients = if http2 { &mut traffic.http2 } else { &mut traffic.http1 };
                let (failed, end) = (Arc::clone(&traffic.failed), traffic.end.subscribe());
                clients.spawn(async move { caller.call(Duration::from_secs(1) / rate, &failed, &end).await });
            }
        }
        traffic
    }

    /// Returns the number of requests that have failed so far.
    pub(crate) fn failed(&self) -> usize {
        self.failed.load(Ordering::Relaxed)
    }

    /// Ends the clients. Returns their results over HTTP/1.1 and over HTTP/2.
    pub(crate) async fn end(self) -> Result<(Seen, Seen)> {
        self.end.send_replace(true);
        let (http1, http2) = (sum(self.http1).await, sum(self.http2).await);
        ensure!(http1.answered > 0 && http2.answered > 0, "no request was answered over HTTP/1.1 or over HTTP/2");
        Ok((http1, http2))
    }
}

async fn sum(clients: JoinSet<Seen>) -> Seen {
    let mut all = Seen::default();
    for seen in clients.join_all().await {
        all += seen;
    }
    all
}

/// One client with its pool.
struct Caller {
    client: Client<Dial, Full<Bytes>>,
    name: &'static str,
}

impl Caller {
    fn new(node: Arc<Node>, http2: bool) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.http2_only(http2).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        Self { client: builder.build(Dial(node)), name: if http2 { "HTTP/2" } else { "HTTP/1.1" } }
    }

    /// Sends requests until the end.
    async fn call(self, every: Duration, failed: &AtomicUsize, end: &watch::Receiver<bool>) -> Seen {
        let mut seen = Seen::default();
        let mut due = interval(every);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*end.borrow() {
            due.tick().await;
            match timeout(TIMEOUT, self.once()).await {
                Ok(Ok(())) => seen.answered += 1,
                failure => {
                    failed.fetch_add(1, Ordering::Relaxed);
                    let why = failure
                        .map_or("no answer".to_owned(), |it| it.map_or_else(|e| format!("{e:#}"), |()| String::new()));
                    seen.failures.push(format!("{}: {why}", self.name));
                }
            }
        }
        seen
    }

    async fn once(&self) -> Result<()> {
        let body = Bytes::from(vec![b'x'; fastrand::usize(..LONGEST_BODY)]);
        let request = Request::post("http://service/echo").body(Full::new(body.clone()))?;
        let answer = self.client.request(request).await?;
        let status = answer.status();
        let echoed = answer.into_body().collect().await?.to_bytes();
        ensure!(status == 200 && echoed == body, "{status} with {} of {} bytes", echoed.len(), body.len());
        Ok(())
    }
}

impl AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.answered += other.answered;
        self.failures.extend(other.failures);
    }
}

/// Connects to the endpoint that the node picks at that moment.
#[derive(Clone)]
struct Dial(Arc<Node>);

impl tower_service::Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let node = Arc::clone(&self.0);
        Box::pin(async move {
            // Without a pause in between: a node picks the endpoint with the first packet.
            let endpoint = node.endpoint().ok_or_else(|| io::Error::other("the Service has no endpoint"))?;
            let stream = TcpStream::connect(endpoint).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        })
    }
}

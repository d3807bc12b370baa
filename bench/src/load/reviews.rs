//! Open-loop load over TLS: reviews are sent at a fixed rate, whether or not the earlier ones have been answered.
//!
//! As in [`paced`](super::paced), latency counts from the instant at which a review was due.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::clock;
use crate::peer::Protocol;
use crate::tls;

/// The most reviews in flight: in HTTP/1.1 on as many connections, in HTTP/2 on one.
const IN_FLIGHT: usize = 32;
/// A response that is later than this fails the run: the rate was too high for the subject.
const LATEST: Duration = Duration::from_secs(5);

/// The webhook to which reviews are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) port: u16,
    /// The folder of its certificate.
    pub(crate) folder: &'a Path,
    pub(crate) protocol: Protocol,
    /// Text that every correct response contains.
    pub(crate) answer: &'static str,
}

/// A review and when it is due.
type Due = (Instant, Bytes);

/// Sends `rate` reviews per second for the given time, and returns each one's latency.
pub(crate) fn run(target: Target<'_>, reviews: &[Bytes], rate: f64, time: Duration) -> Result<Vec<Duration>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (queue, due) = mpsc::unbounded_channel();
        let due = Arc::new(Mutex::new(due));
        let mut clients = JoinSet::new();
        for client in connect(target).await? {
            clients.spawn(send_due(client, Arc::clone(&due), target.answer));
        }
        let reviews = reviews.to_vec();
        let pacer = thread::spawn(move || pace(&queue, &reviews, rate, time));
        let mut latencies = Vec::new();
        while let Some(measured) = clients.join_next().await {
            latencies.extend(measured??);
        }
        pacer.join().map_err(|_| anyhow::anyhow!("the pacer panicked"))??;
        Ok(latencies)
    })
}

/// Sends one review, to check that the webhook answers.
pub(crate) fn once(target: Target<'_>, review: &Bytes) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut clients = connect_few(target, 1).await?;
        clients.pop().context("there is one client")?.review(review.clone(), target.answer).await
    })
}

/// Queues the reviews when they are due. It runs on a thread, which sleeps more exactly than the runtime's timer.
fn pace(queue: &mpsc::UnboundedSender<Due>, reviews: &[Bytes], rate: f64, time: Duration) -> Result<()> {
    // By default the kernel lets sleeps last up to 50 µs longer, to save energy.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).context("asking for exact timers")?;
    let start = clock::now();
    let mut sent = 0.0;
    for review in reviews.iter().cycle() {
        let due = Duration::from_secs_f64(sent / rate);
        if due >= time {
            break;
        }
        thread::sleep((start + due).saturating_duration_since(clock::now()));
        if queue.send((start + due, review.clone())).is_err() {
            break;
        }
        sent += 1.0;
    }
    Ok(())
}

/// Sends due reviews, one after the other, until there are no more.
async fn send_due(
    mut client: ReviewClient,
    due: Arc<Mutex<mpsc::UnboundedReceiver<Due>>>,
    answer: &'static str,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    loop {
        let next = due.lock().await.recv().await;
        let Some((due, review)) = next else { return Ok(latencies) };
        client.review(review, answer).await?;
        latencies.push(due.elapsed());
    }
}

/// A client that has one review in flight at most.
enum ReviewClient {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl ReviewClient {
    async fn review(&mut self, review: Bytes, answer: &str) -> Result<()> {
        let (status, body) = tokio::time::timeout(LATEST, async {
            let response = self.send(Full::new(review)).await?;
            let status = response.status();
            anyhow::Ok((status, response.into_body().collect().await?.to_bytes()))
        })
        .await
        .with_context(|| format!("a response is missing for {LATEST:?}"))??;
        let good = status == StatusCode::OK && String::from_utf8_lossy(&body).contains(answer);
        ensure!(good, "an unexpected response: {status} {}", body.escape_ascii());
        Ok(())
    }

    async fn send(&mut self, review: Full<Bytes>) -> Result<Response<hyper::body::Incoming>> {
        let post = Request::post(format!("https://{}/mutate", tls::NAME)).header("content-type", "application/json");
        match self {
            Self::Http1(connection) => {
                let request = post.uri("/mutate").header("host", tls::NAME).body(review)?;
                Ok(connection.send_request(request).await?)
            }
            Self::Http2(connection) => Ok(connection.send_request(post.body(review)?).await?),
        }
    }
}

async fn connect(target: Target<'_>) -> Result<Vec<ReviewClient>> {
    connect_few(target, IN_FLIGHT).await
}

async fn connect_few(target: Target<'_>, clients: usize) -> Result<Vec<ReviewClient>> {
    let alpn = match target.protocol {
        Protocol::Http1 => "http/1.1",
        Protocol::Http2 => "h2",
    };
    let connector = TlsConnector::from(Arc::new(tls::client(target.folder, alpn)?));
    let connect = async || {
        let stream = TcpStream::connect(("127.0.0.1", target.port)).await?;
        stream.set_nodelay(true)?;
        anyhow::Ok(TokioIo::new(connector.connect(ServerName::try_from(tls::NAME)?, stream).await?))
    };
    let mut all = Vec::new();
    match target.protocol {
        Protocol::Http1 => {
            for _ in 0..clients {
                let (connection, driver) = http1::handshake(connect().await?).await?;
                tokio::spawn(driver);
                all.push(ReviewClient::Http1(connection));
            }
        }
        Protocol::Http2 => {
            let (connection, driver) = http2::handshake(TokioExecutor::new(), connect().await?).await?;
            tokio::spawn(driver);
            all.extend((0..clients).map(|_| ReviewClient::Http2(connection.clone())));
        }
    }
    Ok(all)
}

//! The loop that all clients share, and the line with the results that `soak` reads.

use std::collections::BTreeMap;
use std::env;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// The body of a request, which the app echoes.
pub const BODY: Bytes = Bytes::from_static(&[b'x'; 64]);

/// The timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the URL, the number of requests and the concurrency from the command line.
pub fn arguments() -> Result<(String, i64, usize)> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().context("expected URL REQUESTS CONCURRENCY");
    Ok((next()?, next()?.parse()?, next()?.parse()?))
}

/// Sends the requests, `concurrency` at a time, and prints the results.
pub async fn run<F>(count: i64, concurrency: usize, send: impl Fn() -> F + Clone + Send + 'static) -> Result<()>
where
    F: Future<Output = Result<Bytes>> + Send,
{
    let (left, answered) = (Arc::new(AtomicI64::new(count)), Arc::new(AtomicU64::new(0)));
    let failures = Arc::new(Mutex::new(BTreeMap::<String, u64>::new()));
    let mut workers = JoinSet::new();
    for _ in 0..concurrency {
        let (left, answered, failures, send) =
            (Arc::clone(&left), Arc::clone(&answered), Arc::clone(&failures), send.clone());
        workers.spawn(async move {
            while left.fetch_sub(1, Ordering::Relaxed) > 0 {
                match exchange(send()).await {
                    Ok(()) => _ = answered.fetch_add(1, Ordering::Relaxed),
                    Err(error) => *failures.lock().await.entry(format!("{error:#}")).or_default() += 1,
                }
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended?;
    }
    let (answered, failures) = (answered.load(Ordering::Relaxed), &*failures.lock().await);
    println!("{}", serde_json::json!({ "answered": answered, "failures": failures }));
    Ok(())
}

async fn exchange(request: impl Future<Output = Result<Bytes>>) -> Result<()> {
    let body = tokio::time::timeout(TIMEOUT, request).await.context("no answer")??;
    ensure!(body == BODY, "{} bytes", body.len());
    Ok(())
}

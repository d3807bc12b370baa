//! A legitimate client beside hostile ones.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{GET, OK};
use crate::outcome::TestResult;
use crate::peer::Peer;

const PAUSE: Duration = Duration::from_millis(5);
/// Half of the time after which the proxy may evict a silent connection when memory is short. On a busy machine this
/// client may be silent for longer; it then opens another connection, as a pool does after its idle timeout.
const IDLE: Duration = Duration::from_millis(500);

/// A client beside an attack. It sends requests until it is dropped.
#[derive(Debug)]
pub struct LegitimateClient {
    seen: Arc<Mutex<Seen>>,
    _client: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Seen {
    answered: usize,
    failures: Vec<String>,
}

impl LegitimateClient {
    /// Starts the client on the caller's runtime, with `requests` on each of its connections.
    pub fn start(to: SocketAddr, requests: usize) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let mut client = JoinSet::new();
        let of_task = Arc::clone(&seen);
        client.spawn(async move {
            loop {
                if let Err(failure) = connection(to, requests, &of_task).await {
                    locked(&of_task).failures.push(format!("{failure:?}"));
                }
            }
        });
        Self { seen, _client: client }
    }

    /// Returns the number of requests that were answered.
    pub fn answered(&self) -> usize {
        locked(&self.seen).answered
    }

    /// Returns an entry for each connection on which a request failed.
    pub fn failures(&self) -> Vec<String> {
        locked(&self.seen).failures.clone()
    }
}

fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connection(to: SocketAddr, requests: usize, seen: &Mutex<Seen>) -> TestResult {
    let mut peer = Peer::connect(to).await?;
    for _ in 0..requests {
        peer.send(GET).await?;
        peer.expect(OK).await?;
        locked(seen).answered += 1;
        let answered = Instant::now();
        sleep(PAUSE).await;
        if answered.elapsed() > IDLE {
            break;
        }
    }
    Ok(())
}

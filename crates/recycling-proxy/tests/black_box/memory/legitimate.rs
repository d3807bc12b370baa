//! A client that wants nothing but its answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use test_support::{Peer, TestResult};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::stage::{GET, OK};

const PAUSE: Duration = Duration::from_millis(5);
/// Half of what the proxy leaves a silent connection when memory is short. On a busy machine this client may be silent
/// for longer; it then opens another connection, as a pool does for one that has been idle too long.
const IDLE: Duration = Duration::from_millis(500);

/// Asks for as long as it lives.
pub(super) struct Legitimate {
    seen: Arc<Mutex<(usize, Vec<String>)>>,
    _asking: JoinSet<()>,
}

impl Legitimate {
    /// With so many requests on each of its connections.
    pub(super) fn start(to: SocketAddr, requests: usize) -> Self {
        let seen = Arc::<Mutex<(usize, Vec<String>)>>::default();
        let mut asking = JoinSet::new();
        let of_task = Arc::clone(&seen);
        asking.spawn(async move {
            loop {
                let asked = connection(to, requests, &of_task).await;
                if let Err(failure) = asked {
                    of_task.lock().unwrap_or_else(PoisonError::into_inner).1.push(format!("{failure:?}"));
                }
            }
        });
        Self { seen, _asking: asking }
    }

    pub(super) fn answered(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn failures(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

async fn connection(to: SocketAddr, requests: usize, seen: &Mutex<(usize, Vec<String>)>) -> TestResult {
    let mut peer = Peer::connect(to).await?;
    for _ in 0..requests {
        peer.send(GET).await?;
        peer.expect(OK).await?;
        seen.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
        let answered = Instant::now();
        sleep(PAUSE).await;
        if answered.elapsed() > IDLE {
            break;
        }
    }
    Ok(())
}

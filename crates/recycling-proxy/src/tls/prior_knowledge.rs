//! Detects whether an app in plain text supports HTTP/2 with prior knowledge (RFC 9113 §3.3).

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::detection::protocol::{HTTP2_PREFACE, may_begin_http2};

/// The time in which an app must answer the preface with its SETTINGS.
const ANSWER_TIME: Duration = Duration::from_secs(1);
/// How long an app without an answer counts as one without HTTP/2. It may have been starting, or busy.
const DOUBT_TIME: Duration = Duration::from_mins(1);
/// SETTINGS without a setting.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// The results by port of the app. The first client that needs a result causes the attempt.
#[derive(Debug, Default)]
pub(super) struct PriorKnowledge {
    ports: Mutex<BTreeMap<u16, Arc<Port>>>,
}

/// Locked during the attempt, so that other clients wait for its result.
type Port = tokio::sync::Mutex<Answer>;

#[derive(Clone, Copy, Debug, Default)]
enum Answer {
    #[default]
    Unknown,
    Yes,
    No,
    /// The app has not answered, or did not accept the connection.
    Doubtful {
        until: Instant,
    },
}

impl PriorKnowledge {
    /// Returns whether the app on `port` supports HTTP/2. `reach` opens a connection for the attempt.
    pub(super) async fn of_app<F>(&self, port: u16, reach: impl FnOnce() -> F) -> bool
    where
        F: Future<Output = io::Result<TcpStream>>,
    {
        let port = Arc::clone(self.ports.lock().unwrap_or_else(PoisonError::into_inner).entry(port).or_default());
        let mut answer = port.lock().await;
        let settled = match *answer {
            Answer::Yes | Answer::No => true,
            Answer::Doubtful { until } => Instant::now() < until,
            Answer::Unknown => false,
        };
        if !settled {
            *answer = match reach().await {
                Ok(app) => ask(app).await,
                Err(_) => Answer::Unknown,
            };
            tracing::debug!(answer = ?*answer, "tried HTTP/2 with the app");
        }
        matches!(*answer, Answer::Yes)
    }
}

async fn ask(mut app: TcpStream) -> Answer {
    let mut begin = [0; 9];
    let asking = async {
        app.write_all(&[HTTP2_PREFACE, SETTINGS].concat()).await?;
        app.read_exact(&mut begin).await
    };
    match timeout(ANSWER_TIME, asking).await {
        Ok(Ok(_)) if may_begin_http2(&begin) => Answer::Yes,
        Ok(Ok(_)) => Answer::No,
        Ok(Err(_)) | Err(_) => Answer::Doubtful { until: Instant::now() + DOUBT_TIME },
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::TcpListener;

    use super::*;

    /// Returns an app that answers a preface with `answer`, and the number of prefaces.
    async fn app(answer: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let mut preface = [0; 33];
                stream.read_exact(&mut preface).await.unwrap();
                assert!(preface.starts_with(HTTP2_PREFACE));
                stream.write_all(answer).await.unwrap();
            }
        });
        (address, asked)
    }

    #[tokio::test]
    async fn an_app_is_tried_once_for_http2() {
        for (answer, speaks) in [
            (&b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64"[..], true),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", false),
            // It closes the connection: not tried again for a while.
            (b"", false),
        ] {
            let (address, asked) = app(answer).await;
            let knowledge = PriorKnowledge::default();
            let ask = || knowledge.of_app(80, || TcpStream::connect(address));
            assert_eq!(tokio::join!(ask(), ask()), (speaks, speaks));
            assert_eq!(ask().await, speaks);
            assert_eq!(asked.load(Ordering::Relaxed), 1, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn an_app_that_does_not_listen_yet_is_tried_again() {
        let (address, asked) = app(b"\0\0\0\x04\0\0\0\0\0").await;
        let knowledge = PriorKnowledge::default();
        let refused = || async { Err(io::ErrorKind::ConnectionRefused.into()) };
        assert!(!knowledge.of_app(80, refused).await);
        assert!(knowledge.of_app(80, || TcpStream::connect(address)).await);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}

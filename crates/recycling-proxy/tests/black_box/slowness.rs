//! Slow peers are served. Only a request head that has begun has a timeout.

use std::time::Duration;

use test_support::{Peer, TestResult, ensure};
use tokio::time::{Instant, sleep};

use crate::stage::{GET, OK, Stage, UNREACHED, close, exchange};

/// Longer than the timeout of a request head.
const LONG: Duration = Duration::from_secs(12);

type Pair = (Peer, Peer);

/// Both run at the same time, because each takes more than ten seconds.
#[tokio::test]
async fn only_a_stalled_request_head_times_out() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let stalling = [stage.pair().await?, stage.pair().await?];
    let slow = Slow {
        silent: stage.pair().await?,
        waiting: stage.pair().await?,
        after_body: stage.pair().await?,
        pausing: stage.pair().await?,
        tunnel: stage.pair().await?,
        undecided: stage.pair().await?,
    };
    tokio::try_join!(a_head_that_stalls(stalling), slow.are_served())?;
    stage.still_serves().await
}

/// Ten seconds after its first byte, the proxy gives up an incomplete head, and the app receives nothing of it.
async fn a_head_that_stalls([first, mut second]: [Pair; 2]) -> TestResult {
    exchange(&mut second.0, &mut second.1).await?;
    let begun = Instant::now();
    let mut pairs = [first, second];
    for (client, _) in &mut pairs {
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ").await?;
    }
    for (client, app) in &mut pairs {
        let (seen, _) = client.read_to_end().await?;
        ensure!(seen.is_empty() || seen.starts_with(b"HTTP/1.1 4"), "{}", seen.escape_ascii());
        ensure!(app.read_to_end().await?.0.is_empty(), "the app saw half a head");
    }
    ensure!(begun.elapsed() > Duration::from_secs(9), "{:?}", begun.elapsed());
    Ok(())
}

/// Connections that are silent for a long time, each for another reason.
struct Slow {
    /// No request has come.
    silent: Pair,
    /// The app has not answered yet.
    waiting: Pair,
    /// An empty line followed the body of a request.
    after_body: Pair,
    /// A body arrives in two parts.
    pausing: Pair,
    /// The protocol is not HTTP.
    tunnel: Pair,
    /// The first bytes could be a request method. After a timeout the connection becomes a tunnel.
    undecided: Pair,
}

impl Slow {
    async fn are_served(mut self) -> TestResult {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
        for ((client, app), start) in [(&mut self.waiting, GET), (&mut self.pausing, head), (&mut self.tunnel, "\0")] {
            client.send(start).await?;
            app.expect(start).await?;
        }
        self.undecided.0.send("HELLO").await?;
        exchange(&mut self.after_body.0, &mut self.after_body.1).await?;
        self.after_body.0.send("\r\n").await?;

        sleep(LONG).await;
        close(self.silent.0, self.silent.1).await?;
        exchange(&mut self.after_body.0, &mut self.after_body.1).await?;
        self.waiting.1.send(OK).await?;
        self.waiting.0.expect(OK).await?;
        self.pausing.0.send("ok").await?;
        self.pausing.1.expect("ok").await?;
        self.tunnel.1.send("\0").await?;
        self.tunnel.0.expect("\0").await?;
        self.undecided.1.expect("HELLO").await?;
        self.undecided.1.send("hi").await?;
        self.undecided.0.expect("hi").await?;
        Ok(())
    }
}

//! A slow peer is no fault. Only a request head that has begun must end in time.

use std::time::Duration;

use test_support::{Peer, TestResult, ensure};
use tokio::time::{Instant, sleep};

use crate::stage::{GET, OK, Stage, UNREACHED, exchange, part};

/// Longer than a head may take.
const LONG: Duration = Duration::from_secs(12);

type Pair = (Peer, Peer);

/// Side by side, for both take more than ten seconds.
#[tokio::test]
async fn only_a_stalled_request_head_times_out() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let stalling = [stage.pair().await?, stage.pair().await?];
    let slow = Slow {
        silent: stage.pair().await?,
        thinking: stage.pair().await?,
        behind_a_body: stage.pair().await?,
        pausing: stage.pair().await?,
        tunnel: stage.pair().await?,
        word: stage.pair().await?,
    };
    tokio::try_join!(a_head_that_stalls(stalling), slow.takes_its_time())?;
    stage.still_serves().await
}

/// Ten seconds after its first byte, a head without an end is given up; the app has not seen any of it.
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

/// Connections on which nothing happens for a long time, each for a reason of its own.
struct Slow {
    /// No request has come.
    silent: Pair,
    /// The app works on its answer.
    thinking: Pair,
    /// An empty line has come behind a body.
    behind_a_body: Pair,
    /// A body comes in two parts.
    pausing: Pair,
    /// No HTTP.
    tunnel: Pair,
    /// What has come could still become a request; at last it is taken for a protocol whose words have no end.
    word: Pair,
}

impl Slow {
    async fn takes_its_time(mut self) -> TestResult {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
        for ((client, app), start) in [(&mut self.thinking, GET), (&mut self.pausing, head), (&mut self.tunnel, "\0")] {
            client.send(start).await?;
            app.expect(start).await?;
        }
        self.word.0.send("HELLO").await?;
        exchange(&mut self.behind_a_body.0, &mut self.behind_a_body.1).await?;
        self.behind_a_body.0.send("\r\n").await?;

        sleep(LONG).await;
        part(self.silent.0, self.silent.1).await?;
        exchange(&mut self.behind_a_body.0, &mut self.behind_a_body.1).await?;
        self.thinking.1.send(OK).await?;
        self.thinking.0.expect(OK).await?;
        self.pausing.0.send("ok").await?;
        self.pausing.1.expect("ok").await?;
        self.tunnel.1.send("\0").await?;
        self.tunnel.0.expect("\0").await?;
        self.word.1.expect("HELLO").await?;
        self.word.1.send("hi").await?;
        self.word.0.expect("hi").await?;
        Ok(())
    }
}

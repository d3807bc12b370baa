//! Slow is not broken: only a head that has begun must come to its end.

use std::time::Duration;

use test_support::{TestResult, ensure};
use tokio::time::{Instant, sleep};

use crate::stage::{GET, OK, Stage, UNREACHED, exchange, part};

/// Longer than a head may take.
const LONG: Duration = Duration::from_secs(12);

/// Ten seconds after its first byte, a head without an end is given up; the app has not seen any of it.
#[tokio::test]
async fn a_head_that_stalls_is_given_up() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut first, mut first_app) = stage.pair().await?;
    let (mut second, mut second_app) = stage.pair().await?;
    exchange(&mut second, &mut second_app).await?;
    let begun = Instant::now();
    for client in [&mut first, &mut second] {
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ").await?;
    }
    for (client, app) in [(&mut first, &mut first_app), (&mut second, &mut second_app)] {
        let (seen, _) = client.read_to_end().await?;
        ensure!(seen.is_empty() || seen.starts_with(b"HTTP/1.1 4"), "{}", seen.escape_ascii());
        ensure!(app.read_to_end().await?.0.is_empty(), "the app saw half a head");
    }
    ensure!(begun.elapsed() > Duration::from_secs(9), "{:?}", begun.elapsed());
    stage.still_serves().await
}

/// Neither an app that thinks, nor a body that pauses, nor a connection without a request is out of time.
#[tokio::test]
async fn everything_else_may_take_its_time() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (silent, silent_app) = stage.pair().await?;
    let (mut thinking, mut thinking_app) = stage.pair().await?;
    thinking.send(GET).await?;
    thinking_app.expect(GET).await?;
    let (mut pausing, mut pausing_app) = stage.pair().await?;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
    pausing.send(head).await?;
    pausing_app.expect(head).await?;
    let (mut tunnel, mut tunnel_app) = stage.pair().await?;
    tunnel.send("\0").await?;
    tunnel_app.expect("\0").await?;
    // It could still become a request; at last it is taken for a protocol whose words have no end.
    let (mut word, mut word_app) = stage.pair().await?;
    word.send("hello").await?;

    sleep(LONG).await;
    part(silent, silent_app).await?;
    thinking_app.send(OK).await?;
    thinking.expect(OK).await?;
    pausing.send("ok").await?;
    pausing_app.expect("ok").await?;
    tunnel_app.send("\0").await?;
    tunnel.expect("\0").await?;
    word_app.expect("hello").await?;
    word_app.send("hi").await?;
    word.expect("hi").await?;
    Ok(())
}

//! A connection leaves no open descriptor behind, however it ends.

use test_support::{Failure, TIMEOUT, TestResult};
use tokio::time::{Instant, sleep};

use crate::stage::{GET, OK, Stage, close, exchange};

#[tokio::test]
async fn no_descriptor_leaks() -> TestResult {
    let mut stage = Stage::with_limit(2).await?;
    let id = stage.proxy.process().id();
    all_kinds(&stage).await?;
    let before = descriptors(id)?;
    for _ in 0..30 {
        all_kinds(&stage).await?;
    }
    // Pipes and descriptors of a thread may be kept for later connections, but not one for each connection.
    wait_for_descriptors(id, before + 10).await
}

/// Plays one connection of each kind: retired, closed by the client, a tunnel, refused, reset by either side.
async fn all_kinds(stage: &Stage) -> TestResult {
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    app.send(OK).await?;
    client.read_to_end().await?;

    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    close(client, app).await?;

    let (mut client, mut app) = stage.pair().await?;
    client.send("\0").await?;
    app.expect("\0").await?;
    close(client, app).await?;

    let (mut client, _app) = stage.pair().await?;
    client.send("GET / HTTP/1.1\r\nHost : a\r\n\r\n").await?;
    client.read_to_end().await?;

    let (client, mut app) = stage.pair().await?;
    client.reset()?;
    app.read_to_end().await?;

    let (mut client, app) = stage.pair().await?;
    app.reset()?;
    client.read_to_end().await?;
    Ok(())
}

/// Waits until a process has at most this number of descriptors.
async fn wait_for_descriptors(id: u32, at_most: usize) -> TestResult {
    let begun = Instant::now();
    while descriptors(id)? > at_most {
        if begun.elapsed() > TIMEOUT {
            return Err(Failure::new(format!("{} descriptors, expected at most {at_most}", descriptors(id)?)));
        }
        sleep(std::time::Duration::from_millis(20)).await;
    }
    Ok(())
}

fn descriptors(id: u32) -> TestResult<usize> {
    Ok(std::fs::read_dir(format!("/proc/{id}/fd"))?.count())
}

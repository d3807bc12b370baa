//! The last response arrives whatever the client sends: the connection ends by a FIN, and no reset destroys it.

use std::time::Duration;

use test_support::{End, Peer, Surprise, TestResult, ensure};

use crate::stage::{GET, Stage};

/// Between writes of a client that does not listen: time for a reset to arrive, if one were sent.
const MOMENT: Duration = Duration::from_millis(30);

/// A connection whose last response is on its way; its body has this length.
async fn retired(stage: &Stage, length: usize) -> TestResult<(Peer, Peer, Vec<u8>)> {
    let (mut client, mut app) = stage.pair().await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    let body = vec![b'b'; length];
    app.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")).await?;
    app.send(&body).await?;
    Ok((client, app, body))
}

#[tokio::test]
async fn a_client_that_keeps_sending_can_read_its_last_response() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, _app, body) = retired(&stage, 30_000).await?;
    // Read last: what the kernel has for the client would be lost by a reset.
    for _ in 0..10 {
        tokio::time::sleep(MOMENT).await;
        client.send(GET.repeat(100)).await?;
    }
    ensure!(client.read_head().await?.announces_close());
    client.expect(&body).await?;
    client.expect_end(End::Fin).await?;
    Ok(())
}

#[tokio::test]
async fn a_client_that_sends_after_our_fin_gets_no_reset() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app, body) = retired(&stage, 10).await?;
    ensure!(client.read_head().await?.announces_close());
    client.expect(&body).await?;
    client.expect_end(End::Fin).await?;
    app.expect_end(End::Fin).await?;
    for _ in 0..10 {
        // Had a reset been answered to one of these, the next would fail.
        client.send(GET).await?;
        tokio::time::sleep(MOMENT).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_slow_reader_gets_its_whole_last_response() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    // More than the sockets on the way can hold: most of it waits in the app.
    let body = vec![b'b'; 20_000_000];
    app.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await?;
    let reading = async {
        tokio::time::sleep(MOMENT * 10).await;
        ensure!(client.read_head().await?.announces_close());
        client.expect(&body).await?;
        client.expect_end(End::Fin).await?;
        TestResult::Ok(())
    };
    let (sent, read) = tokio::join!(app.send(&body), reading);
    sent?;
    read
}

/// Everything is written, most of it waits in the proxy's kernel, and the client says and reads nothing for longer than
/// any bound.
#[tokio::test]
async fn a_client_that_pauses_longer_than_any_timeout_gets_its_whole_last_response() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let mut client = Peer::connect_with_little_room(stage.proxy.address()).await?;
    let mut app = stage.app.accept().await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    // What the proxy's kernel takes.
    let body = vec![b'b'; 60_000];
    app.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await?;
    app.send(&body).await?;
    app.expect_end(End::Fin).await?;
    tokio::time::sleep(Duration::from_secs(7)).await;
    // Had the socket been closed, a reset would answer this.
    client.send(GET).await?;
    tokio::time::sleep(MOMENT).await;
    ensure!(client.read_head().await?.announces_close());
    client.expect(&body).await?;
    client.expect_end(End::Fin).await?;
    Ok(())
}

/// A client that never stops is not listened to for ever.
#[tokio::test]
async fn a_lingering_close_is_bounded() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, _app, body) = retired(&stage, 10).await?;
    ensure!(client.read_head().await?.announces_close());
    client.expect(&body).await?;
    client.expect_end(End::Fin).await?;
    let piece = vec![b'x'; 64 * 1024];
    // 1 MiB is dropped; what the sockets hold besides is far less than 50 MiB.
    for _ in 0..800 {
        match client.send(&piece).await {
            Ok(()) => {}
            Err(Surprise::Io { .. }) => return Ok(()),
            Err(other) => Err(other)?,
        }
    }
    panic!("50 MiB were taken in after the end");
}

#[tokio::test]
async fn a_lingering_connection_has_closed_its_app_connection() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (client, mut app, _body) = retired(&stage, 10).await?;
    // The client neither reads nor closes.
    app.expect_end(End::Fin).await?;
    stage.still_serves().await?;
    drop(client);
    Ok(())
}

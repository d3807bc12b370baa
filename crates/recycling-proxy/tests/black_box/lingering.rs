//! Lingering close: the last response arrives whatever the client sends. The connection ends by a FIN, and no reset
//! destroys the response.

use std::time::Duration;

use test_support::{End, Peer, TestResult, Unexpected, ensure};

use crate::stage::{GET, Stage};

/// The pause between writes of a client that does not read: a reset, if one were sent, would arrive meanwhile.
const PAUSE: Duration = Duration::from_millis(30);

/// Plays a connection up to its last response, whose body has this length and which the client has not read.
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
    // The client reads last: a reset would have discarded what its kernel holds.
    for _ in 0..10 {
        tokio::time::sleep(PAUSE).await;
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
        // After a reset, the next of these would fail.
        client.send(GET).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_slow_reader_gets_its_whole_last_response() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    // More than the sockets on the path can hold: most of it waits in the app.
    let body = vec![b'b'; 20_000_000];
    app.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await?;
    let reading = async {
        tokio::time::sleep(PAUSE * 10).await;
        ensure!(client.read_head().await?.announces_close());
        client.expect(&body).await?;
        client.expect_end(End::Fin).await?;
        TestResult::Ok(())
    };
    let (sent, read) = tokio::join!(app.send(&body), reading);
    sent?;
    read
}

/// The proxy has written everything, most of it waits in its kernel, and the client neither sends nor reads for longer
/// than any timeout.
#[tokio::test]
async fn a_client_that_pauses_longer_than_any_timeout_gets_its_whole_last_response() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let mut client = Peer::connect_with_small_buffer(stage.proxy.address()).await?;
    let mut app = stage.app.accept().await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    // It fits into the send buffer of the proxy's kernel.
    let body = vec![b'b'; 60_000];
    app.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await?;
    app.send(&body).await?;
    app.expect_end(End::Fin).await?;
    tokio::time::sleep(Duration::from_secs(7)).await;
    // If the socket had been closed, a reset would answer this.
    client.send(GET).await?;
    tokio::time::sleep(PAUSE).await;
    ensure!(client.read_head().await?.announces_close());
    client.expect(&body).await?;
    client.expect_end(End::Fin).await?;
    Ok(())
}

/// The proxy does not read for ever from a client that never stops sending.
#[tokio::test]
async fn a_lingering_close_is_bounded() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, _app, body) = retired(&stage, 10).await?;
    ensure!(client.read_head().await?.announces_close());
    client.expect(&body).await?;
    client.expect_end(End::Fin).await?;
    let piece = vec![b'x'; 64 * 1024];
    // The proxy drops 1 MiB; the sockets hold far less than 50 MiB.
    for _ in 0..800 {
        match client.send(&piece).await {
            Ok(()) => {}
            Err(Unexpected::Io { .. }) => return Ok(()),
            Err(other) => Err(other)?,
        }
    }
    panic!("50 MiB were accepted after the close");
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

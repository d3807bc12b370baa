//! Tests of the scripted peers: they must fail on a wrong byte, a wrong end and silence.

use std::time::Duration;

use test_support::{End, LoopbackHost, Peer, Responder, ScriptedApp, TestResult, Unexpected, answer_everything_with};

async fn connected() -> TestResult<(Peer, Peer)> {
    let host = LoopbackHost::reserve()?;
    let app = ScriptedApp::bind(host.port(8080)).await?;
    let client = Peer::connect(app.address()).await?;
    Ok((client, app.accept().await?))
}

#[tokio::test]
async fn equal_bytes_meet_an_expectation() -> TestResult {
    let (mut client, mut app) = connected().await?;
    client.send_in_pieces([&b"GE"[..], b"T / HTTP/1.1\r\n\r", b"\nrest"]).await?;
    assert_eq!(app.read_head().await?.start_line(), "GET / HTTP/1.1");
    app.expect(b"rest").await?;
    client.half_close().await?;
    app.expect_end(End::Fin).await?;
    Ok(())
}

#[tokio::test]
async fn a_different_byte_is_reported() -> TestResult {
    for (sent, expected) in [("abc", "abd"), ("abc", "ABC"), ("abc", "abcd"), ("a c", "a  c")] {
        let (mut client, mut app) = connected().await?;
        client.send(sent).await?;
        client.half_close().await?;
        let unexpected = app.expect(expected).await.expect_err(expected);
        assert!(matches!(unexpected, Unexpected::Different { .. }), "{unexpected}");
    }
    Ok(())
}

#[tokio::test]
async fn a_surplus_byte_is_reported() -> TestResult {
    let (mut client, mut app) = connected().await?;
    client.send("abc").await?;
    app.expect("ab").await?;
    client.half_close().await?;
    assert!(matches!(app.expect_end(End::Fin).await, Err(Unexpected::Different { .. })));
    Ok(())
}

#[tokio::test]
async fn a_reset_is_told_apart_from_a_fin() -> TestResult {
    let (client, mut app) = connected().await?;
    client.reset()?;
    assert!(matches!(app.expect_end(End::Fin).await, Err(Unexpected::Ended { end: End::Reset, .. })));
    let (client, mut app) = connected().await?;
    drop(client);
    assert!(matches!(app.expect_end(End::Reset).await, Err(Unexpected::Ended { end: End::Fin, .. })));
    Ok(())
}

#[tokio::test]
async fn bytes_and_a_fin_break_silence() -> TestResult {
    let moment = Duration::from_millis(50);
    let (mut client, mut app) = connected().await?;
    app.expect_silence(moment).await?;
    client.send("x").await?;
    assert!(app.expect_silence(Duration::from_secs(5)).await.is_err());
    let (client, mut app) = connected().await?;
    drop(client);
    assert!(app.expect_silence(Duration::from_secs(5)).await.is_err());
    Ok(())
}

#[tokio::test]
async fn waiting_for_a_peer_times_out() -> TestResult {
    let (_client, mut app) = connected().await?;
    tokio::time::pause();
    assert!(matches!(app.read_head().await, Err(Unexpected::Silence { .. })));
    Ok(())
}

#[tokio::test]
async fn a_responder_records_the_requests_of_each_connection() -> TestResult {
    let host = LoopbackHost::reserve()?;
    let app = ScriptedApp::bind(host.port(8080)).await?;
    let address = app.address();
    let responder = Responder::start(app, answer_everything_with("HTTP/1.1 204 No Content\r\n\r\n"));
    for requests in [1, 3] {
        let mut client = Peer::connect(address).await?;
        for _ in 0..requests {
            client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await?;
            client.expect("HTTP/1.1 204 No Content\r\n\r\n").await?;
        }
    }
    let counts: Vec<_> = responder.connections().iter().map(Vec::len).collect();
    assert_eq!(counts, [1, 3]);
    assert_eq!(responder.requests(), 4);
    assert_eq!(responder.connections()[1][2].start_line(), "GET /x HTTP/1.1");
    Ok(())
}

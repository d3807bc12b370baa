//! Faults of apps and clients: none stalls the proxy, looks like success, or affects another connection.

use std::io::ErrorKind;
use std::time::Duration;

use test_support::{Cases, End, LoopbackHost, RecyclingProxy, ScriptedApp, TestResult, Unexpected, ensure, ensure_eq};

use crate::stage::{BINARY, GET, OK, Stage, UNREACHED, close, exchange, last_exchange};

/// Checks what a client sees while the app is down: a close at once, or 502 or 503 with `Connection: close`.
async fn expect_unreachable(proxy: &RecyclingProxy) -> TestResult {
    // The proxy may have reset the connection before `connect` returns, or before the request is sent.
    let mut client = match proxy.connect().await {
        Err(Unexpected::Io { source, .. }) if source.kind() == ErrorKind::ConnectionReset => return Ok(()),
        connected => connected?,
    };
    let _ = client.send(GET).await;
    let seen = client.read_to_end().await?.0;
    let is_refusal = [&b"HTTP/1.1 502 "[..], b"HTTP/1.1 503 "].iter().any(|start| seen.starts_with(start));
    let close = seen.windows(17).any(|window| window.eq_ignore_ascii_case(b"connection: close"));
    ensure!(seen.is_empty() || (is_refusal && close), "{}", seen.escape_ascii());
    Ok(())
}

#[tokio::test]
async fn connections_are_reset_while_the_app_is_down_and_served_when_it_is_back() -> TestResult {
    let host = LoopbackHost::reserve()?;
    let proxy = RecyclingProxy::start(BINARY, host.port(8080), &[]).await?;
    for _ in 0..3 {
        expect_unreachable(&proxy).await?;
    }
    let app = ScriptedApp::bind(host.port(8080)).await?;
    let mut client = proxy.connect().await?;
    let mut served = app.accept().await?;
    exchange(&mut client, &mut served).await?;
    drop(app);
    // The open connection survives the end of the app's listening socket.
    exchange(&mut client, &mut served).await?;
    expect_unreachable(&proxy).await
}

/// A client that has sent nothing must not wait for an app that is down: in its protocol the app may send first.
#[tokio::test]
async fn the_connection_of_a_silent_client_ends_if_the_app_is_down() -> TestResult {
    let host = LoopbackHost::reserve()?;
    let proxy = RecyclingProxy::start(BINARY, host.port(8080), &[]).await?;
    match proxy.connect().await {
        Err(Unexpected::Io { source, .. }) if source.kind() == ErrorKind::ConnectionReset => {}
        connected => drop(connected?.read_to_end().await?),
    }
    Ok(())
}

#[tokio::test]
async fn a_reset_by_the_app_within_a_response_reaches_the_client() -> TestResult {
    let mut cases = Cases::default();
    for limit in [1, UNREACHED] {
        let stage = Stage::with_limit(limit).await?;
        for (name, start) in [
            ("length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
            ("chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
            ("until close", "HTTP/1.1 200 OK\r\n\r\nhalf"),
        ] {
            let outcome = async {
                let (mut client, mut app) = stage.pair().await?;
                client.send(GET).await?;
                app.expect(GET).await?;
                app.send(start).await?;
                client.read_head().await?;
                client.expect(start.split_once("\r\n\r\n").map_or("", |(_, body)| body)).await?;
                app.reset()?;
                // A FIN would complete a close-delimited body.
                client.expect_end(End::Reset).await?;
                TestResult::Ok(())
            };
            cases.note(format!("{name}, limit {limit}"), outcome.await);
        }
    }
    cases.verdict()
}

#[tokio::test]
async fn a_fin_by_the_app_within_a_response_truncates_it_for_the_client() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    for start in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX: y\r\n",
    ] {
        let (mut client, mut app) = stage.pair().await?;
        client.send(GET).await?;
        app.expect(GET).await?;
        app.send(start).await?;
        drop(app);
        // The proxy adds no byte that could complete what the app left incomplete.
        let (seen, _) = client.read_to_end().await?;
        ensure!(start.as_bytes().starts_with(&seen), "{}", seen.escape_ascii());
    }
    stage.still_serves().await
}

/// The race of every keep-alive connection: the app closes while the next request is in flight. Clients retry such a
/// request, so they must see what they see without the proxy: a close without a response.
#[tokio::test]
async fn an_app_that_closes_without_a_response_ends_the_connection() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut cases = Cases::default();
    for earlier in [0, 1] {
        for reset in [false, true] {
            let outcome = async {
                let (mut client, mut app) = stage.pair().await?;
                for _ in 0..earlier {
                    exchange(&mut client, &mut app).await?;
                }
                client.send(GET).await?;
                app.expect(GET).await?;
                if reset {
                    app.reset()?;
                } else {
                    drop(app);
                }
                let (seen, _) = client.read_to_end().await?;
                ensure_eq!(seen.escape_ascii().to_string(), "");
                TestResult::Ok(())
            };
            cases.note(format!("after {earlier} exchanges, by reset: {reset}"), outcome.await);
        }
    }
    cases.verdict()
}

#[tokio::test]
async fn an_app_that_closes_an_idle_connection_closes_the_clients() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    drop(app);
    client.expect_end(End::Fin).await?;
    Ok(())
}

#[tokio::test]
async fn an_unsolicited_response_ends_the_connection() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    for unsolicited in [OK, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", "noise"] {
        let (mut client, mut app) = stage.pair().await?;
        exchange(&mut client, &mut app).await?;
        app.send(unsolicited).await?;
        // The client would take it for the response to its next request.
        let (seen, _) = client.read_to_end().await?;
        ensure_eq!(seen.escape_ascii().to_string(), "", "after {unsolicited:?}");
        app.read_to_end().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_within_a_response_ends_the_apps_connection() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    for reset in [true, false] {
        let (mut client, mut app) = stage.pair().await?;
        client.send(GET).await?;
        app.expect(GET).await?;
        let start = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
        app.send(start).await?;
        client.expect(start).await?;
        if reset {
            client.reset()?;
        } else {
            drop(client);
        }
        // The app notices while it goes on sending.
        let piece = vec![b'b'; 64 * 1024];
        let refused = async {
            loop {
                match app.send(&piece).await {
                    Ok(()) => {}
                    Err(Unexpected::Io { .. }) => return TestResult::Ok(()),
                    Err(other) => Err(other)?,
                }
            }
        };
        refused.await?;
    }
    stage.still_serves().await
}

/// The part of the request that the app receives must not look complete.
#[tokio::test]
async fn a_truncated_request_does_not_look_complete_to_the_app() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    for start in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        for reset in [true, false] {
            let (mut client, mut app) = stage.pair().await?;
            client.send(start).await?;
            app.expect(start).await?;
            if reset {
                client.reset()?;
                app.expect_end(End::Reset).await?;
            } else {
                drop(client);
                ensure_eq!(app.read_to_end().await?.0, b"");
            }
        }
    }
    stage.still_serves().await
}

#[tokio::test]
async fn no_part_of_a_truncated_head_reaches_the_app() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    for reset in [true, false] {
        let (mut client, mut app) = stage.pair().await?;
        client.send("GET / HTTP/1.1\r\nHo").await?;
        if reset {
            client.reset()?;
        } else {
            drop(client);
        }
        // An incomplete head is not forwarded.
        ensure_eq!(app.read_to_end().await?.0, b"");
    }
    stage.still_serves().await
}

#[tokio::test]
async fn connections_without_a_byte_open_and_close() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    for _ in 0..50 {
        let (client, mut app) = stage.pair().await?;
        drop(client);
        app.expect_end(End::Fin).await?;
    }
    stage.still_serves().await
}

/// An idle connection carries no load and is never closed, neither near its limit nor after any time.
#[tokio::test]
async fn an_idle_connection_is_never_closed() -> TestResult {
    let stage = Stage::with_limit(3).await?;
    let (mut silent, mut silent_app) = stage.pair().await?;
    let (mut client, mut app) = stage.pair().await?;
    for _ in 0..2 {
        exchange(&mut client, &mut app).await?;
    }
    client.expect_silence(Duration::from_secs(3)).await?;
    last_exchange(&mut client, &mut app).await?;
    exchange(&mut silent, &mut silent_app).await?;
    close(silent, silent_app).await
}

/// If an end does not read, the sender has to stop, because the buffers in between are bounded.
#[tokio::test]
async fn a_receiver_that_does_not_read_applies_backpressure() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    let length = 200_000_000;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    client.send(&head).await?;
    app.expect(&head).await?;
    let piece = vec![b'b'; 1_000_000];
    let mut taken = 0;
    while taken < length {
        match tokio::time::timeout(Duration::from_secs(1), client.send(&piece)).await {
            Ok(sent) => sent?,
            Err(_stalled) => break,
        }
        taken += piece.len();
    }
    ensure!(taken < 50_000_000, "{taken} bytes were accepted although nothing was read");
    Ok(())
}

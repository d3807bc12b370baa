//! Connections that are not HTTP, or no longer, are tunnels: bytes are neither parsed nor counted, and half-closes and
//! resets pass.

use std::time::Duration;

use settings::ProxyOption;
use test_support::{Cases, End, Peer, TIMEOUT, TestResult, ensure};
use tokio::time::{Instant, sleep};

use crate::stage::{GET, OK, Stage, close, exchange, last_exchange, last_response};

/// Sends bytes both ways that an HTTP/1 parser would refuse, and more messages than any limit of requests.
async fn bytes_pass(client: &mut Peer, app: &mut Peer) -> TestResult {
    for n in 0..5_u8 {
        let hostile = [b"GET / HTTP/1.1\nContent-Length: -1\n\n\0\r\n".as_slice(), &[n, 0xff, b'\r']].concat();
        client.send(&hostile).await?;
        app.expect(&hostile).await?;
        let hostile = [b"HTTP/1.1 2000\r\n\r\n".as_slice(), &[n, 0]].concat();
        app.send(&hostile).await?;
        client.expect(&hostile).await?;
    }
    let long: Vec<u8> = (0..2_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    let (client_reader, client_writer) = client.split();
    let (app_reader, app_writer) = app.split();
    tokio::try_join!(
        client_writer.send(&long),
        app_writer.send(&long),
        client_reader.expect(&long),
        app_reader.expect(&long)
    )?;
    Ok(())
}

#[tokio::test]
async fn first_bytes_of_other_protocols_pass_through_a_tunnel() -> TestResult {
    // With a limit of 1, a tunnel that was counted would be retired.
    let stage = Stage::with_limit(1).await?;
    let mut cases = Cases::default();
    let protocols: &[(&str, &[u8])] = &[
        ("TLS ClientHello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n"),
        ("Redis", b"*1\r\n$4\r\nPING\r\n"),
        ("PostgreSQL", b"\0\0\0\x08\x04\xd2\x16\x2f"),
        ("MQTT", b"\x10\x10\0\x04MQTT\x04\x02"),
        ("PROXY protocol v2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"),
        ("a line", b"hello, this is no request line\r\n"),
        ("bytes beyond ASCII", b"\xff\xfe\xfd"),
        ("one NUL", b"\0"),
    ];
    for (name, first) in protocols {
        let outcome = async {
            let (mut client, mut app) = stage.pair().await?;
            client.send(first).await?;
            app.expect(first).await?;
            bytes_pass(&mut client, &mut app).await?;
            close(client, app).await
        };
        cases.note(name, outcome.await);
    }
    cases.verdict()
}

#[tokio::test]
async fn an_app_that_sends_first_gets_a_tunnel() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = stage.pair().await?;
    app.send("220 mail.example ESMTP\r\n").await?;
    client.expect("220 mail.example ESMTP\r\n").await?;
    client.send("EHLO client\r\n").await?;
    app.expect("EHLO client\r\n").await?;
    // After the app has sent first, even bytes that look like HTTP are not parsed.
    for _ in 0..3 {
        exchange(&mut client, &mut app).await?;
    }
    bytes_pass(&mut client, &mut app).await?;
    close(client, app).await
}

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test]
async fn a_101_response_begins_a_tunnel() -> TestResult {
    let mut cases = Cases::default();
    for limit in [1, 2, 10] {
        let stage = Stage::with_limit(limit).await?;
        let outcome = async {
            let (mut client, mut app) = stage.pair().await?;
            client.send(UPGRADE).await?;
            app.expect(UPGRADE).await?;
            app.send(SWITCHING).await?;
            // Unchanged at the limit, too: `Connection: close` would end the new tunnel.
            client.expect(SWITCHING).await?;
            bytes_pass(&mut client, &mut app).await?;
            close(client, app).await
        };
        cases.note(format!("limit {limit}"), outcome.await);
    }
    cases.verdict()
}

#[tokio::test]
async fn bytes_after_the_101_in_one_segment_pass() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send(UPGRADE).await?;
    app.expect(UPGRADE).await?;
    let first = [SWITCHING.as_bytes(), b"\x81\x05hello\x81\x02\r\n"].concat();
    app.send(&first).await?;
    client.expect(&first).await?;
    bytes_pass(&mut client, &mut app).await?;
    close(client, app).await
}

/// A client may send its first frames before it has read the 101. The app receives them after the 101.
#[tokio::test]
async fn bytes_after_the_upgrade_request_in_one_segment_wait_for_the_101() -> TestResult {
    let stage = Stage::with_limit(10).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send([UPGRADE.as_bytes(), b"\x81\x85\0\r\n\x04hello"].concat()).await?;
    app.expect(UPGRADE).await?;
    app.send(SWITCHING).await?;
    client.expect(SWITCHING).await?;
    app.expect(b"\x81\x85\0\r\n\x04hello").await?;
    bytes_pass(&mut client, &mut app).await?;
    close(client, app).await
}

#[tokio::test]
async fn an_upgrade_may_follow_other_requests() -> TestResult {
    let stage = Stage::with_limit(10).await?;
    let (mut client, mut app) = stage.pair().await?;
    for _ in 0..3 {
        exchange(&mut client, &mut app).await?;
    }
    let request = UPGRADE.replace("websocket", "IRC/6.9");
    let response = format!("HTTP/1.1 102 Processing\r\n\r\n{}", SWITCHING.replace("websocket", "IRC/6.9"));
    client.send(&request).await?;
    app.expect(&request).await?;
    app.send(&response).await?;
    client.expect(&response).await?;
    bytes_pass(&mut client, &mut app).await?;
    close(client, app).await
}

/// A request with `Upgrade` makes no tunnel by itself: without 101 the next bytes are the next request.
#[tokio::test]
async fn an_upgrade_without_a_101_is_an_ordinary_request() -> TestResult {
    let stage = Stage::with_limit(2).await?;
    for pipelined in [true, false] {
        let (mut client, mut app) = stage.pair().await?;
        if pipelined {
            client.send([UPGRADE, GET].concat()).await?;
        } else {
            client.send(UPGRADE).await?;
        }
        app.expect(UPGRADE).await?;
        app.send(OK).await?;
        client.expect(OK).await?;
        if !pipelined {
            client.send(GET).await?;
        }
        app.expect(GET).await?;
        last_response(&mut client, &mut app).await?;
    }
    Ok(())
}

const CONNECT: &str = "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n";

#[tokio::test]
async fn a_2xx_response_to_connect_begins_a_tunnel() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    // Content-Length and Transfer-Encoding of a 2xx to CONNECT are ignored (RFC 9112 §6.3).
    for response in ["HTTP/1.1 200 Connected\r\n\r\n", "HTTP/1.1 204 Fine\r\nContent-Length: 5\r\n\r\n"] {
        let (mut client, mut app) = stage.pair().await?;
        client.send(CONNECT).await?;
        app.expect(CONNECT).await?;
        app.send(response).await?;
        client.expect(response).await?;
        bytes_pass(&mut client, &mut app).await?;
        close(client, app).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_connect_is_an_ordinary_request() -> TestResult {
    let stage = Stage::with_limit(2).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send(CONNECT).await?;
    app.expect(CONNECT).await?;
    let refusal = "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno";
    app.send(refusal).await?;
    client.expect(refusal).await?;
    last_exchange(&mut client, &mut app).await
}

#[tokio::test]
async fn a_half_close_passes_through_a_tunnel() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send(b"\0question").await?;
    client.half_close().await?;
    app.expect(b"\0question").await?;
    app.expect_end(End::Fin).await?;
    let answer = vec![b'a'; 1_000_000];
    tokio::try_join!(app.send(&answer), client.expect(&answer))?;
    app.half_close().await?;
    client.expect_end(End::Fin).await?;

    let (mut client, mut app) = stage.pair().await?;
    app.send("news").await?;
    app.half_close().await?;
    client.expect("news").await?;
    client.expect_end(End::Fin).await?;
    tokio::try_join!(client.send(&answer), app.expect(&answer))?;
    client.half_close().await?;
    app.expect_end(End::Fin).await?;
    Ok(())
}

/// A reset must not look like an orderly close.
#[tokio::test]
async fn a_reset_passes_through_a_tunnel() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send(b"\0").await?;
    app.expect(b"\0").await?;
    client.reset()?;
    app.expect_end(End::Reset).await?;

    let (mut client, mut app) = stage.pair().await?;
    client.send(b"\0").await?;
    app.expect(b"\0").await?;
    app.reset()?;
    client.expect_end(End::Reset).await?;
    Ok(())
}

/// Both sides get a FIN, also in the middle of a message, which the proxy cannot recognise.
#[tokio::test]
async fn a_tunnel_is_closed_at_max_tunnel_age() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::MaxTunnelAge, "400ms")]).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send("\0").await?;
    app.expect("\0").await?;
    let (mut web_socket, mut its_app) = stage.pair().await?;
    web_socket.send(UPGRADE).await?;
    its_app.expect(UPGRADE).await?;
    its_app.send(SWITCHING).await?;
    web_socket.expect(SWITCHING).await?;
    for peer in [client, app, web_socket, its_app] {
        let mut peer = peer;
        peer.expect_end(End::Fin).await?;
    }
    // A tunnel is counted when both sides have closed.
    let begun = Instant::now();
    while !stage
        .proxy
        .admin("/metrics")
        .await?
        .1
        .contains("tunnels_ended_total{reason=\"max_tunnel_age\",port=\"8080\"} 2")
    {
        ensure!(begun.elapsed() < TIMEOUT, "two tunnels were closed and not counted");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The option does not apply to HTTP connections.
#[tokio::test]
async fn max_tunnel_age_closes_only_tunnels() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::MaxTunnelAge, "100ms")]).await?;
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    client.expect_silence(Duration::from_millis(500)).await?;
    exchange(&mut client, &mut app).await?;
    Ok(())
}

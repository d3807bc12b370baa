//! HTTP/1 inside TLS: exchanges, closes, and other protocols.

use std::time::Duration;

use rustls::pki_types::ServerName;
use settings::ProxyOption;
use test_support::{Cases, End, Peer, TestResult, ensure, ensure_eq};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;
use tokio::time::sleep;

use super::{Client, NAME, TlsStage, connect_by, wait_for_sample};
use crate::stage::{GET, OK, exchange};

async fn exchange_over_tls(client: &mut Client, app: &mut Peer) -> TestResult {
    client.send(GET).await?;
    app.expect(GET).await?;
    app.send(OK).await?;
    client.expect(OK).await
}

const LAST_OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// Plays the last exchange of a connection: its response announces close, and `close_notify` follows.
async fn last_exchange(client: &mut Client, app: &mut Peer) -> TestResult {
    client.send(GET).await?;
    app.expect(GET).await?;
    app.send(OK).await?;
    let answer = client.rest().await??;
    ensure_eq!(String::from_utf8_lossy(&answer), LAST_OK);
    app.expect_end(End::Fin).await?;
    Ok(())
}

#[tokio::test]
async fn close_is_announced_in_exactly_the_nth_response() -> TestResult {
    let mut cases = Cases::default();
    for limit in 1..=3 {
        let outcome = async {
            let stage = TlsStage::with_limit(&limit.to_string()).await?;
            for alpn in [&[][..], &["http/1.1"]] {
                let mut client = stage.connect(alpn).await?;
                let mut app = stage.app.accept().await?;
                for _ in 1..limit {
                    exchange_over_tls(&mut client, &mut app).await?;
                }
                last_exchange(&mut client, &mut app).await?;
            }
            // The clients' `close_notify` does not count as a request after the announcement.
            wait_for_sample(&stage.proxy, "evenkeel_proxy_connections_open{port=\"8080\"} 0").await?;
            wait_for_sample(&stage.proxy, "evenkeel_proxy_announcements_ignored_total 0").await?;
            wait_for_sample(
                &stage.proxy,
                "evenkeel_proxy_connections_retired_total{reason=\"max_requests\",protocol=\"http1\",port=\"8080\"} 2",
            )
            .await?;
            wait_for_sample(&stage.proxy, "evenkeel_proxy_tls_handshakes_total 2").await
        };
        cases.note(limit, outcome.await);
    }
    cases.verdict()
}

/// What the proxy, its kernel and TLS have buffered arrives before `close_notify`, however late the client reads.
#[tokio::test]
async fn a_client_that_pauses_longer_than_any_timeout_gets_its_whole_last_response() -> TestResult {
    let stage = TlsStage::with_limit("1").await?;
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(16 * 1024)?;
    let socket = socket.connect(stage.proxy.address()).await?;
    let mut client = Client { stream: connect_by(ServerName::try_from(NAME)?, socket, &stage.issued, &[]).await? };
    let mut app = stage.app.accept().await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    // It fits into the send buffer of the proxy's kernel.
    let body = vec![b'b'; 60_000];
    app.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await?;
    app.send(&body).await?;
    app.expect_end(End::Fin).await?;
    sleep(Duration::from_secs(7)).await;
    // If the socket had been closed, a reset would answer this.
    client.send(GET).await?;
    let answer = client.rest().await??;
    ensure!(answer.ends_with(&body), "{} bytes", answer.len());
    Ok(())
}

/// The kubelet's probes are an example.
#[tokio::test]
async fn plain_http_is_served_on_the_same_port() -> TestResult {
    let stage = TlsStage::with_limit("10").await?;
    let mut client = stage.proxy.connect().await?;
    let mut app = stage.app.accept().await?;
    exchange(&mut client, &mut app).await
}

#[tokio::test]
async fn tls_of_an_opaque_port_is_not_terminated() -> TestResult {
    let stage = TlsStage::with(&[(ProxyOption::OpaquePorts, "8080")]).await?;
    let mut client = stage.proxy.connect().await?;
    let mut app = stage.app.accept().await?;
    let hello = b"\x16\x03\x01\0\x05\x01\0\0\x01\0";
    client.send(hello).await?;
    app.expect(hello).await?;
    Ok(())
}

#[tokio::test]
async fn long_bodies_pass_both_ways_at_once() -> TestResult {
    let stage = TlsStage::with_limit("1").await?;
    let client = stage.connect(&[]).await?;
    let mut app = stage.app.accept().await?;
    let body: Vec<u8> = (0..3_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let announced = answer.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let (mut reader, mut writer) = tokio::io::split(client.stream);
    let (app_reader, app_writer) = app.split();
    let client_sends = async {
        writer.write_all(head.as_bytes()).await?;
        writer.write_all(&body).await?;
        writer.flush().await?;
        TestResult::Ok(())
    };
    let client_reads = async {
        let mut came = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut came).await?;
        ensure!(came == [announced.as_bytes(), &body].concat(), "{} bytes, and not those of the app", came.len());
        TestResult::Ok(())
    };
    let app_echoes = async {
        app_reader.expect(&head).await?;
        app_writer.send(&answer).await?;
        tokio::try_join!(app_writer.send(&body), app_reader.expect(&body))?;
        TestResult::Ok(())
    };
    let (sent, read, echoed) = tokio::join!(client_sends, client_reads, app_echoes);
    sent?;
    echoed?;
    read
}

/// Bytes that TLS has buffered for a slow reader are sent before the close.
#[tokio::test]
async fn a_slow_reader_gets_its_whole_last_response() -> TestResult {
    let stage = TlsStage::with_limit("1").await?;
    let mut client = stage.connect(&[]).await?;
    let mut app = stage.app.accept().await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    let body = vec![b'b'; 20_000_000];
    app.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await?;
    let reading = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let answer = client.rest().await??;
        ensure!(answer.ends_with(&body) && answer.len() > body.len(), "{} bytes", answer.len());
        TestResult::Ok(())
    };
    let (sent, read) = tokio::join!(app.send(&body), reading);
    sent?;
    read
}

/// By `close_notify`, and by the FIN alone that many clients send.
#[tokio::test]
async fn a_half_closed_client_gets_its_response() -> TestResult {
    let stage = TlsStage::with_limit("10").await?;
    let request = "GET / HTTP/1.0\r\n\r\n";
    for in_order in [true, false] {
        let mut client = stage.connect(&[]).await?;
        let mut app = stage.app.accept().await?;
        client.send(request).await?;
        if in_order {
            client.stream.shutdown().await?;
        } else {
            client.stream.get_mut().0.shutdown().await?;
        }
        app.expect(request).await?;
        app.expect_end(End::Fin).await?;
        app.send("HTTP/1.0 200 OK\r\n\r\nall").await?;
        drop(app);
        ensure_eq!(client.rest().await??, b"HTTP/1.0 200 OK\r\n\r\nall".to_vec());
    }
    Ok(())
}

#[tokio::test]
async fn a_web_socket_passes_in_tls() -> TestResult {
    let stage = TlsStage::with_limit("1").await?;
    let mut client = stage.connect(&["http/1.1"]).await?;
    let mut app = stage.app.accept().await?;
    let upgrade = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.send(upgrade).await?;
    app.expect(upgrade).await?;
    app.send(switching).await?;
    client.expect(switching).await?;
    for _ in 0..5 {
        client.send("\x01\0 not HTTP \r\n\r\n").await?;
        app.expect("\x01\0 not HTTP \r\n\r\n").await?;
        app.send([0x16, 3, 1, 0xff]).await?;
        client.expect([0x16, 3, 1, 0xff]).await?;
    }
    drop(app);
    client.stream.shutdown().await?;
    ensure_eq!(client.rest().await??, Vec::<u8>::new());
    Ok(())
}

#[tokio::test]
async fn a_drain_announces_close_in_tls() -> TestResult {
    let stage = TlsStage::with_limit("1000").await?;
    let mut client = stage.connect(&[]).await?;
    let mut app = stage.app.accept().await?;
    exchange_over_tls(&mut client, &mut app).await?;
    let mut drain = stage.proxy.drain()?;
    wait_for_sample(&stage.proxy, "evenkeel_proxy_drain_phase{phase=\"draining\"} 1").await?;
    last_exchange(&mut client, &mut app).await?;
    drop(client);
    let (status, output) = drain.end().await?;
    ensure!(status.success(), "{output}");
    Ok(())
}

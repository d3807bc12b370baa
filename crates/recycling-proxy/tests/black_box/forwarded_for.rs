//! `X-Forwarded-For`: the app receives every request with its client's address, and nothing else in it changes.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use settings::ProxyOption;
use test_support::{Cases, End, LoopbackHost, RecyclingProxy, TestResult, ensure, ensure_eq};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::http2_stage::{END_HEADERS, HEADERS, frame, open, read_goaway};
use crate::hyper_peers::{Sender, connected};
use crate::stage::{BINARY, OK, Stage, close};

/// The address from which test clients connect.
const CLIENT: &str = "127.0.0.1";

/// RFC 9113 §7.
const COMPRESSION_ERROR: u32 = 9;

const ON: (ProxyOption, &str) = (ProxyOption::ForwardedFor, "on");

/// Returns a request head as the client sends it and as the app receives it; `ADD` marks the place of the address.
fn sent_and_received(head: &str) -> (String, String) {
    let head = head.replace('\n', "\r\n");
    (head.replace("ADD", ""), head.replace("ADD", CLIENT))
}

#[tokio::test]
async fn the_clients_address_is_the_last_element_of_x_forwarded_for() -> TestResult {
    let stage = Stage::with(&[ON]).await?;
    let mut cases = Cases::default();
    for (name, sent, expected) in [
        ("no list yet", "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 127.0.0.1\n\n"),
        (
            "a list",
            "GET / HTTP/1.1\nx-forwarded-for:  192.0.2.1,fd00::1\nHost: a\n\n",
            "GET / HTTP/1.1\nx-forwarded-for:  192.0.2.1,fd00::1, 127.0.0.1\nHost: a\n\n",
        ),
        (
            "two lines",
            "GET / HTTP/1.1\nX-Forwarded-For: a\nHost: a\nX-FORWARDED-FOR: b\n\n",
            "GET / HTTP/1.1\nX-Forwarded-For: a\nHost: a\nX-FORWARDED-FOR: b, 127.0.0.1\n\n",
        ),
        (
            "an empty list",
            "GET / HTTP/1.1\nHost: a\nX-Forwarded-For:\n\n",
            "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 127.0.0.1\n\n",
        ),
        ("HTTP/1.0", "GET / HTTP/1.0\n\n", "GET / HTTP/1.0\nX-Forwarded-For: 127.0.0.1\n\n"),
        (
            "a body that looks like a head",
            "POST / HTTP/1.1\nHost: a\nContent-Length: 29\n\nGET /\nX-Forwarded-For: b\n\n",
            "POST / HTTP/1.1\nHost: a\nContent-Length: 29\nX-Forwarded-For: 127.0.0.1\n\nGET /\nX-Forwarded-For: b\n\n",
        ),
    ] {
        let [sent, expected] = [sent, expected].map(|text| text.replace('\n', "\r\n"));
        let outcome = async {
            let (mut client, mut app) = stage.pair().await?;
            client.send(&sent).await?;
            app.expect(&expected).await?;
            app.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await?;
            ensure_eq!(client.read_head().await?.status(), Some(200));
            client.expect_end(End::Fin).await?;
            TestResult::Ok(())
        };
        cases.note(name, outcome.await);
    }
    cases.verdict()
}

/// The requests are pipelined, on several connections that are retired one after the other.
#[tokio::test]
async fn every_request_of_every_connection_has_the_clients_address() -> TestResult {
    let stage = Stage::with(&[ON, (ProxyOption::MaxRequests, "3")]).await?;
    let (sent, expected) = sent_and_received("GET /a HTTP/1.1\nX-Forwarded-For: b\nHost: app\n\n");
    let expected = expected.replace(": b", &format!(": b, {CLIENT}"));
    for _ in 0..3 {
        let (mut client, mut app) = stage.pair().await?;
        client.send(sent.repeat(3)).await?;
        for request in 1..=3 {
            app.expect(&expected).await?;
            app.send(OK).await?;
            ensure_eq!(client.read_head().await?.announces_close(), request == 3);
            client.expect("ok").await?;
        }
        client.expect_end(End::Fin).await?;
    }
    Ok(())
}

/// Many pipelined requests fill the proxy's buffer, and each address makes them longer.
#[tokio::test]
async fn every_pipelined_request_has_the_clients_address() -> TestResult {
    let stage = Stage::with(&[ON]).await?;
    let (mut client, mut app) = stage.pair().await?;
    let (client_reader, client_writer) = client.split();
    let numbered = |n: usize, more: &str| format!("GET /{n} HTTP/1.1\r\nHost: a\r\nX: {}\r\n{more}\r\n", "x".repeat(n));
    let all: String = (0..400).map(|n| numbered(n, "")).collect();
    let serve = async {
        for n in 0..400 {
            app.expect(numbered(n, &format!("X-Forwarded-For: {CLIENT}\r\n"))).await?;
            app.send(OK).await?;
        }
        TestResult::Ok(())
    };
    let client_sends = async { Ok(client_writer.send(&all).await?) };
    let client_reads = async { Ok(client_reader.expect(OK.repeat(400)).await?) };
    tokio::try_join!(serve, client_sends, client_reads)?;
    close(client, app).await
}

#[tokio::test]
async fn x_forwarded_for_does_not_depend_on_how_the_head_is_split() -> TestResult {
    let stage = Stage::with(&[ON]).await?;
    let sent = "PUT / HTTP/1.1\r\nX-Forwarded-For: b \r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    let expected = sent.replace(": b ", &format!(": b, {CLIENT} "));
    let mut running = JoinSet::new();
    for cut in 1..sent.len() {
        let (mut client, mut app) = stage.pair().await?;
        let expected = expected.clone();
        running.spawn(async move {
            let outcome = async {
                client.send_in_pieces([&sent.as_bytes()[..cut], &sent.as_bytes()[cut..]]).await?;
                app.expect(&expected).await?;
                TestResult::Ok(())
            };
            (format!("split at {cut}"), outcome.await)
        });
    }
    let mut cases = Cases::default();
    cases.note_all(running).await?;
    cases.verdict()
}

/// The address that the proxy adds does not count towards the limit of a head.
#[tokio::test]
async fn a_head_at_the_limit_gets_the_address_and_a_longer_one_is_refused() -> TestResult {
    let stage = Stage::with(&[ON, (ProxyOption::HeadLimit, "1Ki")]).await?;
    let head = |length: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4))
    };
    let (mut client, mut app) = stage.pair().await?;
    client.send(head(1024)).await?;
    let received = app.read_head().await?;
    ensure_eq!(received.tokens("x-forwarded-for"), [CLIENT]);
    let (mut client, mut app) = stage.pair().await?;
    client.send(head(1025)).await?;
    ensure_eq!(client.read_head().await?.status(), Some(431));
    ensure_eq!(app.read_to_end().await?.0, b"");
    Ok(())
}

#[tokio::test]
async fn a_tunnel_gets_no_address() -> TestResult {
    let stage = Stage::with(&[ON, (ProxyOption::OpaquePorts, "8080")]).await?;
    let (mut client, mut app) = stage.pair().await?;
    let (sent, _) = sent_and_received("GET / HTTP/1.1\nHost: a\n\n");
    client.send(&sent).await?;
    app.expect(&sent).await?;
    close(client, app).await
}

/// In such a request the added address would become a part of the client's last field.
#[tokio::test]
async fn a_request_that_would_swallow_the_address_is_refused() -> TestResult {
    let stage = Stage::with(&[ON]).await?;
    let (mut client, mut app) = open(&stage).await?;
    let swallowing = b"\x82\x86\x84\x41\x01a\0\x0fx-forwarded-for\x099.9.9.9.9\0\x01x\x1b";
    client.send(frame(HEADERS, END_HEADERS, 1, swallowing)).await?;
    ensure_eq!(read_goaway(&mut client).await?.1, COMPRESSION_ERROR);
    let (seen, _) = app.read_to_end().await?;
    ensure!(seen.len() <= 9 + swallowing.len(), "the app has a whole frame: {}", seen.escape_ascii());
    Ok(())
}

/// The HPACK tables of a real client and a real app must stay equal although the proxy adds a field.
#[tokio::test]
async fn adding_the_address_keeps_header_compression_in_step() -> TestResult {
    let host = LoopbackHost::reserve()?;
    let listener = TcpListener::bind(host.port(8080)).await?;
    let app = tokio::spawn(serve(listener));
    let options = [ON, (ProxyOption::MaxRequests, "50")];
    let proxy = RecyclingProxy::start(BINARY, host.port(8080), &options).await?;
    let mut clients = JoinSet::new();
    for client in 0..3 {
        clients.spawn(send_requests(proxy.address(), client));
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    app.abort();
    Ok(())
}

async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        connection.max_header_list_size(64 * 1024);
        tokio::spawn(connection.serve_connection(TokioIo::new(stream), service_fn(echo_fields)));
    }
}

/// Responds with the fields of the request, one on each line.
async fn echo_fields(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut lines = String::new();
    for (name, value) in request.headers() {
        let _ = writeln!(lines, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    Ok(Response::new(Full::new(lines.into())))
}

async fn send_requests(to: SocketAddr, client: usize) -> TestResult {
    let mut sender = connected(to).await?;
    for round in 0..60 {
        if sender.ready().await.is_err() {
            sender = connected(to).await?;
        }
        let mut running = JoinSet::new();
        for stream in 0..4 {
            running.spawn(send_request(sender.clone(), client, round * 4 + stream));
        }
        while let Some(request) = running.join_next().await {
            request??;
        }
    }
    Ok(())
}

/// Some fields repeat and are sent as an index, some change and evict others from the table, and some are too long for
/// one frame. A request that the client returns unsent is not lost.
async fn send_request(mut sender: Sender, client: usize, n: usize) -> TestResult {
    let length = if n % 10 == 9 { 17_000 } else { n % 7 * 100 };
    let own = [("x-client", client.to_string()), ("x-n", n.to_string()), ("x-long", "l".repeat(length))];
    let mut request = Request::get("http://a/");
    for (name, value) in &own {
        request = request.header(*name, value);
    }
    if n.is_multiple_of(2) {
        request = request.header("x-forwarded-for", "192.0.2.1");
    }
    let response = match sender.try_send_request(request.body(Full::default())?).await {
        Ok(response) => response,
        Err(mut error) => {
            ensure!(error.take_message().is_some(), "lost: {:?}", error.into_error());
            return Ok(());
        }
    };
    let seen = response.into_body().collect().await?.to_bytes();
    let seen = String::from_utf8(seen.to_vec())?;
    let of = |name: &str| -> Vec<String> {
        let lines = seen.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(field, _)| *field == name).map(|(_, value)| value.to_owned()).collect()
    };
    for (name, value) in own {
        ensure_eq!(of(name), [value], "{name} of request {n}");
    }
    let list: &[&str] = if n.is_multiple_of(2) { &["192.0.2.1", CLIENT] } else { &[CLIENT] };
    ensure_eq!(of("x-forwarded-for"), list, "request {n}");
    Ok(())
}

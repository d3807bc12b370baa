//! What end-to-end tests and benchmarks need of `echo-app`.

use std::net::SocketAddr;
use std::process::Command;

use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::Signal;
use test_support::{Failure, Peer, Process, TestResult, within_timeout};
use tokio::net::TcpStream;

async fn started(arguments: &[&str]) -> TestResult<(Process, SocketAddr)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_echo-app"));
    command.args(["--listen", "127.0.0.1:0", "--name", "pod-1"]).args(arguments);
    let mut app = Process::spawn("echo-app", command)?.repeating_its_output();
    let line = app.line_with("listening on").await?;
    let address = line.rsplit(' ').next().and_then(|address| address.parse().ok());
    Ok((app, address.ok_or_else(|| Failure::new(&line))?))
}

/// Sends a request and reads its response, whose content is `body`.
async fn exchange(client: &mut Peer, request: &str, body: &str) -> TestResult {
    client.send(request).await?;
    let head = client.read_head().await?;
    assert_eq!((head.status(), head.tokens("x-pod")), (Some(200), vec!["pod-1".to_owned()]), "{request}");
    assert_eq!(head.tokens("content-length"), [body.len().to_string()], "{request}");
    client.expect(body).await?;
    Ok(())
}

#[tokio::test]
async fn echo_app_answers_its_documented_paths() -> TestResult {
    let (_app, address) = started(&[]).await?;
    let mut client = Peer::connect(address).await?;
    exchange(&mut client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "pod-1\n").await?;
    exchange(&mut client, "GET /bytes/100000 HTTP/1.1\r\nHost: a\r\n\r\n", &"x".repeat(100_000)).await?;
    exchange(&mut client, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "").await?;
    exchange(&mut client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "abc").await?;
    let count = "{\"requests\":3,\"connections\":1}\n";
    exchange(&mut client, "GET /count HTTP/1.1\r\nHost: a\r\n\r\n", count).await
}

#[tokio::test]
async fn echo_app_keeps_running_after_it_stops_accepting() -> TestResult {
    let (_app, address) = started(&[]).await?;
    let mut client = Peer::connect(address).await?;
    exchange(&mut client, "POST /stop-accepting HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "").await?;
    within_timeout("the app", "refuses connections", async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await?;
    exchange(&mut client, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "").await
}

#[tokio::test]
async fn echo_app_fails_its_health_check_and_answers_other_requests() -> TestResult {
    let (_app, address) = started(&[]).await?;
    let mut client = Peer::connect(address).await?;
    exchange(&mut client, "POST /fail-health HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "").await?;
    exchange(&mut client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "pod-1\n").await?;
    client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    assert_eq!(client.read_head().await?.status(), Some(503));
    Ok(())
}

#[tokio::test]
async fn echo_app_exits_on_sigterm_in_the_middle_of_a_request() -> TestResult {
    let (mut app, address) = started(&["--burn", "1h"]).await?;
    let mut client = Peer::connect(address).await?;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    // The second connection is accepted in the kernel only: the app is busy with the first one's request.
    let _waiting = Peer::connect(address).await?;
    app.signal(Signal::TERM)?;
    let (status, _) = app.end().await?;
    assert!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn echo_app_finishes_requests_in_flight_when_told_to() -> TestResult {
    let (mut app, address) = started(&["--on-term", "graceful"]).await?;
    let mut client = Peer::connect(address).await?;
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc").await?;
    let head = client.read_head().await?;
    app.signal(Signal::TERM)?;
    client.expect("abc").await?;
    client.send("def").await?;
    client.expect("def").await?;
    assert_eq!(head.tokens("content-length"), ["6"]);
    let (status, _) = app.end().await?;
    assert!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn echo_app_burns_cpu_time() -> TestResult {
    let (app, address) = started(&["--burn", "200ms"]).await?;
    let mut client = Peer::connect(address).await?;
    let before = cpu_ticks(app.id())?;
    exchange(&mut client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "pod-1\n").await?;
    // The kernel counts ticks of 10 ms.
    let burnt = cpu_ticks(app.id())? - before;
    assert!((18..60).contains(&burnt), "{burnt} ticks of 10 ms for 200 ms");
    Ok(())
}

#[tokio::test]
async fn echo_app_answers_grpc_health_checks() -> TestResult {
    let (_app, address) = started(&[]).await?;
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(connection);
    let request = Request::post("http://a/grpc.health.v1.Health/Check").body("\0\0\0\0\0".to_owned())?;
    let answer = within_timeout("client", "an answer", sender.send_request(request)).await??;
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    let body = answer.into_body().collect().await?;
    assert_eq!(body.trailers().map(|trailers| &trailers["grpc-status"]).unwrap(), "0");
    assert_eq!(body.to_bytes(), [0, 0, 0, 0, 2, 8, 1].as_slice());
    Ok(())
}

#[tokio::test]
async fn echo_app_expects_a_proxy_header_when_told_to() -> TestResult {
    let (_app, address) = started(&["--proxy-protocol"]).await?;
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = Peer::connect(address).await?;
    exchange(&mut client, &format!("PROXY TCP4 192.0.2.7 192.0.2.8 5 80\r\n{request}"), "pod-1\n").await?;
    exchange(&mut client, request, "pod-1\n").await?;
    let mut other = Peer::connect(address).await?;
    other.send(request).await?;
    let (answer, _) = other.read_to_end().await?;
    assert_eq!(String::from_utf8_lossy(&answer), "");
    Ok(())
}

#[tokio::test]
async fn echo_app_checks_another_echo_app() -> TestResult {
    for arguments in [&[][..], &["--proxy-protocol"]] {
        let (app, address) = started(arguments).await?;
        let check =
            || Command::new(env!("CARGO_BIN_EXE_echo-app")).args(arguments).arg(format!("--check={address}")).output();
        assert!(check()?.status.success());
        drop(app);
        let alone = check()?;
        assert!(!alone.status.success(), "{alone:?}");
    }
    Ok(())
}

/// User and system time of a process: fields 14 and 15 of `/proc/PID/stat`, proc(5).
fn cpu_ticks(pid: u32) -> TestResult<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').ok_or_else(|| Failure::new(&stat))?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

#[tokio::test]
async fn echo_app_speaks_http2_with_prior_knowledge() -> TestResult {
    let (_app, address) = started(&[]).await?;
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(connection);
    for _ in 0..2 {
        let request = Request::post("http://a/echo").body("abc".to_owned())?;
        let answer = within_timeout("client", "an answer", sender.send_request(request)).await??;
        assert_eq!(answer.headers()["x-pod"], "pod-1");
        assert_eq!(answer.into_body().collect().await?.to_bytes(), "abc");
    }
    let mut client = Peer::connect(address).await?;
    exchange(&mut client, "GET /count HTTP/1.1\r\nHost: a\r\n\r\n", "{\"requests\":2,\"connections\":2}\n").await
}

#[tokio::test]
async fn echo_app_answers_grpc_calls() -> TestResult {
    let (_app, address) = started(&[]).await?;
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(connection);
    let message = "\0\0\0\0\u{3}abc";
    let call = Request::post("http://a/echo.Echo/Say").header("content-type", "application/grpc");
    let answer = within_timeout("client", "an answer", sender.send_request(call.body(message.to_owned())?)).await??;
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    let body = answer.into_body().collect().await?;
    assert!(body.trailers().is_some_and(|trailers| trailers["grpc-status"] == "0"), "{:?}", body.trailers());
    assert_eq!(body.to_bytes(), message);
    Ok(())
}

//! Protocol detection by the first bytes: what is not HTTP reaches the app without delay, and no byte of it is lost.

use std::time::Duration;

use settings::ProxyOption;
use test_support::{Cases, End, TestResult, ensure};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::http2_stage::{PREFACE, SETTINGS, frame};
use crate::stage::{GET, OK, Stage, close};

/// Well below the time for which the proxy waits for the rest of a request line, and below jdb's timeout for a JVM.
const AT_ONCE: Duration = Duration::from_millis(1500);

/// Longer than the proxy waits for the rest of a request line.
pub(crate) const LONG: Duration = Duration::from_millis(3500);

/// With `forwarded-for` it is refused, because a request may follow (`hidden_requests`).
const PROXY_PROTOCOL: &str = "PROXY protocol v2";

/// Returns protocols with the first bytes of their clients, after which these wait for the server.
fn others() -> Vec<(&'static str, Vec<u8>)> {
    let syslog = b"<34>1 2024-05-01T10:00:00Z web1 app - - - 10.0.0.1 \"GET / HTTP/1.1\" 200 ".as_slice();
    let counted = [format!("{} ", 57_784).as_bytes(), syslog, &vec![b'x'; 57_784]].concat();
    vec![
        ("syslog with octet counting, without a line end", counted[..57_790].to_vec()),
        (
            "a line of syslog with octet counting",
            b"68 <34>1 2024-05-01T10:00:00Z web1 a - - - GET / HTTP/1.1\n".to_vec(),
        ),
        ("syslog", [syslog, b"\n"].concat()),
        ("a line of a log", b"web1 GET / HTTP/1.1\n".to_vec()),
        ("JDWP, by which jdb attaches", b"JDWP-Handshake".to_vec()),
        ("git", b"0032git-upload-pack /project.git\0host=example.org\0".to_vec()),
        ("Redis", b"*1\r\n$4\r\nPING\r\n".to_vec()),
        ("Redis, in a line", b"PING\r\n".to_vec()),
        ("Redis, with a key", b"SET key value\r\n".to_vec()),
        ("memcached", b"get k\r\n".to_vec()),
        ("memcached, in two packets", b"set k 0 0 5\r\n".to_vec()),
        ("ZooKeeper", b"ruok".to_vec()),
        ("MQTT", b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04test".to_vec()),
        ("PostgreSQL", b"\0\0\0\x08\x04\xd2\x16\x2f".to_vec()),
        ("AMQP", b"AMQP\0\0\x09\x01".to_vec()),
        ("STOMP", b"CONNECT\naccept-version:1.2\nhost:a\n\n\0".to_vec()),
        ("IRC", b"NICK x\r\nUSER x 0 * :real name\r\n".to_vec()),
        ("FTP", b"USER anonymous\r\n".to_vec()),
        ("SMTP", b"EHLO [127.0.0.1]\r\n".to_vec()),
        ("NATS", b"CONNECT {\"verbose\":false}\r\n".to_vec()),
        ("SIP", b"OPTIONS sip:a@example.org SIP/2.0\r\n".to_vec()),
        ("RTSP", b"OPTIONS rtsp://example.org/a RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_vec()),
        ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        ("Graphite", b"SERVERS.web1.load 0.5 1714557600\n".to_vec()),
        ("StatsD", b"requests:1|c".to_vec()),
        ("JSON", b"{\"a\": 1}".to_vec()),
        ("FIX", b"8=FIX.4.4\x019=65\x01".to_vec()),
        ("MongoDB", b"A\0\0\0\x01\0\0\0\0\0\0\0\xd4\x07\0\0".to_vec()),
        ("LDAP", b"0\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0".to_vec()),
        ("Memcached in binary", b"\x80\x0b\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec()),
        (PROXY_PROTOCOL, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec()),
        ("a word", b"hello".to_vec()),
    ]
}

/// With `forwarded-for`, too: the proxy does not wait for more of what no server takes for a request.
#[tokio::test]
async fn first_bytes_of_other_protocols_pass_without_delay() -> TestResult {
    let mut cases = Cases::default();
    for forwarded_for in ["off", "on"] {
        let stage = Stage::with(&[(ProxyOption::MaxRequests, "1"), (ProxyOption::ForwardedFor, forwarded_for)]).await?;
        let mut running = JoinSet::new();
        for (name, first) in others() {
            if forwarded_for == "on" && name == PROXY_PROTOCOL {
                continue;
            }
            let (mut client, mut app) = stage.pair().await?;
            running.spawn(async move {
                let outcome = async {
                    let begun = Instant::now();
                    tokio::try_join!(client.send(&first), app.expect(&first))?;
                    ensure!(begun.elapsed() < AT_ONCE, "it took {:?}", begun.elapsed());
                    app.send("answer").await?;
                    client.expect("answer").await?;
                    client.send(GET).await?;
                    app.expect(GET).await?;
                    close(client, app).await
                };
                (format!("{name}, forwarded-for: {forwarded_for}"), outcome.await)
            });
        }
        cases.note_all(running).await?;
    }
    cases.verdict()
}

/// Bytes that may be the beginning of a request are delayed, and arrive complete.
#[tokio::test]
async fn undecided_first_bytes_pass_after_a_delay() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let mut running = JoinSet::new();
    for first in ["GE", "HELLO", "GET /", "MAGIC /a b", "\r\n", "P", "PRI * HT"] {
        let (mut client, mut app) = stage.pair().await?;
        running.spawn(async move {
            let outcome = async {
                client.send(first).await?;
                sleep(LONG).await;
                app.expect(first).await?;
                client.send(GET).await?;
                app.expect(GET).await?;
                close(client, app).await
            };
            (first.escape_default(), outcome.await)
        });
    }
    let mut cases = Cases::default();
    cases.note_all(running).await?;
    cases.verdict()
}

/// For every method and form of request target whose line arrives in one piece.
#[tokio::test]
async fn the_first_request_is_counted() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let mut cases = Cases::default();
    for start in [
        "GET / HTTP/1.1",
        "\r\nGET / HTTP/1.1",
        "M-SEARCH * HTTP/1.1",
        "VERSION-CONTROL /a HTTP/1.1",
        "RPC_IN_DATA /rpc HTTP/1.1",
        "GET http://a/b HTTP/1.1",
        "patch /a HTTP/1.1",
        "Get /a HTTP/1.1",
        "X2 /a HTTP/1.1",
    ] {
        let outcome = async {
            let (mut client, mut app) = stage.pair().await?;
            let request = format!("{start}\r\nHost: a\r\n\r\n");
            client.send(&request).await?;
            // An empty line before the request is not forwarded as a part of it.
            app.expect(request.trim_start()).await?;
            app.send(OK).await?;
            ensure!(client.read_head().await?.announces_close(), "it was not counted");
            TestResult::Ok(())
        };
        cases.note(start.escape_default(), outcome.await);
    }
    cases.verdict()
}

/// The JDK's client offers h2c with the first request of every connection. The proxy removes the offer.
#[tokio::test]
async fn an_upgrade_offer_of_h2c_is_removed() -> TestResult {
    let stage = Stage::with_limit(2).await?;
    let (mut client, mut app) = stage.pair().await?;
    let offer = "GET /a HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nHost: app\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\nUpgrade: h2c\r\n\r\n";
    client.send(offer).await?;
    app.expect(GET).await?;
    app.send(OK).await?;
    client.expect(OK).await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    app.send(OK).await?;
    ensure!(client.read_head().await?.announces_close(), "the connection is not retired");

    // An app that accepts an offer that it did not get would serve requests that the proxy does not count.
    let (mut client, mut app) = stage.pair().await?;
    client.send(offer).await?;
    app.expect(GET).await?;
    app.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n").await?;
    ensure!(client.read_head().await?.status() == Some(502), "the upgrade was accepted");
    Ok(())
}

/// Some clients send targets beyond ASCII, in UTF-8 or Latin-1, and servers serve them.
#[tokio::test]
async fn request_targets_beyond_ascii_pass() -> TestResult {
    let stage = Stage::with_limit(2).await?;
    for target in [b"/caf\xc3\xa9?q=\xe2\x82\xac".as_slice(), b"/caf\xe9"] {
        let (mut client, mut app) = stage.pair().await?;
        let request = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        for last in [false, true] {
            client.send(&request).await?;
            app.expect(&request).await?;
            app.send(OK).await?;
            ensure!(client.read_head().await?.announces_close() == last, "it was not counted");
            client.expect("ok").await?;
        }
    }
    Ok(())
}

/// The client can report what is wrong. Nothing more of it reaches the app, which would take it for requests.
#[tokio::test]
async fn an_http1_response_to_the_http2_preface_passes() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::ForwardedFor, "on")]).await?;
    let (mut client, mut app) = stage.pair().await?;
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
    client.send(&hello).await?;
    app.expect(&hello).await?;
    let answer = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    app.send(answer).await?;
    client.expect(answer).await?;
    client.send(GET).await?;
    client.half_close().await?;
    app.expect_end(End::Fin).await?;
    drop(app);
    client.expect_end(End::Fin).await?;
    Ok(())
}

//! With `forwarded-for: on`, no client can forge the address that the app sees: bytes that some HTTP server takes for a
//! request reach the app with the client's address, or not completely.

use std::time::Duration;

use settings::ProxyOption;
use test_support::{Cases, Peer, TestResult, ensure};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::detection::LONG;
use crate::stage::{Stage, UNREACHED};

const ON: (ProxyOption, &str) = (ProxyOption::ForwardedFor, "on");

/// The rest of a request with a forged address.
const FORGED: &str = " / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";

/// The pause between two pieces.
#[derive(Clone, Copy)]
pub(crate) enum Pause {
    /// The proxy reads the pieces one by one.
    Short,
    /// Longer than the proxy waits for the rest of a request line.
    Long,
}

impl Pause {
    pub(crate) const fn length(self) -> Duration {
        match self {
            Self::Short => Duration::from_millis(50),
            Self::Long => LONG,
        }
    }
}

/// The bytes of a client that tries to evade protocol detection, in pieces.
pub(crate) struct Evasion {
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) pause: Pause,
}

pub(crate) fn shown(pieces: &[Vec<u8>]) -> String {
    pieces.iter().map(|piece| piece.escape_ascii().to_string()).collect::<Vec<_>>().join(" | ")
}

pub(crate) fn evasions() -> Vec<Evasion> {
    all_pieces().into_iter().map(|(pieces, pause)| Evasion { pieces, pause }).collect()
}

fn all_pieces() -> Vec<(Vec<Vec<u8>>, Pause)> {
    let one = |text: &str| (vec![text.as_bytes().to_vec()], Pause::Short);
    let rest = |method: &str| format!("{method}{FORGED}");
    let mut all = Vec::new();
    // Leading bytes that some servers skip, in one piece and in two.
    for front in
        ["\r\n", "\r\n\r\n", "\r\n\r\n\r\n", "\n", "\n\n", "\r", "\r\r", " ", "  ", "\t", "\x0b", "\x0c", " \r\n", "\0"]
    {
        all.push(one(&format!("{front}{}", rest("GET"))));
        for pause in [Pause::Short, Pause::Long] {
            all.push((vec![front.into(), rest("GET").into()], pause));
        }
    }
    all.push((vec![[b"\x85", rest("GET").as_bytes()].concat()], Pause::Short));
    all.push((vec![[b"\xa0", rest("GET").as_bytes()].concat()], Pause::Short));
    // Invalid methods.
    let long = "A".repeat(33);
    for method in [long.as_str(), "get", "Get", "gET", "G\x01T", "\x01", "1", "G(T", "\u{e9}"] {
        all.push(one(&rest(method)));
        all.push((vec![method.into(), FORGED.into()], Pause::Short));
        all.push((vec![method.into(), FORGED.into()], Pause::Long));
    }
    // A request line with a pause in it.
    let plain = rest("GET");
    for at in [1, 3, 4, 5, 6, 10, 13, 14, 15, 16, 17] {
        all.push((vec![plain[..at].into(), plain[at..].into()], Pause::Long));
    }
    // Invalid request lines that some servers accept.
    for line in [
        "GET\t/ HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET a HTTP/1.1",
        "GET / FOO",
        "GET / http/1.1",
        "get / FOO",
        "GET / HTTP/1.1\r",
        "GET /\x01 HTTP/1.1",
    ] {
        let whole = format!("{line}\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n");
        all.push(one(&whole));
        for at in [5, line.len()] {
            all.push((vec![whole[..at].into(), whole[at..].into()], Pause::Short));
        }
    }
    // HTTP/0.9 has no fields.
    all.push((vec![b"GET /6.6.6.6\r\n".to_vec()], Pause::Short));
    all.push((vec![b" GET /6.6.6.6\n".to_vec()], Pause::Short));
    all.push((vec![b"GET 6.6.6.6\n".to_vec()], Pause::Short));
    all.push((vec![b"\n".to_vec(), b"GET /6.6.6.6\r\n".to_vec()], Pause::Long));
    // HTTP/2 with fields that are not compressed.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice();
    let fields = b"\x82\x86\x84\x41\x01a\0\x0fx-forwarded-for\x076.6.6.6";
    let frames =
        [&b"\0\0\0\x04\0\0\0\0\0\0\0"[..], &[u8::try_from(fields.len()).unwrap_or_default(), 1, 5, 0, 0, 0, 1], fields]
            .concat();
    let http2 = [preface, &frames].concat();
    for at in [1, 3, 8, 14, 16, 18, 20, 23] {
        all.push((vec![http2[..at].to_vec(), http2[at..].to_vec()], Pause::Long));
    }
    // Headers of the PROXY protocol, which some servers accept without requiring them.
    for header in [
        &b"PROXY TCP4 6.6.6.6 10.0.0.1 1 2\r\n"[..],
        b"PROXY UNKNOWN\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x06\x06\x06\x06\x0a\0\0\x01\0\x01\0\x02",
    ] {
        all.push((vec![[header, rest("GET").as_bytes()].concat()], Pause::Short));
        for at in [3, 5, 8, 11, header.len()] {
            let pieces = vec![header[..at].to_vec(), [&header[at..], rest("GET").as_bytes()].concat()];
            all.push((pieces.clone(), Pause::Short));
            all.push((pieces, Pause::Long));
        }
    }
    // Requests after the beginning of the HTTP/2 preface.
    for front in ["PRI * HTTP/2.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n"] {
        all.push((vec![front.into(), rest("GET").into()], Pause::Long));
    }
    all
}

/// Checks that the client's own address follows every forged one in the bytes that the app has received.
pub(crate) fn expect_clients_address(seen: &[u8]) -> TestResult {
    let forged = b"6.6.6.6".as_slice();
    let mut rest = seen;
    while let Some(at) = rest.windows(forged.len()).position(|window| window == forged) {
        rest = &rest[at + forged.len()..];
        let is_followed =
            rest.starts_with(b", 127.0.0.1\r\n") || rest.starts_with(b"\0\x0fx-forwarded-for\x09127.0.0.1");
        ensure!(is_followed, "the app saw {}", seen.escape_ascii());
    }
    Ok(())
}

/// Sends the pieces until the proxy closes the connection.
async fn send(client: &mut Peer, pieces: &[Vec<u8>], pause: Pause) {
    for (n, piece) in pieces.iter().enumerate() {
        if n > 0 {
            sleep(pause.length()).await;
        }
        if client.send(piece).await.is_err() {
            return;
        }
    }
    let _ = client.half_close().await;
}

#[tokio::test]
async fn no_request_reaches_the_app_without_the_clients_address() -> TestResult {
    let stage = Stage::with(&[ON, (ProxyOption::MaxRequests, &UNREACHED.to_string())]).await?;
    let mut running = JoinSet::new();
    for Evasion { pieces, pause } in evasions() {
        let (mut client, mut app) = stage.pair().await?;
        running.spawn(async move {
            send(&mut client, &pieces, pause).await;
            let outcome = async { expect_clients_address(&app.read_to_end().await?.0) };
            (shown(&pieces), outcome.await)
        });
    }
    let mut cases = Cases::default();
    cases.note_all(running).await?;
    cases.verdict()
}

/// Programs that turn field names into variables take these for the field, and proxies drop fields that `Connection`
/// names.
#[tokio::test]
async fn fields_that_some_program_takes_for_x_forwarded_for_are_refused() -> TestResult {
    let stage = Stage::with(&[ON]).await?;
    let mut cases = Cases::default();
    for field in [
        "X_Forwarded_For: 6.6.6.6",
        "x_forwarded-for: 6.6.6.6",
        "X.Forwarded.For: 6.6.6.6",
        "Connection: close, X-Forwarded-For",
        "Transfer-Encoding: chunked\r\n\r\n0\r\nX-Forwarded-For: 6.6.6.6",
    ] {
        for before in ["", "X-Forwarded-For: 7.7.7.7\r\n"] {
            let outcome = async {
                let (mut client, mut app) = stage.pair().await?;
                client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{before}{field}\r\n\r\n")).await?;
                ensure!(client.read_head().await?.status() == Some(400), "it was not refused");
                let seen = app.read_to_end().await?.0;
                ensure!(!seen.windows(7).any(|window| window == b"6.6.6.6"), "the app saw {}", seen.escape_ascii());
                TestResult::Ok(())
            };
            cases.note(format!("{before}{field}").escape_default(), outcome.await);
        }
    }
    cases.verdict()
}

/// After an upgrade to TLS (RFC 2817) the proxy would not see the requests. Other upgrades are the app's choice.
#[tokio::test]
async fn an_upgrade_offer_of_tls_is_removed() -> TestResult {
    let stage = Stage::with(&[ON]).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\nUpgrade: TLS/1.2, websocket\r\nConnection: Upgrade\r\n\r\n").await?;
    app.expect("OPTIONS * HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n")
        .await?;
    Ok(())
}

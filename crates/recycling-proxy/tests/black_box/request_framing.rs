//! Requests with ambiguous framing are refused: the client gets 400 and a close, and the app receives nothing.

use settings::ProxyOption;
use test_support::{Cases, End, TestResult, ensure, ensure_eq};
use tokio::time::Instant;

use crate::framing::{BAD_LENGTHS, BAD_LINES, BadFields, SPACE_BEFORE_COLON};
use crate::refusal::{BadBody, bad_bodies, refused, send_long_body};
use crate::stage::{GET, OK, Stage, UNREACHED, WITHOUT_WAITING, close, exchange};

/// A request that a lenient proxy would forward.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Checks that `request` is refused after `earlier` requests on its connection, and that the app receives nothing of
/// it.
async fn refused_after(stage: &Stage, earlier: usize, request: &[u8], status: &[u16]) -> TestResult {
    let (mut client, mut app) = stage.pair().await?;
    for _ in 0..earlier {
        exchange(&mut client, &mut app).await?;
    }
    client.send(request).await?;
    refused(&mut client, status).await?;
    ensure_eq!(app.read_to_end().await?.0, b"", "the app saw something");
    Ok(())
}

/// Checks that `request` is refused as the first and as the second request of its connection.
async fn refused_everywhere(stage: &Stage, request: &[u8], status: &[u16]) -> TestResult {
    for earlier in [0, 1] {
        let outcome = refused_after(stage, earlier, request, status).await;
        outcome.map_err(|failure| failure.during(format!("after {earlier} requests")))?;
    }
    Ok(())
}

fn with_fields(start: &[u8], fields: &[u8]) -> Vec<u8> {
    [start, fields, b"\r\n", b"0\r\n\r\n", SMUGGLED].concat()
}

#[tokio::test]
async fn a_request_with_ambiguous_framing_fields_becomes_400() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut cases = Cases::default();
    let only_requests: &[BadFields] = &[
        ("coding that never ends", b"Transfer-Encoding: gzip\r\n"),
        ("two hosts", b"Host: b\r\n"),
        ("the same host twice", b"X: y\r\nhost: a\r\n"),
    ];
    for (name, fields) in BAD_LENGTHS.iter().chain(BAD_LINES).chain(SPACE_BEFORE_COLON).chain(only_requests) {
        let request = with_fields(b"POST / HTTP/1.1\r\nHost: a\r\n", fields);
        cases.note(name, refused_everywhere(&stage, &request, &[400]).await);
    }
    stage.still_serves().await?;
    cases.verdict()
}

#[tokio::test]
async fn a_request_with_an_ambiguous_head_becomes_400() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut cases = Cases::default();
    let heads: &[(&str, &[u8])] = &[
        ("no host", b"GET / HTTP/1.1\r\nX: y\r\n\r\n"),
        ("no field at all", b"GET / HTTP/1.1\r\n\r\n"),
        ("host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        ("host with a slash", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        ("folded first field", b"GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n"),
        ("coding in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (
            "coding and length in HTTP/1.0",
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        ),
        ("bare LF after the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
        ("bare LF everywhere", b"GET / HTTP/1.1\nHost: a\n\n"),
        ("bare LF as the last line", b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
        ("bare CR after the request line", b"GET / HTTP/1.1\rHost: a\r\n\r\n"),
        ("two CRs after the request line", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
        ("two CRs as the last line", b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n"),
        ("NUL in the target", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("tab before the version", b"GET /\tHTTP/1.1\r\nHost: a\r\n\r\n"),
        ("bare CR in the target", b"GET /\ra HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];
    for (name, head) in heads {
        let request = [head, SMUGGLED].concat();
        cases.note(name, refused_everywhere(&stage, &request, &[400]).await);
    }
    cases.verdict()
}

/// As a second request: as the first bytes of a connection, some of these are another protocol.
#[tokio::test]
async fn a_request_with_a_bare_cr_or_lf_becomes_400() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut cases = Cases::default();
    // The loop leaves out what makes an empty line before the request (RFC 9112 §2.2), and a CR before the last CRLF.
    for at in 0..GET.len() - 1 {
        for bare in ['\r', '\n'] {
            let mut request = GET.to_owned();
            request.insert(at, bare);
            if request[at..].starts_with("\r\n\r\n") {
                continue;
            }
            cases.note(format!("{request:?}"), refused_after(&stage, 1, request.as_bytes(), &[400]).await);
        }
    }
    cases.verdict()
}

/// As a second request: as the first bytes of a connection, some of these are another protocol.
#[tokio::test]
async fn a_malformed_request_line_becomes_400() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut cases = Cases::default();
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / HTTP/1.1\t",
        "GET /",
        "GET / HTTP/0.9",
        "GET / HTTP/2.0",
        "GET / http/1.1",
        "GET / HTTP/1.1.1",
        "GET / HTTP/1.10",
        "GET / HTTP/11",
        "GET / XHTTP/1.1",
        "GET HTTP/1.1",
        "G(T / HTTP/1.1",
        "G\u{e9}T / HTTP/1.1",
        "/ HTTP/1.1",
        "HTTP/1.1 200 OK",
        "\u{16}\u{3}\u{1}\u{2}",
        "0",
    ] {
        let request = format!("{line}\r\nHost: a\r\n\r\n");
        // An unsupported version may get 505 (RFC 9110 §15.6.6).
        cases.note(format!("{line:?}"), refused_after(&stage, 1, request.as_bytes(), &[400, 505]).await);
    }
    cases.verdict()
}

#[tokio::test]
async fn a_malformed_chunked_request_becomes_400() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut cases = Cases::default();
    for body in bad_bodies() {
        cases.note(&body.name, refused_within(&stage, &body).await);
    }
    stage.still_serves().await?;
    cases.verdict()
}

/// The app receives nothing from the error on. Its connection is reset, so that it cannot take the rest for a complete
/// message.
async fn refused_within(stage: &Stage, body: &BadBody) -> TestResult {
    let (mut client, mut app) = stage.pair().await?;
    let head = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let good = [head.as_bytes(), &body.good].concat();
    let bad = [body.bad.as_slice(), SMUGGLED].concat();
    if body.is_split {
        client.send_in_pieces([good.as_slice(), &bad]).await?;
    } else {
        client.send([good.as_slice(), &bad].concat()).await?;
    }
    refused(&mut client, &[400]).await?;
    let (seen, end) = app.read_to_end().await?;
    ensure!(good.starts_with(&seen), "the app saw {:?}", seen.escape_ascii().to_string());
    ensure_eq!(end, End::Reset);
    Ok(())
}

/// No 400 can follow a final response head. The connections still end, the app's by a reset.
#[tokio::test]
async fn a_malformed_body_after_an_early_response_ends_the_connection() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    let start = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    client.send(start).await?;
    app.expect(start).await?;
    app.send(OK).await?;
    client.expect(OK).await?;
    client.send("x\r\n").await?;
    client.send(SMUGGLED).await.ok();
    let (seen, end) = app.read_to_end().await?;
    ensure_eq!((seen.as_slice(), end), (&b""[..], End::Reset));
    let (rest, _) = client.read_to_end().await?;
    ensure!(!rest.starts_with(b"HTTP/1.1 2"), "{}", rest.escape_ascii());
    Ok(())
}

/// Returns a head of exactly `length` bytes.
fn head_of(length: usize) -> Vec<u8> {
    let (start, end) = ("GET / HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n");
    format!("{start}{}{end}", "x".repeat(length - start.len() - end.len())).into_bytes()
}

#[tokio::test]
async fn request_heads_up_to_the_limit_pass() -> TestResult {
    for (setting, limit) in [("1Ki", 1024), ("128Ki", 128 * 1024)] {
        let stage = Stage::with(&[(ProxyOption::HeadLimit, setting)]).await?;
        for length in [limit - 1, limit] {
            let begun = Instant::now();
            let (mut client, mut app) = stage.pair().await?;
            let request = head_of(length);
            tokio::try_join!(client.send(&request), app.expect(&request))?;
            app.send(OK).await?;
            client.expect(OK).await?;
            close(client, app).await?;
            ensure!(begun.elapsed() < WITHOUT_WAITING, "{length} bytes took {:?}", begun.elapsed());
        }
        let too_long = head_of(limit + 1);
        refused_everywhere(&stage, &too_long, &[400, 414, 431]).await?;
    }
    Ok(())
}

/// The buffer grows in steps of these sizes. No head stalls at the end of a step.
#[tokio::test]
async fn request_heads_around_the_sizes_of_buffers_pass() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    for size in [4, 8, 16, 20, 32, 64, 128].map(|size| size * 1024) {
        for length in [size - 1, size, size + 1].into_iter().filter(|length| *length <= 128 * 1024) {
            let begun = Instant::now();
            let request = head_of(length);
            tokio::try_join!(client.send(&request), app.expect(&request))?;
            let start = "HTTP/1.1 204 No Content\r\nX: ";
            let response = format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4));
            tokio::try_join!(app.send(&response), client.expect(&response))?;
            ensure!(begun.elapsed() < WITHOUT_WAITING, "{length} bytes took {:?}", begun.elapsed());
        }
    }
    close(client, app).await
}

/// A head without an end is refused as soon as it is too long.
#[tokio::test]
async fn an_endless_request_head_becomes_431() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::HeadLimit, "1Ki")]).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send(&head_of(4096)[..2048]).await?;
    refused(&mut client, &[400, 414, 431]).await?;
    ensure_eq!(app.read_to_end().await?.0, b"");
    Ok(())
}

/// An error in a pipelined request affects only that request: the one before it is answered first.
#[tokio::test]
async fn a_malformed_pipelined_request_is_refused_after_the_response_before_it() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send(format!("{GET}GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")).await?;
    app.expect(GET).await?;
    app.send(OK).await?;
    client.expect(OK).await?;
    refused(&mut client, &[400]).await?;
    ensure_eq!(app.read_to_end().await?.0, b"");
    Ok(())
}

/// A client that is still sending can read the 400, as any last response.
#[tokio::test]
async fn a_client_that_keeps_sending_can_read_its_400() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, _app) = stage.pair().await?;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\nContent-Length: 900001\r\n\r\n").await?;
    send_long_body(&mut client).await?;
    refused(&mut client, &[400]).await
}

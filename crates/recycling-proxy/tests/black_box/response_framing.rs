//! Responses with ambiguous framing: the client gets 502 and a close if nothing was forwarded yet, and otherwise a
//! response that it can recognise as incomplete.

use settings::ProxyOption;
use test_support::{Cases, Failure, TestResult, ensure};

use crate::framing::{BAD_LENGTHS, BAD_LINES};
use crate::refusal::{BadBody, bad_bodies, refused, send_long_body};
use crate::stage::{GET, OK, Stage, UNREACHED, close, exchange};

/// Checks that the client gets the proxy's 502 and no byte of the app's `response`.
async fn becomes_502(stage: &Stage, response: &[u8]) -> TestResult {
    for earlier in [0, 1] {
        let (mut client, mut app) = stage.pair().await?;
        for _ in 0..earlier {
            exchange(&mut client, &mut app).await?;
        }
        client.send(GET).await?;
        app.expect(GET).await?;
        app.send(response).await?;
        let outcome = refused(&mut client, &[502]).await;
        outcome.map_err(|failure| failure.during(format!("after {earlier} requests")))?;
        app.read_to_end().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_response_with_ambiguous_framing_fields_becomes_502() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut cases = Cases::default();
    for (name, fields) in BAD_LENGTHS.iter().chain(BAD_LINES) {
        let response = [b"HTTP/1.1 200 OK\r\n", *fields, b"\r\n0\r\n\r\n", OK.as_bytes()].concat();
        cases.note(name, becomes_502(&stage, &response).await);
    }
    stage.still_serves().await?;
    cases.verdict()
}

/// RFC 9112 §5.1 requires this of a proxy.
#[tokio::test]
async fn space_before_a_colon_is_removed_from_a_response() -> TestResult {
    let mut cases = Cases::default();
    for (limit, announcement) in [(1, "Connection: close\r\n"), (UNREACHED, "")] {
        let stage = Stage::with_limit(limit).await?;
        for space in [" ", "\t", " \t  "] {
            let outcome = async {
                let (mut client, mut app) = stage.pair().await?;
                client.send(GET).await?;
                app.expect(GET).await?;
                app.send(format!("HTTP/1.1 200 a : b\r\nX{space}: y : z\r\nContent-Length{space}: 2\r\n\r\nok"))
                    .await?;
                client
                    .expect(format!("HTTP/1.1 200 a : b\r\nX: y : z\r\nContent-Length: 2\r\n{announcement}\r\nok"))
                    .await?;
                TestResult::Ok(())
            };
            cases.note(format!("limit {limit}, {space:?}"), outcome.await);
        }
    }
    let stage = Stage::with_limit(UNREACHED).await?;
    for fields in
        ["Content-Length : 3\r\nContent-Length: 4\r\n", "Content-Length: 3\r\nTransfer-Encoding : chunked\r\n"]
    {
        let response = format!("HTTP/1.1 200 OK\r\n{fields}\r\n0\r\n\r\n");
        cases.note(fields.escape_default(), becomes_502(&stage, response.as_bytes()).await);
    }
    cases.verdict()
}

#[tokio::test]
async fn a_response_with_an_ambiguous_head_becomes_502() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut cases = Cases::default();
    let heads: &[(&str, &[u8])] = &[
        ("no status", b"HTTP/1.1 OK\r\n\r\n"),
        ("status of two digits", b"HTTP/1.1 20 OK\r\n\r\n"),
        ("status of four digits", b"HTTP/1.1 2000 OK\r\n\r\n"),
        ("status with a letter", b"HTTP/1.1 20x OK\r\n\r\n"),
        ("status below 100", b"HTTP/1.1 099 OK\r\n\r\n"),
        ("another protocol", b"HTTP/2.0 200 OK\r\n\r\n"),
        ("another case", b"http/1.1 200 OK\r\n\r\n"),
        ("no HTTP at all", b"hello, this is something else\r\n\r\n"),
        ("a request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("coding in HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("bare LF after the status line", b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
        ("bare LF everywhere", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
        ("bare LF as the last line", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"),
        ("bare CR in the reason", b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n"),
        ("NUL in the reason", b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n"),
        ("two CRs as the last line", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\r\n"),
    ];
    for (name, head) in heads {
        cases.note(name, becomes_502(&stage, head).await);
    }
    cases.verdict()
}

#[tokio::test]
async fn a_malformed_chunked_response_ends_the_connection() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut cases = Cases::default();
    for body in bad_bodies() {
        cases.note(&body.name, truncated_within(&stage, &body).await);
    }
    cases.verdict()
}

/// Checks that the client gets an incomplete message that it can recognise as such.
async fn truncated_within(stage: &Stage, body: &BadBody) -> TestResult {
    let (mut client, mut app) = stage.pair().await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let good = [head.as_bytes(), &body.good].concat();
    if body.is_split {
        app.send(&good).await?;
        // The proxy may have reset the connection already if the first part is too long.
        let _ = app.send_in_pieces([&b""[..], &body.bad]).await;
    } else {
        app.send([good.as_slice(), &body.bad].concat()).await?;
    }
    let (seen, _) = client.read_to_end().await?;
    // If nothing was forwarded yet, the client may get 502.
    if !seen.starts_with(b"HTTP/1.1 502 ") {
        ensure!(good.starts_with(&seen), "the client saw {:?}", seen.escape_ascii().to_string());
    }
    app.read_to_end().await?;
    Ok(())
}

#[tokio::test]
async fn response_heads_up_to_the_limit_pass() -> TestResult {
    let head_of = |length: usize| {
        let (start, end) = ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ", "\r\n\r\n");
        format!("{start}{}{end}", "x".repeat(length - start.len() - end.len())).into_bytes()
    };
    let stage = Stage::with(&[(ProxyOption::HeadLimit, "2Ki")]).await?;
    for length in [2047, 2048] {
        let (mut client, mut app) = stage.pair().await?;
        client.send(GET).await?;
        app.expect(GET).await?;
        app.send(head_of(length)).await?;
        client.expect(head_of(length)).await?;
        close(client, app).await?;
    }
    becomes_502(&stage, &head_of(2049)).await?;
    // Also without its end: the proxy does not wait for it.
    becomes_502(&stage, &head_of(5000)[..4000]).await
}

/// The app sends more bytes than its response has.
#[tokio::test]
async fn bytes_after_a_response_never_reach_the_client() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut cases = Cases::default();
    let head = "HEAD /a HTTP/1.1\r\nHost: app\r\n\r\n";
    for (name, request, response, surplus) in [
        ("longer than its length", GET, OK, "!"),
        ("a second response", GET, OK, OK),
        ("body of a HEAD", head, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok"),
        ("body of a 204", GET, "HTTP/1.1 204 No Content\r\n\r\n", "ok"),
        ("body of a 204 with a length", GET, "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", "ok"),
        ("body of a 304", GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "ok"),
        ("after the last chunk", GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
    ] {
        let outcome = async {
            let (mut client, mut app) = stage.pair().await?;
            client.send(request).await?;
            app.expect(request).await?;
            app.send(format!("{response}{surplus}")).await?;
            let (seen, _) = client.read_to_end().await?;
            let is_502 = seen.starts_with(b"HTTP/1.1 502 ");
            if !is_502 && seen != response.as_bytes() {
                return Err(Failure::new(seen.escape_ascii()));
            }
            app.read_to_end().await?;
            Ok(())
        };
        cases.note(name, outcome.await);
    }
    cases.verdict()
}

/// A client that is still sending can read the 502, as any last response.
#[tokio::test]
async fn a_client_that_keeps_sending_can_read_its_502() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n";
    client.send(head).await?;
    app.expect(head).await?;
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n").await?;
    send_long_body(&mut client).await?;
    refused(&mut client, &[502]).await
}

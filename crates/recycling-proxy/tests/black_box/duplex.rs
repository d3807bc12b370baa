//! Request and response of an exchange run at the same time, and end in any order.

use test_support::{Cases, End, Peer, TestResult, ensure, ensure_eq};

use crate::stage::{GET, OK, Stage, UNREACHED, close, exchange, last_exchange, last_response};

#[tokio::test]
async fn a_response_may_complete_before_the_body_of_its_request() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    let half = vec![b'b'; 500_000];
    client.send(head).await?;
    app.expect(head).await?;
    tokio::try_join!(client.send(&half), app.expect(&half))?;
    app.send(OK).await?;
    client.expect(OK).await?;
    tokio::try_join!(client.send(&half), app.expect(&half))?;
    exchange(&mut client, &mut app).await?;
    close(client, app).await
}

/// Bytes after an early response are still the request's body, even if they look like a request.
#[tokio::test]
async fn a_body_that_looks_like_requests_is_a_body() -> TestResult {
    let stage = Stage::with_limit(2).await?;
    let (mut client, mut app) = stage.pair().await?;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", GET.len() * 3);
    client.send(&head).await?;
    app.expect(&head).await?;
    app.send(OK).await?;
    client.expect(OK).await?;
    client.send(GET.repeat(3)).await?;
    app.expect(GET.repeat(3)).await?;
    // If a part of the body had been counted as a request, this response would be announced.
    last_exchange(&mut client, &mut app).await
}

#[tokio::test]
async fn the_request_body_arrives_whole_after_an_early_announcement() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = stage.pair().await?;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head).await?;
    app.expect(head).await?;
    app.send(OK).await?;
    ensure!(client.read_head().await?.announces_close());
    client.expect("ok").await?;
    for piece in ["3\r\nabc\r\n", "1;e\r\nd\r\n", "0\r\nX: y\r\n\r\n"] {
        client.send(piece).await?;
        app.expect(piece).await?;
    }
    client.expect_end(End::Fin).await?;
    app.expect_end(End::Fin).await?;
    Ok(())
}

/// Messages go back and forth within one exchange: bidirectional streaming over HTTP/1.1.
#[tokio::test]
async fn both_bodies_are_streamed_at_the_same_time() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = stage.pair().await?;
    let head = "POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head).await?;
    app.expect(head).await?;
    app.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    ensure!(client.read_head().await?.announces_close());
    for n in 0..100 {
        let (question, answer) = (format!("4\r\n?{n:03}\r\n"), format!("5\r\n!!{n:03}\r\n"));
        client.send(&question).await?;
        app.expect(&question).await?;
        app.send(&answer).await?;
        client.expect(&answer).await?;
    }
    app.send("0\r\n\r\n").await?;
    client.expect("0\r\n\r\n").await?;
    client.send("0\r\n\r\n").await?;
    app.expect("0\r\n\r\n").await?;
    client.expect_end(End::Fin).await?;
    Ok(())
}

/// The app refuses a request body and closes. The client can read the response.
#[tokio::test]
async fn an_early_error_response_reaches_a_client_that_is_still_sending() -> TestResult {
    let mut cases = Cases::default();
    for limit in [1, UNREACHED] {
        let stage = Stage::with_limit(limit).await?;
        let outcome = async {
            let (mut client, mut app) = stage.pair().await?;
            let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n";
            client.send(head).await?;
            app.expect(head).await?;
            let refusal = "HTTP/1.1 413 Too Much\r\nConnection: close\r\nContent-Length: 4\r\n\r\nmuch";
            app.send(refusal).await?;
            app.half_close().await?;
            client.send(vec![b'b'; 100_000]).await?;
            client.expect(refusal).await?;
            client.expect_end(End::Fin).await?;
            TestResult::Ok(())
        };
        cases.note(format!("limit {limit}"), outcome.await);
    }
    cases.verdict()
}

/// Servers refuse a long body, send a FIN and read on (RFC 9112 §9.6). A client that reads only after it has sent
/// everything gets the response.
#[tokio::test]
async fn an_upload_goes_on_after_the_apps_fin() -> TestResult {
    let mut cases = Cases::default();
    for limit in [1, UNREACHED] {
        let stage = Stage::with_limit(limit).await?;
        for fields in ["Connection: close\r\nContent-Length: 4\r\n", "Content-Length: 4\r\n", "Connection: close\r\n"] {
            for chunked in [false, true] {
                let outcome = refused_upload(&stage, fields, chunked).await;
                cases.note(format!("limit {limit}, {fields:?}, chunked: {chunked}"), outcome);
            }
        }
    }
    cases.verdict()
}

async fn refused_upload(stage: &Stage, fields: &str, chunked: bool) -> TestResult {
    // More than the proxy drops of a client that sends after the end of its connection.
    let length: usize = 10_000_000;
    let (framing, mut body) = (format!("Content-Length: {length}"), vec![b'b'; length]);
    let framing = if chunked { "Transfer-Encoding: chunked".to_owned() } else { framing };
    if chunked {
        body.splice(0..0, format!("{length:x}\r\n").into_bytes());
        body.extend(b"\r\n0\r\n\r\n");
    }
    let (mut client, mut app) = stage.pair().await?;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
    client.send(&head).await?;
    app.expect(&head).await?;
    app.send(format!("HTTP/1.1 413 Content Too Large\r\n{fields}\r\nmuch")).await?;
    app.half_close().await?;
    tokio::try_join!(client.send(&body), app.expect(&body))?;
    ensure_eq!(client.read_head().await?.status(), Some(413));
    client.expect("much").await?;
    client.expect_end(End::Fin).await?;
    app.expect_end(End::Fin).await?;
    Ok(())
}

#[tokio::test]
async fn a_client_may_abort_an_upload_after_the_apps_fin() -> TestResult {
    let mut cases = Cases::default();
    let stage = Stage::with_limit(UNREACHED).await?;
    for status in ["401 Unauthorized", "417 Expectation Failed", "413 Content Too Large"] {
        for sent in ["", "bo"] {
            let outcome = async {
                let (mut client, mut app) = stage.pair().await?;
                client.send(EXPECTING).await?;
                app.expect(EXPECTING).await?;
                let refusal = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
                app.send(&refusal).await?;
                app.half_close().await?;
                client.expect(&refusal).await?;
                client.expect_end(End::Fin).await?;
                client.send(sent).await?;
                client.half_close().await?;
                // The response is truncated, and the client can tell.
                app.expect(sent).await?;
                app.expect_end(End::Fin).await?;
                TestResult::Ok(())
            };
            cases.note(format!("{status}, {sent:?} of the body"), outcome.await);
        }
    }
    stage.still_serves().await?;
    cases.verdict()
}

const EXPECTING: &str = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

/// The client sends a head that expects 100, and the app receives it.
async fn expecting(client: &mut Peer, app: &mut Peer) -> TestResult {
    client.send(EXPECTING).await?;
    app.expect(EXPECTING).await?;
    Ok(())
}

/// The client sends the body, and the app receives it.
async fn body(client: &mut Peer, app: &mut Peer) -> TestResult {
    client.send("body").await?;
    app.expect("body").await?;
    Ok(())
}

/// The app answers the head with 100, and then the client sends the body.
async fn continued(client: &mut Peer, app: &mut Peer) -> TestResult {
    expecting(client, app).await?;
    app.send(CONTINUE).await?;
    client.expect(CONTINUE).await?;
    body(client, app).await
}

/// The app sends its response, and the client receives it.
async fn response(client: &mut Peer, app: &mut Peer, response: &str) -> TestResult {
    app.send(response).await?;
    client.expect(response).await?;
    Ok(())
}

#[tokio::test]
async fn expect_100_continue_is_answered_by_100() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    for _ in 0..2 {
        continued(&mut client, &mut app).await?;
        response(&mut client, &mut app, OK).await?;
    }
    close(client, app).await
}

#[tokio::test]
async fn expect_100_continue_is_answered_by_100_at_the_limit() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = stage.pair().await?;
    continued(&mut client, &mut app).await?;
    last_response(&mut client, &mut app).await
}

/// Without a response the client sends the body after a while (RFC 9110 §10.1.1).
#[tokio::test]
async fn expect_100_continue_is_never_answered_and_the_body_passes() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    expecting(&mut client, &mut app).await?;
    body(&mut client, &mut app).await?;
    response(&mut client, &mut app, OK).await?;
    close(client, app).await
}

#[tokio::test]
async fn expect_100_continue_is_refused_and_the_body_is_not_sent() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    expecting(&mut client, &mut app).await?;
    response(&mut client, &mut app, "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n").await?;
    // The client will not send the body, so it cannot reuse the connection and closes it.
    client.half_close().await?;
    // An incomplete request may end by FIN or reset. It must not be completed with other bytes.
    ensure_eq!(app.read_to_end().await?.0, b"");
    drop(app);
    client.expect_end(End::Fin).await?;
    Ok(())
}

#[tokio::test]
async fn expect_100_continue_is_answered_early_and_the_body_passes() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    expecting(&mut client, &mut app).await?;
    response(&mut client, &mut app, OK).await?;
    body(&mut client, &mut app).await?;
    exchange(&mut client, &mut app).await?;
    close(client, app).await
}

#[tokio::test]
async fn a_half_closed_client_gets_its_response() -> TestResult {
    let mut cases = Cases::default();
    for limit in [1, UNREACHED] {
        let stage = Stage::with_limit(limit).await?;
        let outcome = async {
            let (mut client, mut app) = stage.pair().await?;
            client.send(GET).await?;
            client.half_close().await?;
            app.expect(GET).await?;
            app.expect_end(End::Fin).await?;
            let body = vec![b'b'; 1_000_000];
            app.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await?;
            ensure_eq!(client.read_head().await?.status(), Some(200));
            tokio::try_join!(app.send(&body), client.expect(&body))?;
            drop(app);
            client.expect_end(End::Fin).await?;
            TestResult::Ok(())
        };
        cases.note(format!("limit {limit}"), outcome.await);
    }
    cases.verdict()
}

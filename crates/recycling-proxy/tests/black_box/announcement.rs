//! The one edit of responses: `Connection: close` in the last one. Nothing else changes.

use std::collections::BTreeSet;

use settings::ProxyOption;
use test_support::{Cases, End, Head, Peer, TestResult, ensure, ensure_eq};

use crate::exchange::{Ends, Exchange, long, short};
use crate::stage::{GET, Stage};

/// Fields that the announcement may touch.
const EDITED: [&str; 2] = ["connection", "keep-alive"];

/// Checks that `seen` is `original` with the announcement and no other difference.
fn is_announcement_of(original: &Head, seen: &Head) -> TestResult {
    let tokens = |head: &Head| head.tokens("connection").into_iter().collect::<BTreeSet<_>>();
    let mut expected = tokens(original);
    expected.remove("keep-alive");
    expected.insert("close".to_owned());
    ensure_eq!(tokens(seen), expected);
    ensure!(!seen.has("keep-alive"));
    ensure_eq!(seen.lines_without(&EDITED), original.lines_without(&EDITED));
    let closes = seen.tokens("connection").iter().filter(|token| *token == "close").count();
    ensure_eq!(closes, 1);
    Ok(())
}

/// Reads the head `original` with the announcement in it. A head that has `Connection: close` already passes unchanged.
async fn announced(client: &mut Peer, original: &[u8]) -> TestResult {
    let original = Head::parse(original).expect("the table has whole heads");
    let seen = client.read_head().await?;
    if original.announces_close() {
        ensure_eq!(seen, original);
    } else {
        is_announcement_of(&original, &seen)?;
    }
    Ok(())
}

#[tokio::test]
async fn connection_options_other_than_keep_alive_are_kept() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let mut cases = Cases::default();
    for fields in [
        "",
        "Server: x\r\n",
        "Connection: keep-alive\r\n",
        "Connection: Keep-Alive\r\nKeep-Alive: timeout=5, max=100\r\n",
        "connection:keep-alive\r\nKEEP-ALIVE:timeout=5\r\nkeep-alive: max=3\r\n",
        "Connection: keep-alive, X-Foo\r\nX-Foo: 1\r\n",
        "Connection: X-Foo, keep-alive\r\nX-Foo: 1\r\n",
        "Connection: X-Foo ,\tkeep-alive\t, X-Bar\r\nX-Foo: 1\r\nX-Bar: 2\r\n",
        "Connection: X-Foo\r\nX-Foo: 1\r\nConnection: keep-alive, X-Bar\r\nX-Bar: 2\r\n",
        "Connection: x-keep-alive\r\nX-Keep-Alive: keep-alive\r\n",
        "Connection:\r\n",
        "Connection: , ,\r\n",
        "Connection: close\r\n",
        "CONNECTION:\tCLOSE , X-Foo\r\nX-Foo: 1\r\n",
        "Connection: upgrade\r\nUpgrade: h2c\r\n",
        "X: Connection: keep-alive\r\nY: close\r\n",
    ] {
        for place in ["before", "after"] {
            let response = match place {
                "before" => format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\n"),
                _ => format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{fields}\r\n"),
            };
            cases.note(format!("{fields:?} {place} the length"), at_limit(&stage, &response).await);
        }
    }
    cases.verdict()
}

async fn at_limit(stage: &Stage, head: &str) -> TestResult {
    let (mut client, mut app) = stage.pair().await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    app.send(format!("{head}ok")).await?;
    announced(&mut client, head.as_bytes()).await?;
    client.expect("ok").await?;
    client.half_close().await?;
    app.half_close().await?;
    client.expect_end(End::Fin).await?;
    app.expect_end(End::Fin).await?;
    Ok(())
}

/// Every kind of exchange at a limit of 1: the request verbatim, the final head announced, the body verbatim.
#[tokio::test]
async fn every_kind_of_exchange_can_be_announced_as_the_last() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let mut cases = Cases::default();
    for exchange in short().into_iter().chain(long()) {
        let outcome = async {
            let (mut client, mut app) = stage.pair().await?;
            tokio::try_join!(client.send(&exchange.request), app.expect(&exchange.request))?;
            let answering = async {
                app.send(&exchange.response).await?;
                if exchange.ends == Ends::ByApp {
                    app.half_close().await?;
                }
                TestResult::Ok(())
            };
            let (answered, read) = tokio::join!(answering, last_response(&exchange, &mut client));
            answered?;
            read?;
            client.half_close().await?;
            app.expect_end(End::Fin).await?;
            TestResult::Ok(())
        };
        cases.note(&exchange.name, outcome.await);
    }
    cases.verdict()
}

/// Reads the response of `exchange` to its end.
async fn last_response(exchange: &Exchange, client: &mut Peer) -> TestResult {
    let (interim, head, body) = parts(&exchange.response);
    client.expect(interim).await?;
    if exchange.ends == Ends::ByApp {
        // The end of the connection ends the response, so that the announcement is optional.
        let seen = client.read_head().await?;
        let original = Head::parse(head).expect("the table has whole heads");
        ensure_eq!(seen.lines_without(&EDITED), original.lines_without(&EDITED));
    } else {
        announced(client, head).await?;
    }
    client.expect(body).await?;
    client.expect_end(End::Fin).await?;
    Ok(())
}

/// Splits a response into its interim responses, its final head and its body.
fn parts(response: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let mut start = 0;
    loop {
        let length = response[start..].windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head") + 4;
        let interim = response[start..].get(9..10) == Some(b"1");
        if !interim {
            let (before, rest) = response.split_at(start);
            let (head, body) = rest.split_at(length);
            return (before, head, body);
        }
        start += length;
    }
}

#[tokio::test]
async fn close_is_announced_to_an_http_1_0_client_with_keep_alive() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = stage.pair().await?;
    let request = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    client.send(request).await?;
    app.expect(request).await?;
    let head = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=9\r\nContent-Length: 2\r\n\r\n";
    app.send(format!("{head}ok")).await?;
    announced(&mut client, head.as_bytes()).await?;
    client.expect("ok").await?;
    client.expect_end(End::Fin).await?;
    Ok(())
}

/// The announcement makes the head longer than the limit. It must still fit into the buffer.
#[tokio::test]
async fn close_is_announced_in_a_head_at_the_limit() -> TestResult {
    for (setting, limit) in [("1Ki", 1024), ("128Ki", 128 * 1024)] {
        let stage = Stage::with(&[(ProxyOption::MaxRequests, "1"), (ProxyOption::HeadLimit, setting)]).await?;
        let (start, end) = ("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nX: ", "\r\n\r\n");
        let head = format!("{start}{}{end}", "x".repeat(limit - start.len() - end.len()));
        let (mut client, mut app) = stage.pair().await?;
        client.send(GET).await?;
        app.expect(GET).await?;
        let body = vec![b'b'; 100_000];
        let reading = async {
            announced(&mut client, head.as_bytes()).await?;
            client.expect(&body).await?;
            client.expect_end(End::Fin).await?;
            TestResult::Ok(())
        };
        let message = [head.as_bytes(), &body].concat();
        let (sent, read) = tokio::join!(app.send(&message), reading);
        sent?;
        read?;
    }
    Ok(())
}

//! Pipelined requests: the proxy forwards one exchange at a time, in order, and loses none. The last response announces
//! close.

use std::time::Duration;

use test_support::{Cases, End, Head, Peer, Responder, TestResult, answer_everything_with, ensure, ensure_eq};

use crate::stage::{Stage, UNREACHED, close};

fn request(n: usize) -> String {
    match n % 3 {
        0 => format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n"),
        1 => format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"),
        _ => format!("PUT /{n} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
    }
}

fn body(n: usize) -> String {
    format!("answer {n}")
}

fn response(n: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body(n).len(), body(n))
}

/// Plays the app's part of `count` exchanges, strictly one after the other.
async fn serve(app: &mut Peer, count: usize) -> TestResult {
    for n in 0..count {
        app.expect(request(n)).await?;
        app.send(response(n)).await?;
    }
    Ok(())
}

/// Reads `count` responses. Returns which of them announce close.
async fn read(client: &mut Peer, count: usize) -> TestResult<Vec<usize>> {
    let mut announced = Vec::new();
    for n in 0..count {
        let head = client.read_head().await?;
        ensure_eq!(head.status(), Some(200), "answer {n}");
        if head.announces_close() {
            announced.push(n);
        }
        client.expect(body(n)).await?;
    }
    Ok(announced)
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send((0..50).map(request).collect::<String>()).await?;
    let ((), announced) = tokio::try_join!(serve(&mut app, 50), read(&mut client, 50))?;
    ensure_eq!(announced, [0; 0]);
    close(client, app).await
}

/// Far more requests than any buffer holds: the rest waits in the sockets.
#[tokio::test]
async fn every_request_of_a_long_pipeline_is_answered() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    let upload = format!("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n{}", "b".repeat(40_000));
    let all = upload.repeat(300);
    let (client_reader, client_writer) = client.split();
    let (app_reader, app_writer) = app.split();
    let serving = async {
        for n in 0..300 {
            app_reader.expect(&upload).await?;
            app_writer.send(response(n)).await?;
        }
        Ok(())
    };
    let reading = async {
        for n in 0..300 {
            client_reader.expect(response(n)).await?;
        }
        Ok(())
    };
    tokio::try_join!(client_writer.send(&all), serving, reading)?;
    close(client, app).await
}

#[tokio::test]
async fn a_pipelined_request_waits_for_the_response_before_it() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send([request(0), request(1)].concat()).await?;
    app.expect(request(0)).await?;
    app.expect_silence(Duration::from_millis(100)).await?;
    app.send(response(0)).await?;
    app.expect(request(1)).await?;
    app.send(response(1)).await?;
    client.expect([response(0), response(1)].concat()).await?;
    close(client, app).await
}

/// Requests that the client had sent by the last response are served on the same connection.
#[tokio::test]
async fn no_pipelined_request_is_lost_at_the_limit() -> TestResult {
    let mut cases = Cases::default();
    for limit in [1, 2, 10] {
        let stage = Stage::with_limit(limit).await?;
        for count in [1, 2, 5, 10, 16] {
            let outcome = pipelined(&stage, usize::try_from(limit)?, count).await;
            cases.note(format!("{count} requests at limit {limit}"), outcome);
        }
    }
    cases.verdict()
}

async fn pipelined(stage: &Stage, limit: usize, count: usize) -> TestResult {
    let (mut client, mut app) = stage.pair().await?;
    client.send((0..count).map(request).collect::<String>()).await?;
    let ((), announced) = tokio::try_join!(serve(&mut app, count), read(&mut client, count))?;
    if count < limit {
        ensure_eq!(announced, [0; 0]);
        return close(client, app).await;
    }
    ensure_eq!(announced, [count - 1]);
    client.expect_end(End::Fin).await?;
    app.expect_end(End::Fin).await?;
    Ok(())
}

/// A request that arrives while another one is being served is pipelined, too.
#[tokio::test]
async fn a_request_sent_before_the_last_response_is_not_lost() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send(request(0)).await?;
    app.expect(request(0)).await?;
    client.send(request(1)).await?;
    app.send(response(0)).await?;
    ensure!(!client.read_head().await?.announces_close());
    client.expect(body(0)).await?;
    app.expect(request(1)).await?;
    app.send(response(1)).await?;
    ensure!(client.read_head().await?.announces_close());
    client.expect(body(1)).await?;
    client.expect_end(End::Fin).await?;
    Ok(())
}

/// A client that sends its requests and its FIN at once still gets every response.
#[tokio::test]
async fn a_half_closed_pipelining_client_gets_every_response() -> TestResult {
    let mut cases = Cases::default();
    for limit in [1, 2, UNREACHED] {
        let stage = Stage::with_limit(limit).await?;
        let outcome = async {
            let (mut client, mut app) = stage.pair().await?;
            client.send((0..5).map(request).collect::<String>()).await?;
            client.half_close().await?;
            tokio::try_join!(serve(&mut app, 5), read(&mut client, 5))?;
            app.expect_end(End::Fin).await?;
            drop(app);
            client.expect_end(End::Fin).await?;
            TestResult::Ok(())
        };
        cases.note(format!("limit {limit}"), outcome.await);
    }
    cases.verdict()
}

/// The wait for the last pipelined request is bounded: a client that always has another request in flight is retired,
/// too.
#[tokio::test]
async fn a_client_that_pipelines_endlessly_is_retired() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = stage.pair().await?;
    let (mut sent, mut answered) = (0, 0);
    client.send([request(0), request(1)].concat()).await?;
    sent += 2;
    loop {
        app.expect(request(answered)).await?;
        // Always one more request in the buffer than was answered.
        client.send(request(sent)).await?;
        sent += 1;
        app.send(response(answered)).await?;
        let head = client.read_head().await?;
        client.expect(body(answered)).await?;
        answered += 1;
        if head.announces_close() {
            break;
        }
        ensure!(answered < 100_000, "never retired");
    }
    client.expect_end(End::Fin).await?;
    app.expect_end(End::Fin).await?;
    Ok(())
}

/// A client that always has requests in flight retries those without a response on its next connection. Each is served
/// once, because requests after the announcement never reach the app.
#[tokio::test]
async fn every_request_of_a_client_that_keeps_pipelining_is_served_once() -> TestResult {
    let mut cases = Cases::default();
    for limit in [1, 2, 10] {
        for depth in [2, 5] {
            cases.note(format!("limit {limit}, depth {depth}"), sliding(limit, depth).await);
        }
    }
    cases.verdict()
}

async fn sliding(limit: u32, depth: usize) -> TestResult {
    const REQUESTS: usize = 400;
    let Stage { proxy, app, app_host: _host } = Stage::with_limit(limit).await?;
    let responder = Responder::start(app, answer_everything_with("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    let get = |n: usize| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut answered = 0;
    while answered < REQUESTS {
        let mut client = proxy.connect().await?;
        let mut sent = REQUESTS.min(answered + depth);
        client.send((answered..sent).map(get).collect::<String>()).await?;
        loop {
            let last = client.read_head().await?.announces_close();
            client.expect("ok").await?;
            answered += 1;
            if last {
                client.expect_end(End::Fin).await?;
                break;
            }
            if answered == REQUESTS {
                break;
            }
            if sent < REQUESTS {
                client.send(get(sent)).await?;
                sent += 1;
            }
        }
    }
    let connections = responder.connections();
    ensure!(connections.len() > 1, "nothing was recycled");
    let served: Vec<String> = connections.iter().flatten().map(Head::start_line).collect();
    let sent_once: Vec<String> = (0..REQUESTS).map(|n| format!("GET /{n} HTTP/1.1")).collect();
    ensure_eq!(served, sent_once);
    Ok(())
}

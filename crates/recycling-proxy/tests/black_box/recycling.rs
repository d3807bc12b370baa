//! A connection is retired with exactly the request that reaches its limit.

use std::collections::BTreeSet;
use std::time::Duration;

use settings::ProxyOption;
use test_support::{Cases, End, Failure, Peer, Responder, TestResult, answer_everything_with, ensure, ensure_eq};
use tokio::time::{Instant, sleep};

use crate::stage::{GET, OK, Stage, UNREACHED, close, exchange, last_exchange};

/// Plays exchanges until a response announces close. Returns their number.
async fn requests_until_announced(client: &mut Peer, at_most: u32) -> TestResult<u32> {
    for request in 1..=at_most {
        client.send(GET).await?;
        let head = client.read_head().await?;
        client.expect("ok").await?;
        if head.announces_close() {
            return Ok(request);
        }
    }
    Ok(at_most + 1)
}

#[tokio::test]
async fn close_is_announced_in_exactly_the_nth_response() -> TestResult {
    let mut cases = Cases::default();
    for limit in [1, 2, 10] {
        cases.note(format!("limit {limit}"), nth_response(limit).await);
    }
    cases.verdict()
}

async fn nth_response(limit: u32) -> TestResult {
    let stage = Stage::with_limit(limit).await?;
    for _connection in 0..3 {
        let (mut client, mut app) = stage.pair().await?;
        for _ in 1..limit {
            // `exchange` fails on any change of the response, so no earlier one announces close.
            exchange(&mut client, &mut app).await?;
        }
        last_exchange(&mut client, &mut app).await?;
        app.expect_end(End::Fin).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_connection_below_its_limit_is_kept_open() -> TestResult {
    let stage = Stage::with_limit(10).await?;
    let (mut client, mut app) = stage.pair().await?;
    for _ in 0..9 {
        exchange(&mut client, &mut app).await?;
    }
    close(client, app).await
}

/// The client sends another request before it has read the announcement. The app must not receive it.
#[tokio::test]
async fn a_request_after_the_announcement_never_reaches_the_app() -> TestResult {
    let mut cases = Cases::default();
    for limit in [1, 2, 10] {
        cases.note(format!("limit {limit}"), one_too_many(limit).await);
    }
    cases.verdict()
}

async fn one_too_many(limit: u32) -> TestResult {
    let stage = Stage::with_limit(limit).await?;
    let (mut client, mut app) = stage.pair().await?;
    for _ in 1..limit {
        exchange(&mut client, &mut app).await?;
    }
    client.send(GET).await?;
    app.expect(GET).await?;
    app.send(OK).await?;
    ensure!(client.read_head().await?.announces_close());
    client.send(GET).await?;
    client.expect("ok").await?;
    client.expect_end(End::Fin).await?;
    app.expect_end(End::Fin).await?;
    Ok(())
}

#[tokio::test]
async fn every_drawn_limit_lies_within_the_jitter() -> TestResult {
    for (jitter, lowest) in [("10%", 18), ("50%", 10)] {
        let options = [(ProxyOption::MaxRequests, "20"), (ProxyOption::Jitter, jitter)];
        let Stage { proxy, app, app_host: _host } = Stage::with(&options).await?;
        let responder = Responder::start(app, answer_everything_with(OK));
        let mut drawn = BTreeSet::new();
        for _ in 0..40 {
            let mut client = proxy.connect().await?;
            drawn.insert(requests_until_announced(&mut client, 20).await?);
            client.expect_end(End::Fin).await?;
        }
        ensure!(drawn.iter().all(|limit| (lowest..=20).contains(limit)), "{jitter}: {drawn:?}");
        // With 3 possible values or more, the chance of forty equal limits is at most 1 in 10^18.
        ensure!(drawn.len() > 1, "{jitter}: {drawn:?}");
        ensure_eq!(responder.connections().len(), 40);
    }
    Ok(())
}

#[tokio::test]
async fn requests_are_counted_per_connection() -> TestResult {
    let Stage { proxy, app, app_host: _host } = Stage::with_limit(10).await?;
    let responder = Responder::start(app, answer_everything_with(OK));
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(proxy.connect().await?);
    }
    for request in 1..=10 {
        for client in &mut clients {
            client.send(GET).await?;
            ensure_eq!(client.read_head().await?.announces_close(), request == 10);
            client.expect("ok").await?;
        }
    }
    let counts: Vec<usize> = responder.connections().iter().map(Vec::len).collect();
    ensure_eq!(counts, [10; 8]);
    Ok(())
}

/// Interim responses and bodies do not count.
#[tokio::test]
async fn only_requests_count_towards_the_limit() -> TestResult {
    let stage = Stage::with_limit(2).await?;
    let (mut client, mut app) = stage.pair().await?;
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{}", GET.len() * 5, GET.repeat(5));
    client.send(&request).await?;
    app.expect(&request).await?;
    let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(5);
    app.send(format!("{interim}{OK}")).await?;
    client.expect(format!("{interim}{OK}")).await?;
    last_exchange(&mut client, &mut app).await
}

#[tokio::test]
async fn an_announcement_of_the_app_ends_the_connection_before_the_limit() -> TestResult {
    let stage = Stage::with_limit(10).await?;
    for request_count in [1, 3, 9] {
        let (mut client, mut app) = stage.pair().await?;
        for _ in 1..request_count {
            exchange(&mut client, &mut app).await?;
        }
        let last = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
        client.send(GET).await?;
        app.expect(GET).await?;
        app.send(last).await?;
        app.half_close().await?;
        client.expect(last).await?;
        client.expect_end(End::Fin).await?;
        client.half_close().await?;
        app.expect_end(End::Fin).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_announces_close_gets_its_response() -> TestResult {
    let stage = Stage::with_limit(10).await?;
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    let last = "GET /a HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n";
    client.send(last).await?;
    app.expect(last).await?;
    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    app.send(answer).await?;
    app.half_close().await?;
    client.expect(answer).await?;
    client.expect_end(End::Fin).await?;
    Ok(())
}

#[tokio::test]
async fn max_age_retires_with_the_first_response_after_it() -> TestResult {
    let unreached = UNREACHED.to_string();
    let stage = Stage::with(&[(ProxyOption::MaxRequests, &unreached), (ProxyOption::MaxAge, "1h")]).await?;
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    close(client, app).await?;

    let stage = Stage::with(&[(ProxyOption::MaxRequests, &unreached), (ProxyOption::MaxAge, "1ms")]).await?;
    let (mut client, mut app) = stage.pair().await?;
    // The connection is past its age and still open: only a response retires it.
    client.expect_silence(std::time::Duration::from_millis(300)).await?;
    last_exchange(&mut client, &mut app).await
}

/// Returns whether the response to one more request announces close.
async fn announced(client: &mut Peer) -> TestResult<bool> {
    client.send(GET).await?;
    let announced = client.read_head().await?.announces_close();
    client.expect("ok").await?;
    Ok(announced)
}

/// Connections that were opened together are not retired together: each draws its own age from the upper half of the
/// range.
#[tokio::test]
async fn every_drawn_age_lies_within_the_jitter() -> TestResult {
    // On a machine that stalls for as long as the range of ages, all connections end in the same round.
    for _ in 0..5 {
        if rounds_in_which_ages_end().await? > 1 {
            return Ok(());
        }
    }
    Err(Failure::new("all connections ended in the same round"))
}

/// Opens connections together, and sends requests in rounds. Returns in how many of the rounds connections are retired.
async fn rounds_in_which_ages_end() -> TestResult<usize> {
    const OLDEST: Duration = Duration::from_secs(4);
    const YOUNGEST: Duration = Duration::from_secs(2);
    let options = [(ProxyOption::MaxAge, "4s"), (ProxyOption::Jitter, "50%")];
    let Stage { proxy, app, app_host: _host } = Stage::with(&options).await?;
    let _responder = Responder::start(app, answer_everything_with(OK));
    let mut clients = Vec::new();
    for _ in 0..40 {
        let before = Instant::now();
        let mut client = proxy.connect().await?;
        if announced(&mut client).await? {
            ensure!(before.elapsed() > YOUNGEST, "after {:?}", before.elapsed());
            continue;
        }
        // The connection's age in the proxy lies between these two times.
        clients.push((before, Instant::now(), client));
    }
    let mut rounds = BTreeSet::new();
    for round in 0.. {
        let mut kept = Vec::new();
        for (before, after, mut client) in clients {
            let is_too_old = after.elapsed() > OLDEST;
            if announced(&mut client).await? {
                ensure!(before.elapsed() > YOUNGEST, "after {:?}", before.elapsed());
                rounds.insert(round);
            } else {
                ensure!(!is_too_old, "not yet after {:?}", after.elapsed());
                kept.push((before, after, client));
            }
        }
        clients = kept;
        if clients.is_empty() {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(rounds.len())
}

/// Clients use a connection until it is retired, and then open the next. Every request is answered once.
#[tokio::test]
async fn clients_lose_no_request_at_any_limit() -> TestResult {
    let mut cases = Cases::default();
    for limit in [1, 2, 10] {
        cases.note(format!("limit {limit}"), many_clients(limit, 8, 100).await);
    }
    cases.verdict()
}

async fn many_clients(limit: u32, clients: usize, requests: usize) -> TestResult {
    let Stage { proxy, app, app_host: _host } = Stage::with_limit(limit).await?;
    let responder = Responder::start(app, answer_everything_with(OK));
    let address = proxy.address();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..clients {
        running.spawn(async move {
            let mut client = Peer::connect(address).await?;
            for _ in 0..requests {
                client.send(GET).await?;
                let head = client.read_head().await?;
                ensure_eq!(head.status(), Some(200));
                client.expect("ok").await?;
                if head.announces_close() {
                    client = Peer::connect(address).await?;
                }
            }
            TestResult::Ok(())
        });
    }
    while let Some(client) = running.join_next().await {
        client??;
    }
    ensure_eq!(responder.requests(), clients * requests);
    let longest = responder.connections().iter().map(Vec::len).max();
    ensure_eq!(longest, Some(usize::try_from(limit)?));
    Ok(())
}

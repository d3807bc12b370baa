//! Exchanges that end early are counted and logged, by the side that ended them and by phase.

use std::collections::BTreeMap;
use std::time::Duration;

use settings::ProxyOption;
use test_support::{Cases, Peer, RecyclingProxy, TestResult, ensure, ensure_eq};
use tokio::time::{Instant, sleep};

use crate::http2_stage::{HEADERS, RST_STREAM, STATUS, frame, open, request};
use crate::metrics::sum;
use crate::stage::{GET, OK, Stage, UNREACHED, close, exchange};

const METRIC: &str = "evenkeel_proxy_exchanges_broken_total{";
const UPLOAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
const CHUNKED_UPLOAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nha";
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// What ends the exchange.
#[derive(Clone, Copy)]
enum Event {
    AppCloses,
    AppResets,
    AppSends(&'static str),
    ClientResets,
    ClientSends(&'static str),
    /// The client half-closes, and then the app closes.
    ClientHalfCloses,
}

/// Returns the samples that are not zero, by their labels.
async fn broken(proxy: &RecyclingProxy) -> TestResult<BTreeMap<String, u64>> {
    let (_, text) = proxy.admin("/metrics").await?;
    let samples = text.lines().filter_map(|line| line.strip_prefix(METRIC)?.split_once("} "));
    let counts = samples.map(|(labels, value)| Ok((labels.to_owned(), value.parse()?)));
    let counts: BTreeMap<String, u64> = counts.collect::<TestResult<_>>()?;
    Ok(counts.into_iter().filter(|(_, count)| *count > 0).collect())
}

/// Waits until one more broken exchange is counted than `before`, and checks its labels.
async fn one_more(proxy: &RecyclingProxy, before: &BTreeMap<String, u64>, side: &str, phase: &str) -> TestResult {
    let mut expected = before.clone();
    *expected.entry(format!("side=\"{side}\",phase=\"{phase}\",port=\"8080\"")).or_default() += 1;
    let begun = Instant::now();
    while broken(proxy).await? == *before {
        ensure!(begun.elapsed() < test_support::TIMEOUT, "nothing is counted");
        sleep(Duration::from_millis(10)).await;
    }
    ensure_eq!(broken(proxy).await?, expected);
    Ok(())
}

async fn play(event: Event, mut client: Peer, mut app: Peer) -> TestResult<(Option<Peer>, Option<Peer>)> {
    Ok(match event {
        Event::AppCloses => {
            drop(app);
            (Some(client), None)
        }
        Event::AppResets => {
            app.reset()?;
            (Some(client), None)
        }
        Event::AppSends(bytes) => {
            app.send(bytes).await?;
            (Some(client), Some(app))
        }
        Event::ClientResets => {
            client.reset()?;
            (None, Some(app))
        }
        Event::ClientSends(bytes) => {
            client.send(bytes).await?;
            (Some(client), Some(app))
        }
        Event::ClientHalfCloses => {
            client.half_close().await?;
            app.expect_end(test_support::End::Fin).await?;
            drop(app);
            (Some(client), None)
        }
    })
}

#[tokio::test]
async fn broken_exchanges_of_http1_are_counted_by_side_and_phase() -> TestResult {
    let mut cases = Cases::default();
    let stage = Stage::with_limit(UNREACHED).await?;
    for (name, request, response, event, side, phase) in [
        ("within Content-Length, FIN", GET, LENGTH, Event::AppCloses, "app", "response_body"),
        ("within Content-Length, reset", GET, LENGTH, Event::AppResets, "app", "response_body"),
        ("within a chunk, FIN", GET, CHUNKED, Event::AppCloses, "app", "response_body"),
        ("before the head, FIN", GET, "", Event::AppCloses, "app", "response_head"),
        ("before the head, reset", GET, "", Event::AppResets, "app", "response_head"),
        ("during the upload, reset", UPLOAD, "", Event::AppResets, "app", "request_body"),
        ("a bare LF", GET, "", Event::AppSends("HTTP/1.1 200 OK\n\n"), "app", "response_head"),
        ("upload, client resets", UPLOAD, "", Event::ClientResets, "client", "request_body"),
        ("upload, client half-closes", UPLOAD, "", Event::ClientHalfCloses, "client", "request_body"),
        ("client half-closes before the head", GET, "", Event::ClientHalfCloses, "client", "response_head"),
        ("download, client resets", GET, LENGTH, Event::ClientResets, "client", "response_body"),
        ("no chunk", CHUNKED_UPLOAD, "", Event::ClientSends("no size\r\n"), "client", "request_body"),
    ] {
        let case = async {
            let before = broken(&stage.proxy).await?;
            let (mut client, mut app) = stage.pair().await?;
            client.send(request).await?;
            app.expect(request).await?;
            app.send(response).await?;
            client.expect(response).await?;
            let _ends = play(event, client, app).await?;
            one_more(&stage.proxy, &before, side, phase).await
        };
        cases.note(name, case.await);
    }
    cases.verdict()
}

/// A tunnel that is reset, and streams of HTTP/2.
#[tokio::test]
async fn broken_tunnels_and_streams_are_counted_by_side() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    for (event, side) in [(Event::AppResets, "app"), (Event::ClientResets, "client")] {
        let before = broken(&stage.proxy).await?;
        let (mut client, mut app) = stage.pair().await?;
        client.send("\0").await?;
        app.expect("\0").await?;
        let _ends = play(event, client, app).await?;
        one_more(&stage.proxy, &before, side, "tunnel").await?;
    }
    let (mut client, mut app) = open(&stage).await?;
    let before = broken(&stage.proxy).await?;
    client.send(request(1)).await?;
    app.expect(request(1)).await?;
    client.send(frame(RST_STREAM, 0, 1, &CANCEL)).await?;
    one_more(&stage.proxy, &before, "client", "response_head").await?;

    let before = broken(&stage.proxy).await?;
    client.send(request(3)).await?;
    app.send([frame(HEADERS, 4, 3, STATUS), frame(RST_STREAM, 0, 3, &CANCEL)].concat()).await?;
    one_more(&stage.proxy, &before, "app", "response_body").await?;

    let before = broken(&stage.proxy).await?;
    // A request whose body has not ended.
    client.send(frame(HEADERS, 4, 5, crate::http2_stage::REQUEST)).await?;
    drop(app);
    one_more(&stage.proxy, &before, "app", "request_body").await
}

/// A complete exchange is not counted; nor is an early response, or the end of an idle connection.
#[tokio::test]
async fn complete_exchanges_are_not_counted_as_broken() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    close(client, app).await?;
    for event in [Event::AppCloses, Event::AppResets, Event::ClientResets] {
        let (mut client, mut app) = stage.pair().await?;
        exchange(&mut client, &mut app).await?;
        drop(play(event, client, app).await?);
    }
    let (mut client, mut app) = stage.pair().await?;
    client.send(UPLOAD).await?;
    app.expect(UPLOAD).await?;
    app.send(OK).await?;
    client.expect(OK).await?;
    drop(app);
    drop(client);
    let (mut client, mut app) = stage.pair().await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    app.send("HTTP/1.1 200 OK\r\n\r\nuntil the end").await?;
    drop(app);
    client.read_to_end().await?;
    drop(client);
    let begun = Instant::now();
    while sum(&stage.proxy, "evenkeel_proxy_connections_open{").await? > 0.0 {
        ensure!(begun.elapsed() < test_support::TIMEOUT, "connections are still open");
        sleep(Duration::from_millis(20)).await;
    }
    ensure_eq!(broken(&stage.proxy).await?, BTreeMap::new());
    Ok(())
}

/// The metric shows whether the proxy itself breaks exchanges on connections that it retires.
#[tokio::test]
async fn broken_retired_connections_are_counted_and_logged_with_the_side() -> TestResult {
    let options = [(ProxyOption::MaxRequests, "1"), (ProxyOption::LogLevel, "debug")];
    let mut stage = Stage::with(&options).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    app.send(LENGTH).await?;
    ensure!(client.read_head().await?.announces_close());
    drop(app);
    client.read_to_end().await?;
    one_more(&stage.proxy, &BTreeMap::new(), "app", "response_body").await?;
    for (side, count) in [("app", "1"), ("client", "0"), ("proxy", "0")] {
        let sample = format!("evenkeel_proxy_retired_exchanges_broken_total{{side=\"{side}\"}}");
        ensure_eq!(sum(&stage.proxy, &sample).await?.to_string(), count, "{side}");
    }
    stage.proxy.process().line_with("an exchange was broken off").await?;
    let output = stage.proxy.process().output();
    for (line, level) in [("an exchange was broken off", "DEBUG"), ("the app ends exchanges early", "WARN")] {
        let logged = output.lines().find(|logged| logged.contains(line));
        let parts = [level, "app_port=8080", "side=\"app\"", "phase=\"response_body\""];
        ensure!(logged.is_some_and(|logged| parts.iter().all(|part| logged.contains(part))), "{line}: {logged:?}");
    }
    Ok(())
}

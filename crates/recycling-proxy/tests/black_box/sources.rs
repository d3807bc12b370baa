//! Requests of probes and scrapes are counted separately: a pod without clients shows no request of a client.

use settings::ProxyOption;
use test_support::{End, Peer, TIMEOUT, TestResult, ensure, ensure_eq};
use tokio::time::{Instant, sleep};

use crate::http2_stage::{self as http2, open};
use crate::metrics::sum;
use crate::stage::{OK, Stage, close, exchange};

/// The address of test clients.
const NODE: &str = "127.0.0.1";

async fn get(stage: &Stage, agent: &str) -> TestResult<(Peer, Peer)> {
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nuser-agent: {agent}\r\n\r\n");
    let (mut client, mut app) = stage.pair().await?;
    client.send(&request).await?;
    app.expect(&request).await?;
    app.send(OK).await?;
    client.expect(OK).await?;
    Ok((client, app))
}

/// Waits until no connection is open, and checks the sums of these samples.
async fn compare(stage: &Stage, expected: &[(&str, u64)]) -> TestResult {
    let begun = Instant::now();
    while sum(&stage.proxy, "evenkeel_proxy_connections_open{").await? > 0.0 {
        ensure!(begun.elapsed() < TIMEOUT, "connections are still open");
        sleep(std::time::Duration::from_millis(20)).await;
    }
    for (sample, expected) in expected {
        let counted = sum(&stage.proxy, &format!("evenkeel_proxy_{sample}")).await.unwrap_or(0.0);
        ensure_eq!(counted.to_string(), expected.to_string(), "{sample}");
    }
    Ok(())
}

#[tokio::test]
async fn probes_and_scrapes_do_not_count_as_clients() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::HostIp, NODE)]).await?;
    for agent in ["kube-probe/1.36", "Prometheus/3.5.0"] {
        let (client, app) = get(&stage, agent).await?;
        close(client, app).await?;
    }
    // A TCP probe.
    let (client, app) = stage.pair().await?;
    close(client, app).await?;
    // An HTTPS probe of an app that terminates TLS itself: the beginning of a ClientHello.
    let hello = [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[0; 508]].concat();
    let (mut client, mut app) = stage.pair().await?;
    client.send(&hello).await?;
    app.expect(&hello).await?;
    close(client, app).await?;
    // A gRPC probe.
    let (mut client, mut app) = open(&stage).await?;
    http2::exchange(&mut client, &mut app, 1).await?;
    close(client, app).await?;
    compare(
        &stage,
        &[
            ("requests_total{protocol=\"http1\",source=\"client\",port=\"8080\"}", 0),
            ("requests_total{protocol=\"http1\",source=\"probe\",port=\"8080\"}", 1),
            ("requests_total{protocol=\"http1\",source=\"scrape\",port=\"8080\"}", 1),
            ("requests_total{protocol=\"http2\",source=\"client\",port=\"8080\"}", 0),
            ("requests_total{protocol=\"http2\",source=\"probe\",port=\"8080\"}", 1),
            ("connections_opened_total{protocol=\"http1\",source=\"client\"", 0),
            ("connections_opened_total{protocol=\"http1\",source=\"probe\"", 1),
            ("connections_opened_total{protocol=\"http1\",source=\"scrape\"", 1),
            ("connections_opened_total{protocol=\"http2\",source=\"client\"", 0),
            ("connections_opened_total{protocol=\"http2\",source=\"probe\"", 1),
            ("connections_opened_total{protocol=\"tunnel\",source=\"client\"", 0),
            ("connections_opened_total{protocol=\"tunnel\",source=\"probe\"", 2),
            ("tunnels_total{kind=\"tls\",source=\"client\"", 0),
            ("tunnels_total{kind=\"tls\",source=\"probe\"", 1),
            ("tunnels_total{kind=\"silent\",source=\"probe\"", 1),
            ("requests_per_connection_count", 0),
        ],
    )
    .await
}

/// A gRPC connection with a second stream is no probe; nor is TLS from another address than the node's.
#[tokio::test]
async fn requests_of_clients_count_as_clients() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::HostIp, NODE)]).await?;
    let (mut client, mut app) = get(&stage, "curl/8.14.1").await?;
    exchange(&mut client, &mut app).await?;
    close(client, app).await?;
    let (mut client, mut app) = open(&stage).await?;
    for stream in [1, 3, 5] {
        http2::exchange(&mut client, &mut app, stream).await?;
    }
    close(client, app).await?;
    // It ends within its request line.
    let (mut client, mut app) = stage.pair().await?;
    client.send("GET / HT").await?;
    client.half_close().await?;
    app.expect("GET / HT").await?;
    app.expect_end(End::Fin).await?;
    drop((client, app));
    compare(
        &stage,
        &[
            ("requests_total{protocol=\"http1\",source=\"client\"", 2),
            ("requests_total{protocol=\"http2\",source=\"client\"", 2),
            ("requests_total{protocol=\"http2\",source=\"probe\"", 1),
            ("connections_opened_total{protocol=\"http1\",source=\"client\"", 1),
            ("connections_opened_total{protocol=\"tunnel\",source=\"client\"", 1),
            ("connections_opened_total{", 3),
            ("requests_per_connection_sum", 5),
        ],
    )
    .await
}

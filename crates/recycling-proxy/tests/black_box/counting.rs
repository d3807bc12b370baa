//! Metrics count what their names say.

use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use settings::ProxyOption;
use test_support::{
    Cases, End, Peer, RecyclingProxy, Responder, TIMEOUT, TestResult, answer_everything_with, ensure, ensure_eq,
};
use tokio::time::{Instant, sleep};

use crate::http2_stage::{self, ACK, PING, first_step, frame, last_step, open, request};
use crate::metrics::sum;
use crate::stage::{GET, OK, Stage, close, exchange};

/// Waits until the samples whose names begin with `start` have this sum. The proxy counts the end of a connection a
/// moment after the client has seen it.
async fn reaches(proxy: &RecyclingProxy, start: &str, expected: f64) -> TestResult {
    let begun = Instant::now();
    loop {
        let now = sum(proxy, start).await?;
        // Whole numbers compare exactly.
        if now.to_string() == expected.to_string() {
            return Ok(());
        }
        ensure!(begun.elapsed() < TIMEOUT, "{start} is {now}, not {expected}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Plays one exchange, whether its response is announced or not.
async fn last_exchange(client: &mut Peer, app: &mut Peer) -> TestResult {
    client.send(GET).await?;
    app.expect(GET).await?;
    app.send(OK).await?;
    client.read_head().await?;
    client.expect("ok").await?;
    Ok(())
}

#[tokio::test]
async fn requests_per_connection_are_observed_when_connections_end() -> TestResult {
    let stage = Stage::with_limit(3).await?;
    let mut kept = stage.pair().await?;
    exchange(&mut kept.0, &mut kept.1).await?;
    for requests in [0, 1, 3, 3] {
        let (mut client, mut app) = stage.pair().await?;
        for _ in 0..requests {
            last_exchange(&mut client, &mut app).await?;
        }
        match requests {
            // Half of a request head makes the connection HTTP, but is no request.
            0 => client.send("GET / HTTP/1.1\r\n").await?,
            3 => client.expect_end(End::Fin).await?,
            _ => {}
        }
        drop((client, app));
    }
    let (mut client, mut app) = open(&stage).await?;
    for stream in [1, 3] {
        http2_stage::exchange(&mut client, &mut app, stream).await?;
    }
    close(client, app).await?;
    let metric = "evenkeel_proxy_requests_per_connection";
    reaches(&stage.proxy, &format!("{metric}_count "), 5.0).await?;
    for (sample, expected) in [
        ("_bucket{le=\"1.0\"}", 2),
        ("_bucket{le=\"2.0\"}", 3),
        ("_bucket{le=\"5.0\"}", 5),
        ("_bucket{le=\"4294967296.0\"}", 5),
        ("_sum ", 9),
    ] {
        ensure_eq!(
            sum(&stage.proxy, &format!("{metric}{sample}")).await?.to_string(),
            expected.to_string(),
            "{sample}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_ignores_the_announcement_is_counted() -> TestResult {
    let metric = "evenkeel_proxy_announcements_ignored_total ";
    let stage = Stage::with_limit(1).await?;
    for sends in [true, false] {
        let (mut client, mut app) = stage.pair().await?;
        last_exchange(&mut client, &mut app).await?;
        client.expect_end(End::Fin).await?;
        if sends {
            client.send(GET).await?;
        }
    }
    reaches(&stage.proxy, "evenkeel_proxy_connections_open{", 0.0).await?;
    ensure_eq!(sum(&stage.proxy, metric).await?.to_string(), "1");

    for (opens, expected) in [(false, 1.0), (true, 2.0)] {
        let (mut client, mut app) = open(&stage).await?;
        client.send(request(1)).await?;
        app.expect(request(1)).await?;
        app.send(http2_stage::response(1)).await?;
        let ping = first_step(&mut client).await?;
        client.expect(http2_stage::response(1)).await?;
        // A stream that was in flight when the client read GOAWAY is served, and not counted as an ignored
        // announcement.
        http2_stage::exchange(&mut client, &mut app, 3).await?;
        client.send(frame(PING, ACK, 0, &ping)).await?;
        last_step(&mut client, 3).await?;
        if opens {
            client.send([request(5), request(7)].concat()).await?;
        }
        client.expect_end(End::Fin).await?;
        drop((client, app));
        reaches(&stage.proxy, "evenkeel_proxy_connections_open{", 0.0).await?;
        ensure_eq!(sum(&stage.proxy, metric).await?.to_string(), expected.to_string());
    }
    Ok(())
}

#[tokio::test]
async fn an_app_that_does_not_accept_is_counted_by_kind() -> TestResult {
    let Stage { proxy, app, app_host: _host } = Stage::with(&[]).await?;
    drop(app);
    let begun = Instant::now();
    // A process that another test is spawning may hold the app's listening socket for a moment.
    while sum(&proxy, "evenkeel_proxy_app_unreachable_total{reason=\"refused\",").await? < 2.0 {
        // The connection may be reset while the client connects.
        drop(proxy.connect().await);
        ensure!(begun.elapsed() < TIMEOUT, "no refusal is counted");
        sleep(Duration::from_millis(20)).await;
    }
    for other in ["timeout", "reset", "no_port", "no_resources", "other"] {
        let other = format!("evenkeel_proxy_app_unreachable_total{{reason=\"{other}\",");
        ensure_eq!(sum(&proxy, &other).await?.to_string(), "0", "{other}");
    }
    Ok(())
}

#[tokio::test]
async fn every_kind_of_tunnel_is_counted() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let mut cases = Cases::default();
    for kind in ["not_http", "silent", "app_first", "upgraded"] {
        let outcome = async {
            let (mut client, mut app) = stage.pair().await?;
            match kind {
                "not_http" => {
                    client.send("\0").await?;
                    app.expect("\0").await?;
                }
                "app_first" => {
                    app.send("220 ready\r\n").await?;
                    client.expect("220 ready\r\n").await?;
                }
                "upgraded" => {
                    client.send(GET).await?;
                    app.expect(GET).await?;
                    let switch = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
                    app.send(switch).await?;
                    client.expect(switch).await?;
                }
                _ => {}
            }
            close(client, app).await?;
            reaches(&stage.proxy, &format!("evenkeel_proxy_tunnels_total{{kind=\"{kind}\","), 1.0).await
        };
        cases.note(kind, outcome.await);
    }
    reaches(&stage.proxy, "evenkeel_proxy_tunnels_ended_total{reason=\"done\",", 4.0).await?;
    ensure_eq!(sum(&stage.proxy, "evenkeel_proxy_tunnels_total{").await?.to_string(), "4");
    cases.verdict()
}

#[tokio::test]
async fn metrics_show_retire_reasons_and_the_phase_of_the_drain() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::MaxAge, "1ms")]).await?;
    let phase = |phase: &str| format!("evenkeel_proxy_drain_phase{{phase=\"{phase}\"}}");
    ensure_eq!(sum(&stage.proxy, &phase("serving")).await?.to_string(), "1");
    let (mut client, mut app) = stage.pair().await?;
    client.expect_silence(Duration::from_millis(100)).await?;
    last_exchange(&mut client, &mut app).await?;
    let retired = |reason: &str| format!("evenkeel_proxy_connections_retired_total{{reason=\"{reason}\",");
    reaches(&stage.proxy, &retired("max_age"), 1.0).await?;

    let (mut client, mut app) = stage.pair().await?;
    let mut drain = stage.proxy.drain()?;
    reaches(&stage.proxy, &phase("draining"), 1.0).await?;
    last_exchange(&mut client, &mut app).await?;
    reaches(&stage.proxy, &retired("drain"), 1.0).await?;
    drop((client, app));
    drain.end().await?;
    reaches(&stage.proxy, &phase("drained"), 1.0).await?;
    ensure_eq!(sum(&stage.proxy, "evenkeel_proxy_drain_phase{").await?.to_string(), "1");
    for never in ["max_requests", "balance"] {
        ensure_eq!(sum(&stage.proxy, &retired(never)).await?.to_string(), "0", "{never}");
    }
    Ok(())
}

#[tokio::test]
async fn metrics_show_the_version() -> TestResult {
    let stage = Stage::with(&[]).await?;
    let version = env!("CARGO_PKG_VERSION");
    ensure_eq!(
        sum(&stage.proxy, &format!("evenkeel_proxy_build_info{{version=\"{version}\"}}")).await?.to_string(),
        "1"
    );
    Ok(())
}

/// Clients wait in the accept queue until descriptors are free again.
#[tokio::test]
async fn pauses_for_lack_of_descriptors_are_counted() -> TestResult {
    let Stage { mut proxy, app, app_host: _host } = Stage::with(&[]).await?;
    let _responder = Responder::start(app, answer_everything_with(OK));
    let pid = Pid::from_raw(proxy.process().id().try_into()?);
    let many = getrlimit(Resource::Nofile);
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(32), ..many })?;
    let mut clients = Vec::new();
    for _ in 0..32 {
        // If the app cannot be dialled, the connection may be reset while the client connects.
        clients.extend(proxy.connect().await.ok());
    }
    proxy.process().line_with("accepting pauses").await?;
    prlimit(pid, Resource::Nofile, many)?;
    drop(clients);
    reaches(&proxy, "evenkeel_proxy_connections_open{", 0.0).await?;
    ensure!(sum(&proxy, "evenkeel_proxy_accept_pauses_total ").await? > 0.0);
    let mut client = proxy.connect().await?;
    client.send(GET).await?;
    client.expect(OK).await?;
    Ok(())
}

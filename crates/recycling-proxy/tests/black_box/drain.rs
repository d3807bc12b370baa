//! Drain: connections are retired with their next response; none is refused and none is closed early.

use std::time::Duration;

use rustix::process::Signal;
use settings::ProxyOption;
use test_support::{Cases, End, Peer, Process, TestResult, ensure, ensure_eq};
use tokio::time::Instant;

use crate::stage::{GET, OK, Stage, exchange, last_response};

/// A drain lasts until no client has connected for this time, because endpoint removal takes time to reach every node.
const QUIET: Duration = Duration::from_secs(5);

/// Starts a drain, and waits until a response announces close: the command that starts a drain does not show when the
/// proxy has noticed it.
pub(crate) async fn drain_in_progress(stage: &Stage) -> TestResult<(Process, Instant)> {
    let started = Instant::now();
    let drain = stage.proxy.drain()?;
    loop {
        let (mut client, mut app) = stage.pair().await?;
        if announced_exchange(&mut client, &mut app).await? {
            client.expect_end(End::Fin).await?;
            return Ok((drain, started));
        }
        ensure!(started.elapsed() < test_support::TIMEOUT, "the drain never began");
    }
}

/// Plays one exchange. Returns whether its response announced the end of the connection.
async fn announced_exchange(client: &mut Peer, app: &mut Peer) -> TestResult<bool> {
    client.send(GET).await?;
    app.expect(GET).await?;
    app.send(OK).await?;
    let announced = client.read_head().await?.announces_close();
    client.expect("ok").await?;
    Ok(announced)
}

#[tokio::test]
async fn during_a_drain_new_connections_are_served_and_every_response_announces_close() -> TestResult {
    let stage = Stage::with(&[]).await?;
    let (mut old, mut old_app) = stage.pair().await?;
    exchange(&mut old, &mut old_app).await?;
    let (mut drain, _) = drain_in_progress(&stage).await?;
    ensure!(announced_exchange(&mut old, &mut old_app).await?);
    old.expect_end(End::Fin).await?;
    for _ in 0..5 {
        let (mut client, mut app) = stage.pair().await?;
        ensure!(announced_exchange(&mut client, &mut app).await?);
        client.expect_end(End::Fin).await?;
    }
    drop((old, old_app));
    let (status, _) = drain.end().await?;
    ensure!(status.success(), "{status}");
    // kube-proxy may still send new connections for a while.
    let (mut client, mut app) = stage.pair().await?;
    ensure!(announced_exchange(&mut client, &mut app).await?);
    Ok(())
}

#[tokio::test]
async fn a_drain_without_connections_lasts_its_shortest_time() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::DrainTimeout, "15s")]).await?;
    let started = Instant::now();
    let (status, _) = stage.proxy.drain()?.end().await?;
    ensure!(status.success(), "{status}");
    let lasted = started.elapsed();
    ensure!((QUIET..Duration::from_secs(12)).contains(&lasted), "{lasted:?}");
    Ok(())
}

/// A node whose kube-proxy is late still routes clients to the pod. The kubelet's probes go on to its end.
#[tokio::test]
async fn clients_that_connect_prolong_a_drain_and_probes_do_not() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::DrainTimeout, "60s")]).await?;
    let (mut drain, _) = drain_in_progress(&stage).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let last = Instant::now();
    let (mut client, mut app) = stage.pair().await?;
    ensure!(announced_exchange(&mut client, &mut app).await?);
    drop((client, app));
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(drain.is_running(), "the drain did not wait for further clients");
    let probe = "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.36\r\n\r\n";
    let probed = Instant::now();
    let (mut kubelet, mut app) = stage.pair().await?;
    kubelet.send(probe).await?;
    app.expect(probe).await?;
    app.send(OK).await?;
    ensure!(kubelet.read_head().await?.announces_close());
    drop((kubelet, app));
    ensure!(drain.end().await?.0.success());
    ensure!(last.elapsed() >= QUIET, "{:?}", last.elapsed());
    ensure!(probed.elapsed() < QUIET, "{:?}", probed.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_drain_ends_when_the_last_connection_does() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::DrainTimeout, "60s")]).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    let (mut drain, started) = drain_in_progress(&stage).await?;
    tokio::time::sleep((started + QUIET + Duration::from_millis(500)).saturating_duration_since(Instant::now())).await;
    ensure!(drain.is_running(), "the drain did not wait for the request in flight");
    last_response(&mut client, &mut app).await?;
    drop((client, app));
    let (status, _) = drain.end().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// The drain ends at its timeout, and even then the idle connection for which it waited is not closed.
#[tokio::test]
async fn an_idle_connection_is_not_closed_by_a_drain() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::DrainTimeout, "4s")]).await?;
    let (mut idle, mut idle_app) = stage.pair().await?;
    exchange(&mut idle, &mut idle_app).await?;
    let started = Instant::now();
    let (status, _) = stage.proxy.drain()?.end().await?;
    ensure!(status.success(), "{status}");
    let lasted = started.elapsed();
    ensure!((Duration::from_millis(3900)..Duration::from_secs(12)).contains(&lasted), "{lasted:?}");
    ensure!(announced_exchange(&mut idle, &mut idle_app).await?);
    idle.expect_end(End::Fin).await?;
    Ok(())
}

/// The kubelet runs the `preStop` hook, perhaps more than once, and then sends SIGTERM.
#[tokio::test]
async fn a_second_drain_joins_the_first_and_sigterm_ends_the_process() -> TestResult {
    let mut stage = Stage::with(&[]).await?;
    let started = Instant::now();
    let mut drains = [stage.proxy.drain()?, stage.proxy.drain()?];
    for drain in &mut drains {
        ensure!(drain.end().await?.0.success());
    }
    ensure!(started.elapsed() >= QUIET);
    // A further drain has nothing to wait for.
    let again = Instant::now();
    ensure!(stage.proxy.drain()?.end().await?.0.success());
    ensure!(again.elapsed() < QUIET, "{:?}", again.elapsed());
    stage.proxy.terminate()?;
    let (status, _) = stage.proxy.process().end().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// A tunnel has no announcement. The drain waits for it until its timeout, and does not close it.
#[tokio::test]
async fn a_drain_waits_for_tunnels() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::DrainTimeout, "4s")]).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send("\0").await?;
    app.expect("\0").await?;
    let started = Instant::now();
    ensure!(stage.proxy.drain()?.end().await?.0.success());
    ensure!(started.elapsed() >= Duration::from_millis(3900), "{:?}", started.elapsed());
    client.send("still there").await?;
    app.expect("still there").await?;
    Ok(())
}

#[tokio::test]
async fn drained_answers_when_the_drain_is_done() -> TestResult {
    let stage = Stage::with(&[]).await?;
    let (answer, order) = tokio::sync::oneshot::channel();
    let started = Instant::now();
    let waiting = async {
        // The app's hook and the proxy's start together; either may be first.
        let drained = stage.proxy.admin("/drained").await?;
        let _ = answer.send(started.elapsed());
        TestResult::Ok(drained)
    };
    let draining = async {
        let (status, _) = stage.proxy.drain()?.end().await?;
        ensure!(status.success(), "{status}");
        TestResult::Ok(())
    };
    let ((status, _), ()) = tokio::try_join!(waiting, draining)?;
    ensure_eq!(status, 200);
    ensure!(order.await? >= QUIET);
    // After the drain the response comes at once.
    let again = Instant::now();
    ensure_eq!(stage.proxy.admin("/drained").await?.0, 200);
    ensure!(again.elapsed() < Duration::from_secs(2), "{:?}", again.elapsed());
    Ok(())
}

/// The kubelet also runs the hook when it restarts only the app. Without a drain, the hook must not hold a failing app.
#[tokio::test]
async fn drained_answers_soon_if_no_drain_begins() -> TestResult {
    let stage = Stage::with(&[]).await?;
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    let started = Instant::now();
    ensure_eq!(stage.proxy.admin("/drained").await?.0, 200);
    let waited = started.elapsed();
    // It waits a little, because a drain may begin a moment later.
    ensure!((Duration::from_millis(1500)..Duration::from_secs(10)).contains(&waited), "{waited:?}");
    exchange(&mut client, &mut app).await
}

/// Three connections are on three threads.
#[tokio::test]
async fn sigterm_without_a_drain_waits_for_exchanges_in_flight() -> TestResult {
    let mut stage = Stage::with(&[(ProxyOption::Threads, "3")]).await?;
    let mut pairs = Vec::new();
    for _ in 0..3 {
        let (mut client, mut app) = stage.pair().await?;
        client.send(GET).await?;
        app.expect(GET).await?;
        pairs.push((client, app));
    }
    stage.proxy.terminate()?;
    stage.proxy.process().line_with("exiting after the last connection").await?;
    for (client, app) in &mut pairs {
        app.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok").await?;
        ensure!(client.read_head().await?.announces_close());
        client.expect("ok").await?;
    }
    ensure!(stage.proxy.process().is_running());
    for (mut client, mut app) in pairs {
        app.send("ok").await?;
        client.expect("ok").await?;
        client.expect_end(End::Fin).await?;
    }
    let (status, _) = stage.proxy.process().end().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// The kernel has accepted these connections, and their clients have sent requests. Closing the listening socket would
/// reset them.
#[tokio::test]
async fn sigterm_resets_no_connection_in_the_accept_queue() -> TestResult {
    for threads in ["1", "3"] {
        let mut stage = Stage::with(&[(ProxyOption::Threads, threads)]).await?;
        stage.proxy.process().signal(Signal::STOP)?;
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = stage.proxy.connect().await?;
            client.send(GET).await?;
            clients.push(client);
        }
        stage.proxy.terminate()?;
        stage.proxy.process().signal(Signal::CONT)?;
        // A thread may serve a connection before the signal is handled, and a response before that is not announced.
        stage.proxy.process().line_with("draining: every response announces").await?;
        for _ in 0..clients.len() {
            let mut app = stage.app.accept().await?;
            app.expect(GET).await?;
            app.send(OK).await?;
            app.expect_end(End::Fin).await?;
        }
        for mut client in clients {
            ensure!(client.read_head().await?.announces_close());
            client.expect("ok").await?;
            client.expect_end(End::Fin).await?;
        }
        let (status, _) = stage.proxy.process().end().await?;
        ensure!(status.success(), "{status}");
    }
    Ok(())
}

/// Each of these connections waits until the one before it has ended.
#[tokio::test]
async fn sigterm_serves_more_queued_connections_than_there_are_slots() -> TestResult {
    let mut stage = Stage::with(&[(ProxyOption::MaxConnections, "1")]).await?;
    stage.proxy.process().signal(Signal::STOP)?;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = stage.proxy.connect().await?;
        client.send(GET).await?;
        clients.push(client);
    }
    stage.proxy.terminate()?;
    stage.proxy.process().signal(Signal::CONT)?;
    stage.proxy.process().line_with("draining: every response announces").await?;
    for mut client in clients {
        let mut app = stage.app.accept().await?;
        app.expect(GET).await?;
        last_response(&mut client, &mut app).await?;
    }
    let (status, _) = stage.proxy.process().end().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// The proxy waits for an idle connection, too, but at most for the drain timeout.
#[tokio::test]
async fn sigterm_with_an_idle_connection_ends_the_process_in_time() -> TestResult {
    let mut stage = Stage::with(&[(ProxyOption::DrainTimeout, "2s")]).await?;
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    stage.proxy.terminate()?;
    let (status, _) = stage.proxy.process().end().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// Pipelined requests are served during a drain as at a limit: the last of them is announced.
#[tokio::test]
async fn a_drain_loses_no_pipelined_request() -> TestResult {
    let stage = Stage::with(&[]).await?;
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    let (_drain, _) = drain_in_progress(&stage).await?;
    client.send(GET.repeat(3)).await?;
    for n in 0..3 {
        app.expect(GET).await?;
        app.send(OK).await?;
        ensure_eq!(client.read_head().await?.announces_close(), n == 2);
        client.expect("ok").await?;
    }
    client.expect_end(End::Fin).await?;
    Ok(())
}

/// Bodies in both directions that are in flight when the drain begins arrive complete.
#[tokio::test]
async fn a_drain_waits_for_bodies_in_both_directions() -> TestResult {
    let mut cases = Cases::default();
    let stage = Stage::with(&[]).await?;
    let request_head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n";
    let response_head = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n";
    let (mut uploading, mut uploading_app) = stage.pair().await?;
    uploading.send(format!("{request_head}half")).await?;
    uploading_app.expect(format!("{request_head}half")).await?;
    let (mut downloading, mut downloading_app) = stage.pair().await?;
    downloading.send(GET).await?;
    downloading_app.expect(GET).await?;
    downloading_app.send(format!("{response_head}half")).await?;
    downloading.expect(format!("{response_head}half")).await?;
    let (mut drain, _) = drain_in_progress(&stage).await?;
    let upload = async {
        uploading.send("half").await?;
        uploading_app.expect("half").await?;
        uploading_app.send(OK).await?;
        ensure!(uploading.read_head().await?.announces_close());
        uploading.expect("ok").await?;
        uploading.expect_end(End::Fin).await?;
        TestResult::Ok(())
    };
    cases.note("upload", upload.await);
    let download = async {
        downloading_app.send("half").await?;
        downloading.expect("half").await?;
        // Its head was sent before the drain began, so the next response has the announcement.
        ensure!(announced_exchange(&mut downloading, &mut downloading_app).await?);
        downloading.expect_end(End::Fin).await?;
        TestResult::Ok(())
    };
    cases.note("download", download.await);
    drop((uploading, downloading));
    ensure!(drain.end().await?.0.success());
    cases.verdict()
}

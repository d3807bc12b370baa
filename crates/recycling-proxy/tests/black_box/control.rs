//! The control socket: commands by path and by abstract name. A crash does not keep the next proxy from starting.

use std::time::Duration;

use settings::ProxyOption;
use test_support::{
    End, LoopbackHost, RecyclingProxy, Responder, ScriptedApp, TestResult, answer_everything_with, ensure,
};

use crate::stage::{BINARY, Stage, close, exchange};

#[tokio::test]
async fn a_socket_file_left_by_a_crash_is_replaced() -> TestResult {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("proxy.sock").display().to_string();
    let host = LoopbackHost::reserve()?;
    // The first proxy is killed when it is dropped, and leaves its file.
    drop(RecyclingProxy::start(BINARY, host.port(8080), &[(ProxyOption::Control, &socket)]).await?);
    ensure!(folder.path().join("proxy.sock").exists());
    let options = [(ProxyOption::Control, socket.as_str()), (ProxyOption::DrainTimeout, "4s")];
    let proxy = RecyclingProxy::start(BINARY, host.port(8080), &options).await?;
    let (status, _) = proxy.drain()?.end().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// If two proxies shared a socket, a drain would reach only one of them.
#[tokio::test]
async fn a_control_socket_in_use_is_reported() -> TestResult {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("proxy.sock").display().to_string();
    let host = LoopbackHost::reserve()?;
    let name = format!("@evenkeel-test-taken-{}", host.port(0).ip());
    for socket in [file, name] {
        let options = [(ProxyOption::Control, socket.as_str())];
        let _first = RecyclingProxy::start(BINARY, host.port(8080), &options).await?;
        let second = RecyclingProxy::start(BINARY, host.port(8080), &options).await;
        let refusal = second.map(|_| ()).expect_err("the second proxy must not start").to_string();
        ensure!(refusal.contains(&socket), "{refusal}");
    }
    Ok(())
}

/// The level changes without a restart, which would end the process that is being looked into.
#[tokio::test]
async fn the_log_level_is_changed_while_the_proxy_runs() -> TestResult {
    const ENDED: &str = "an HTTP/1 connection has ended";
    let app = ScriptedApp::bind(LoopbackHost::reserve()?.port(8080)).await?;
    let mut proxy = RecyclingProxy::start(BINARY, app.address(), &[]).await?;
    let responder = Responder::start(app, answer_everything_with("HTTP/1.1 204 No Content\r\n\r\n"));
    for (level, lines) in [("debug", 1), ("info", 1), ("debug", 2)] {
        let (status, output) = proxy.control(&["log-level", level])?.end().await?;
        ensure!(status.success() && output == format!("log level: {level}\n"), "{status}: {output}");
        let mut client = proxy.connect().await?;
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
        client.read_head().await?;
        client.expect_end(End::Fin).await?;
        drop(client);
        // The connection's line is written before the next change of the level, which is awaited.
        let (status, _) = proxy.control(&["log-level", level])?.end().await?;
        ensure!(status.success(), "{status}");
        if level == "debug" {
            proxy.process().line_with(ENDED).await?;
        }
        let found = proxy.process().output().matches(ENDED).count();
        ensure!(found == lines, "{level}: {found} lines, expected {lines}");
    }
    ensure!(responder.requests() == 3);
    let (status, output) = proxy.control(&["log-level", "loud"])?.end().await?;
    ensure!(status.code() == Some(64) && output.contains("error, warn, info, debug or trace"), "{status}: {output}");
    Ok(())
}

#[tokio::test]
async fn status_prints_a_summary_for_people() -> TestResult {
    let stage = Stage::with_limit(7).await?;
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    let (status, report) = stage.proxy.control(&["status"])?.end().await?;
    ensure!(status.success(), "{status}: {report}");
    for line in [
        "serving (No drain has begun)\n",
        "\nbalancing: not asked for",
        "\nport 8080\n  app          listens ",
        "  connections  1 open\n",
        "  requests     1 of clients, 0 of probes, 0 of scrapes\n",
        "  limits       7 requests\n",
        "  faults       none\n",
    ] {
        ensure!(report.contains(line), "{line:?} is not in {report}");
    }
    close(client, app).await
}

/// Bytes that are no command do no harm.
#[tokio::test]
async fn malformed_commands_on_the_control_socket_are_refused() -> TestResult {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("proxy.sock");
    let host = LoopbackHost::reserve()?;
    let socket = path.display().to_string();
    let proxy = RecyclingProxy::start(BINARY, host.port(8080), &[(ProxyOption::Control, &socket)]).await?;
    let mut silent = tokio::net::UnixStream::connect(&path).await?;
    for noise in [&b""[..], b"\n", b"draim\n", b"\0\xff\xfe\n", &vec![b'd'; 1 << 20]] {
        let mut connection = tokio::net::UnixStream::connect(&path).await?;
        // The proxy may close the connection at any time.
        let _ = connection.write_all(noise).await;
        let _ = connection.shutdown().await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(10), connection.read_to_end(&mut answer)).await?;
    }
    silent.write_all(b"").await?;
    ensure!(proxy.admin("/readyz").await?.0 == 200);
    let (status, _) = proxy.drain()?.end().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

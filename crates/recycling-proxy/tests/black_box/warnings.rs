//! At its default level the log names errors in traffic and their side, with one line for many equal errors.

use test_support::{LoopbackHost, RecyclingProxy, Responder, ScriptedApp, TestResult, answer_everything_with, ensure};

use crate::stage::BINARY;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Returns the only line that contains all of these texts.
fn the_line(output: &str, with: &[&str]) -> TestResult<String> {
    let lines: Vec<&str> = output.lines().filter(|line| with.iter().all(|text| line.contains(text))).collect();
    ensure!(lines.len() == 1, "{} lines with {with:?}:\n{output}", lines.len());
    ensure!(lines[0].contains(" WARN "), "{}", lines[0]);
    Ok(lines[0].to_owned())
}

#[tokio::test]
async fn refused_responses_of_the_app_are_logged_once() -> TestResult {
    let app = ScriptedApp::bind(LoopbackHost::reserve()?.port(8080)).await?;
    let mut proxy = RecyclingProxy::start(BINARY, app.address(), &[]).await?;
    let _responder = Responder::start(app, answer_everything_with("HTTP/1.1 200 OK\nContent-Length: 0\n\n"));
    for _ in 0..5 {
        let mut client = proxy.connect().await?;
        client.send(GET).await?;
        ensure!(client.read_head().await?.status() == Some(502));
    }
    proxy.process().line_with("bare_line_end").await?;
    let line = the_line(&proxy.process().output(), &["bare_line_end", "app_port=8080", "side=\"app\"", "count=1"])?;
    ensure!(line.contains("evenkeel.dev/opaque-ports"), "{line}");
    Ok(())
}

#[tokio::test]
async fn refused_requests_are_logged_once_for_each_reason() -> TestResult {
    let app = ScriptedApp::bind(LoopbackHost::reserve()?.port(8080)).await?;
    let mut proxy = RecyclingProxy::start(BINARY, app.address(), &[]).await?;
    for _ in 0..3 {
        for request in ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\n"] {
            let mut client = proxy.connect().await?;
            client.send(request).await?;
            ensure!(client.read_head().await?.status() == Some(400));
        }
    }
    for fault in ["bad_host", "bad_content_length"] {
        proxy.process().line_with(fault).await?;
        the_line(&proxy.process().output(), &[fault, "app_port=8080", "side=\"client\"", "count=1"])?;
    }
    Ok(())
}

#[tokio::test]
async fn an_app_that_does_not_listen_is_logged_once() -> TestResult {
    let host = LoopbackHost::reserve()?;
    let mut proxy = RecyclingProxy::start(BINARY, host.port(8081), &[]).await?;
    for _ in 0..9 {
        // The connection may be reset while the client connects.
        drop(proxy.connect().await);
    }
    proxy.process().line_with("the app does not accept connections").await?;
    the_line(&proxy.process().output(), &["does not accept connections", "app_port=8081", "reason=\"refused\""])?;
    Ok(())
}

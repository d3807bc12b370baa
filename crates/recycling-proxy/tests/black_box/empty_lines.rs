//! Empty lines after a body (RFC 9112 §2.2) are not part of a request: the connection counts as idle.

use test_support::{Cases, End, Peer, TestResult, ensure_eq};

use crate::drain;
use crate::stage::{GET, OK, Stage, UNREACHED, close, exchange, last_response};

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
const LINES: [&str; 4] = ["\r\n", "\r\n\r\n", "\r\n\r\n\r\n", "\r\n\r"];

/// Plays an exchange whose request is followed by empty lines, in one segment or in several.
async fn post(client: &mut Peer, app: &mut Peer, lines: &str, step: usize) -> TestResult {
    let bytes = format!("{POST}{lines}");
    client.send_in_pieces(bytes.as_bytes().chunks(step)).await?;
    app.expect(POST).await?;
    Ok(())
}

/// Returns the missing end of the last line; empty if it is complete.
fn rest(lines: &str) -> &'static str {
    if lines.ends_with('\r') { "\n" } else { "" }
}

#[tokio::test]
async fn requests_after_empty_lines_are_served() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut cases = Cases::default();
    let hundred = "\r\n".repeat(100);
    for lines in LINES.into_iter().chain([hundred.as_str()]) {
        for step in [1, POST.len(), POST.len() + 1, usize::MAX] {
            let outcome = async {
                let (mut client, mut app) = stage.pair().await?;
                for _ in 0..2 {
                    post(&mut client, &mut app, lines, step).await?;
                    app.send(OK).await?;
                    client.expect(OK).await?;
                    client.send(rest(lines)).await?;
                }
                exchange(&mut client, &mut app).await?;
                close(client, app).await
            };
            cases.note(format!("{lines:?} in steps of {step}"), outcome.await);
        }
    }
    cases.verdict()
}

#[tokio::test]
async fn a_connection_with_empty_lines_is_retired_and_drained() -> TestResult {
    let (limited, draining) = (Stage::with_limit(1).await?, Stage::with_limit(UNREACHED).await?);
    let _drain = drain::drain_in_progress(&draining).await?;
    let mut cases = Cases::default();
    for (name, stage) in [("at the limit", &limited), ("in a drain", &draining)] {
        for lines in LINES {
            let outcome = async {
                let (mut client, mut app) = stage.pair().await?;
                post(&mut client, &mut app, lines, usize::MAX).await?;
                last_response(&mut client, &mut app).await?;
                TestResult::Ok(())
            };
            cases.note(format!("{lines:?} {name}"), outcome.await);
        }
    }
    cases.verdict()
}

#[tokio::test]
async fn a_clients_fin_after_empty_lines_ends_the_connection() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut cases = Cases::default();
    for lines in LINES {
        for early in [false, true] {
            let outcome = async {
                let (mut client, mut app) = stage.pair().await?;
                post(&mut client, &mut app, lines, usize::MAX).await?;
                if early {
                    client.half_close().await?;
                    app.send(OK).await?;
                    client.expect(OK).await?;
                } else {
                    app.send(OK).await?;
                    client.expect(OK).await?;
                    client.half_close().await?;
                }
                app.expect_end(End::Fin).await?;
                client.expect_end(End::Fin).await?;
                TestResult::Ok(())
            };
            cases.note(format!("{lines:?}, before the response: {early}"), outcome.await);
        }
    }
    cases.verdict()
}

/// Empty lines that are longer than the limit of a head are refused as a head would be.
#[tokio::test]
async fn empty_lines_are_bounded() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    client.send("\r\n".repeat(64 * 1024)).await?;
    exchange(&mut client, &mut app).await?;
    client.send("\r\n".repeat(64 * 1024 + 1)).await?;
    ensure_eq!(client.read_head().await?.status(), Some(431));
    ensure_eq!(app.read_to_end().await?.0, b"");
    stage.still_serves().await
}

/// A bare CR does not end a line.
#[tokio::test]
async fn a_bare_cr_is_not_an_empty_line() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    client.send(format!("\r\n\r{GET}")).await?;
    ensure_eq!(client.read_head().await?.status(), Some(400));
    ensure_eq!(app.read_to_end().await?.0, b"");
    Ok(())
}

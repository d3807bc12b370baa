//! Empty lines after a body (RFC 9112 §2.2) are no part of a request: the connection is as idle as without them.

use test_support::{Cases, End, Peer, TestResult, ensure_eq};

use crate::drain;
use crate::stage::{GET, OK, Stage, UNREACHED, exchange, last_response, part};

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
const LINES: [&str; 4] = ["\r\n", "\r\n\r\n", "\r\n\r\n\r\n", "\r\n\r"];

/// A request, and empty lines behind it, in one segment or in several.
async fn post(client: &mut Peer, app: &mut Peer, lines: &str, step: usize) -> TestResult {
    let bytes = format!("{POST}{lines}");
    client.send_in_pieces(bytes.as_bytes().chunks(step)).await?;
    app.expect(POST).await?;
    Ok(())
}

/// Returns the end of the last line, where it has not come yet.
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
                part(client, app).await
            };
            cases.note(format!("{lines:?} in steps of {step}"), outcome.await);
        }
    }
    cases.verdict()
}

#[tokio::test]
async fn a_connection_with_empty_lines_is_retired_and_drained() -> TestResult {
    let (limited, draining) = (Stage::with_limit(1).await?, Stage::with_limit(UNREACHED).await?);
    let _drain = drain::begun(&draining).await?;
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

/// More of them than a head may be long are refused as one would be.
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

/// A CR alone ends no line.
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

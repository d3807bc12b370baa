//! Long bodies, which the proxy forwards without parsing. They arrive as they were sent, and the bytes after them are
//! parsed again.

use test_support::{Cases, End, TestResult, ensure, ensure_eq};

use crate::stage::{GET, OK, Stage, UNREACHED, WITHOUT_WAITING, exchange, last_exchange};

/// Lengths around every size at which the proxy could forward a body in another way, and far above socket buffers.
const LENGTHS: [usize; 14] = [
    16_383, 16_384, 16_385, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 81_920, 131_072, 131_073, 1_000_003,
    20_000_001,
];

/// Returns bytes without a period, so that swapped chunks, pipes or pages are noticed.
fn body(length: usize) -> Vec<u8> {
    let mut state = u32::try_from(length).unwrap_or(u32::MAX) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn with_length(start: &str, body: &[u8]) -> Vec<u8> {
    [format!("{start}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn in_chunks(start: &str, body: &[u8], chunk: usize) -> Vec<u8> {
    let mut message = format!("{start}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for piece in body.chunks(chunk) {
        message.extend(format!("{:x}\r\n", piece.len()).bytes());
        message.extend(piece);
        message.extend(b"\r\n");
    }
    message.extend(b"0\r\n\r\n");
    message
}

const REQUEST: &str = "POST /long HTTP/1.1\r\nHost: a\r\n";
const RESPONSE: &str = "HTTP/1.1 200 OK\r\n";

#[tokio::test]
async fn long_bodies_pass_both_ways_and_the_next_exchange_is_counted() -> TestResult {
    let stage = Stage::with_limit(3).await?;
    let mut cases = Cases::default();
    for length in LENGTHS {
        let body = body(length);
        for (name, request, response) in [
            ("length", with_length(REQUEST, &body), with_length(RESPONSE, &body)),
            ("one chunk", in_chunks(REQUEST, &body, length), in_chunks(RESPONSE, &body, length)),
            ("chunks", in_chunks(REQUEST, &body, 40_000), in_chunks(RESPONSE, &body, 40_000)),
        ] {
            let outcome = async {
                let (mut client, mut app) = stage.pair().await?;
                for _ in 0..2 {
                    tokio::try_join!(client.send(&request), app.expect(&request))?;
                    tokio::try_join!(app.send(&response), client.expect(&response))?;
                }
                last_exchange(&mut client, &mut app).await
            };
            cases.note(format!("{name}, {length} bytes"), outcome.await);
        }
    }
    cases.verdict()
}

/// Two long uploads and a short request are pipelined: the bytes after a body are not taken for a part of it.
#[tokio::test]
async fn requests_pipelined_after_long_bodies_are_served() -> TestResult {
    let stage = Stage::with_limit(3).await?;
    let long = with_length(REQUEST, &body(200_001));
    let (mut client, mut app) = stage.pair().await?;
    let (answers, requests) = client.split();
    let sent = async { requests.send([&long, &long, GET.as_bytes()].concat()).await };
    let served = async {
        for _ in 0..2 {
            app.expect(&long).await?;
            app.send(OK).await?;
            answers.expect(OK).await?;
        }
        app.expect(GET).await?;
        app.send(OK).await
    };
    tokio::try_join!(sent, served)?;
    ensure!(client.read_head().await?.announces_close());
    client.expect("ok").await?;
    Ok(())
}

#[tokio::test]
async fn a_long_body_until_the_end_of_the_connection_passes() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    for length in [16_384, 1_000_003] {
        let response = [b"HTTP/1.1 200 OK\r\n\r\n", body(length).as_slice()].concat();
        let (mut client, mut app) = stage.pair().await?;
        client.send(GET).await?;
        app.expect(GET).await?;
        tokio::try_join!(app.send(&response), client.expect(&response))?;
        app.half_close().await?;
        client.expect_end(End::Fin).await?;
    }
    Ok(())
}

/// Both directions at the same time, each with far more than the sockets on the path can hold.
#[tokio::test]
async fn an_echo_of_a_long_body_does_not_deadlock() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let body = body(20_000_001);
    let (request, response) = (with_length(REQUEST, &body), with_length(RESPONSE, &body));
    let (mut client, mut app) = stage.pair().await?;
    let (client_reader, client_writer) = client.split();
    let (app_reader, app_writer) = app.split();
    let all = async {
        tokio::try_join!(
            client_writer.send(&request),
            app_reader.expect(&request),
            app_writer.send(&response),
            client_reader.expect(&response)
        )
    };
    tokio::time::timeout(WITHOUT_WAITING * 4, all).await??;
    exchange(&mut client, &mut app).await
}

/// Client and app must be able to tell that the body is incomplete.
#[tokio::test]
async fn a_truncated_long_body_does_not_look_complete() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let half = body(500_000);
    let response = [b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", half.as_slice()].concat();
    let request = [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", half.as_slice()].concat();

    let (mut client, mut app) = stage.pair().await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    tokio::try_join!(app.send(&response), client.expect(&response))?;
    app.reset()?;
    client.expect_end(End::Reset).await?;

    let (mut client, mut app) = stage.pair().await?;
    client.send(GET).await?;
    app.expect(GET).await?;
    tokio::try_join!(app.send(&response), client.expect(&response))?;
    app.half_close().await?;
    // A FIN before Content-Length is reached.
    ensure_eq!(client.read_to_end().await?.0.len(), 0);

    let (mut client, mut app) = stage.pair().await?;
    tokio::try_join!(client.send(&request), app.expect(&request))?;
    client.reset()?;
    app.expect_end(End::Reset).await?;
    stage.still_serves().await
}

/// The app refuses in the middle of the body and closes: the rest of the body is dropped, and the client can read the
/// response.
#[tokio::test]
async fn a_client_can_read_why_its_long_upload_was_refused() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let refusal = "HTTP/1.1 413 Too Much\r\nConnection: close\r\nContent-Length: 4\r\n\r\nmuch";
    let (mut client, mut app) = stage.pair().await?;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n").await?;
    app.read_head().await?;
    client.send(body(100_000)).await?;
    app.read_exactly(50_000).await?;
    app.send(refusal).await?;
    app.half_close().await?;
    client.expect(refusal).await?;
    client.send(body(900_000)).await?;
    client.expect_end(End::Fin).await?;
    stage.still_serves().await
}

/// A tunnel carries many bytes, then few, then many, unchanged.
#[tokio::test]
async fn tunnels_carry_bulk_and_single_bytes() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = stage.pair().await?;
    client.send(b"\0").await?;
    app.expect(b"\0").await?;
    for length in [1_000_003, 1, 20_000_001, 3, 65_536, 16_384, 1] {
        let bytes = body(length);
        tokio::try_join!(client.send(&bytes), app.expect(&bytes))?;
        tokio::try_join!(app.send(&bytes), client.expect(&bytes))?;
    }
    client.half_close().await?;
    app.expect_end(End::Fin).await?;
    let bytes = body(2_000_003);
    tokio::try_join!(app.send(&bytes), client.expect(&bytes))?;
    app.half_close().await?;
    client.expect_end(End::Fin).await?;
    Ok(())
}

//! The two-step graceful shutdown of HTTP/2, also with clients and apps that do not cooperate.

use std::time::Duration;

use settings::ProxyOption;
use test_support::{Cases, End, Peer, TestResult, ensure, ensure_eq};
use tokio::time::Instant;

use crate::drain::drain_in_progress;
use crate::http2_stage::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, PING, PREFACE, PRIORITIZED, PUSH_PROMISE,
    REQUEST, SETTINGS, STATUS, both_send, closed, exchange, first_step, frame, last_frames, last_step, no_error_goaway,
    open, request, response, retiring_exchange, shut_down,
};
use crate::stage::{Stage, WITHOUT_WAITING};

#[tokio::test]
async fn the_graceful_shutdown_has_two_steps() -> TestResult {
    let mut cases = Cases::default();
    for limit in [1, 2, 10] {
        cases.note(format!("limit {limit}"), shutdown_at(limit).await);
    }
    cases.verdict()
}

async fn shutdown_at(limit: u32) -> TestResult {
    let stage = Stage::with_limit(limit).await?;
    let (mut client, mut app) = open(&stage).await?;
    for number in 1..limit {
        exchange(&mut client, &mut app, 2 * number - 1).await?;
    }
    let last = 2 * limit - 1;
    let ping = retiring_exchange(&mut client, &mut app, last).await?;
    // A stream that was in flight is served.
    exchange(&mut client, &mut app, last + 2).await?;
    // The proxy keeps the acknowledgement of its own PING, and forwards the client's PING.
    let pings = [frame(PING, ACK, 0, &ping), frame(PING, 0, 0, b"8 octets")].concat();
    client.send(&pings).await?;
    app.expect(frame(PING, 0, 0, b"8 octets")).await?;
    closed(&mut client, last + 2).await?;
    ensure_eq!(app.read_to_end().await?.0, b"");
    Ok(())
}

/// An idle connection is not retired at its age, because its client may be opening a stream at that moment.
#[tokio::test]
async fn max_age_begins_the_graceful_shutdown_with_the_next_response() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::MaxAge, "1ms")]).await?;
    let (mut client, mut app) = open(&stage).await?;
    client.expect_silence(Duration::from_millis(300)).await?;
    client.send(request(1)).await?;
    app.expect(request(1)).await?;
    client.expect_silence(Duration::from_millis(100)).await?;
    app.send(response(1)).await?;
    let ping = first_step(&mut client).await?;
    client.expect(response(1)).await?;
    shut_down(&mut client, &ping, 1).await
}

/// A GOAWAY before the app's own SETTINGS would be the first frame that the client sees, and most clients give up.
#[tokio::test]
async fn the_apps_settings_precede_any_goaway() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = stage.pair().await?;
    let opening = [PREFACE, &frame(SETTINGS, 0, 0, b""), &request(1)].concat();
    client.send(&opening).await?;
    app.expect(&opening).await?;
    app.send([frame(SETTINGS, 0, 0, b""), frame(SETTINGS, ACK, 0, b""), response(1)].concat()).await?;
    client.expect(frame(SETTINGS, 0, 0, b"")).await?;
    client.expect(frame(SETTINGS, ACK, 0, b"")).await?;
    first_step(&mut client).await?;
    client.expect(response(1)).await?;
    Ok(())
}

/// Longer than the proxy waits for streams that are in flight when the client acknowledges its PING.
const SETTLED: Duration = Duration::from_millis(500);

/// Opens streams 1 and 3 on a connection with a limit of 2. The response of 3 begins the graceful shutdown; 1 stays
/// open.
async fn with_open_stream(stage: &Stage) -> TestResult<(Peer, Peer)> {
    let (mut client, mut app) = open(stage).await?;
    let fields = [frame(HEADERS, END_HEADERS, 1, REQUEST), frame(HEADERS, END_HEADERS, 1, STATUS)];
    client.send(&fields[0]).await?;
    app.expect(&fields[0]).await?;
    app.send(&fields[1]).await?;
    client.expect(&fields[1]).await?;
    let ping = retiring_exchange(&mut client, &mut app, 3).await?;
    client.send(frame(PING, ACK, 0, &ping)).await?;
    Ok((client, app))
}

/// Both sides end stream 1. The client then gets the last GOAWAY, and the connection ends.
async fn finish(mut client: Peer, mut app: Peer, last: u32) -> TestResult {
    both_send(&mut client, &mut app, &frame(DATA, END_STREAM, 1, b"")).await?;
    closed(&mut client, last).await?;
    ensure_eq!(app.read_to_end().await?.0, b"");
    Ok(())
}

#[tokio::test]
async fn a_long_stream_is_served_beyond_the_graceful_shutdown() -> TestResult {
    let stage = Stage::with_limit(2).await?;
    let (mut client, mut app) = with_open_stream(&stage).await?;
    let more = frame(DATA, 0, 1, b"more");
    let begun = Instant::now();
    while begun.elapsed() < SETTLED {
        both_send(&mut client, &mut app, &more).await?;
    }
    finish(client, app, 3).await
}

/// Trailers of a stream that began before the graceful shutdown still use the connection's HPACK table.
#[tokio::test]
async fn trailers_of_both_sides_pass_after_the_goaway() -> TestResult {
    let stage = Stage::with_limit(2).await?;
    let (mut client, mut app) = with_open_stream(&stage).await?;
    let trailers =
        [frame(HEADERS, END_STREAM, 1, b"\x40\x01x"), frame(CONTINUATION, END_HEADERS, 1, b"\x01y")].concat();
    both_send(&mut client, &mut app, &trailers).await?;
    closed(&mut client, 3).await
}

/// The client opens streams after GOAWAY, which it must not. They are served while other streams are open. Then the
/// last GOAWAY names the last of them, and later streams never reach the app: the client knows that it may retry them.
#[tokio::test]
async fn a_client_that_ignores_the_goaway_gets_every_response_that_the_app_has_sent() -> TestResult {
    let stage = Stage::with_limit(2).await?;
    let (mut client, mut app) = with_open_stream(&stage).await?;
    let begun = Instant::now();
    let mut last = 3;
    while begun.elapsed() < SETTLED {
        last += 2;
        exchange(&mut client, &mut app, last).await?;
    }
    both_send(&mut client, &mut app, &frame(DATA, END_STREAM, 1, b"")).await?;
    last_step(&mut client, last).await?;
    for late in 1..1000 {
        client.send([request(last + 2 * late), frame(DATA, 0, last + 2 * late, &[0; 100])].concat()).await?;
    }
    client.expect_end(End::Fin).await?;
    ensure_eq!(app.read_to_end().await?.0, b"");
    stage.still_serves().await
}

/// The last step follows after ten seconds without an acknowledgement.
#[tokio::test]
async fn a_client_that_never_acknowledges_our_ping_gets_the_last_goaway() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = open(&stage).await?;
    retiring_exchange(&mut client, &mut app, 1).await?;
    let begun = Instant::now();
    last_frames(&mut client, 1).await?;
    ensure!(begun.elapsed() > WITHOUT_WAITING, "after {:?}", begun.elapsed());
    client.expect_end(End::Fin).await?;
    ensure_eq!(app.read_to_end().await?.0, b"");
    Ok(())
}

/// A pushed stream counts as open. The last stream in GOAWAY is still one of the client's.
#[tokio::test]
async fn a_pushed_stream_is_served_beyond_the_graceful_shutdown() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = open(&stage).await?;
    client.send(request(1)).await?;
    app.expect(request(1)).await?;
    let promise = frame(PUSH_PROMISE, END_HEADERS, 1, &[b"\0\0\0\x02", REQUEST].concat());
    app.send([&promise[..], &response(1)].concat()).await?;
    client.expect(&promise).await?;
    let ping = first_step(&mut client).await?;
    client.expect(response(1)).await?;
    client.send(frame(PING, ACK, 0, &ping)).await?;
    let pushed = frame(HEADERS, END_HEADERS, 2, STATUS);
    app.send(&pushed).await?;
    client.expect(&pushed).await?;
    let begun = Instant::now();
    while begun.elapsed() < 3 * SETTLED {
        app.send(frame(DATA, 0, 2, b"more")).await?;
        client.expect(frame(DATA, 0, 2, b"more")).await?;
    }
    app.send(frame(DATA, END_STREAM, 2, b"end")).await?;
    client.expect(frame(DATA, END_STREAM, 2, b"end")).await?;
    closed(&mut client, 1).await
}

/// gRPC responds to a failed call with trailers only: one HEADERS frame begins and ends the response.
#[tokio::test]
async fn a_response_of_trailers_only_begins_the_graceful_shutdown() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = open(&stage).await?;
    client.send(request(1)).await?;
    app.expect(request(1)).await?;
    let trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88\0\x0bgrpc-status\x0212");
    app.send(&trailers).await?;
    let ping = first_step(&mut client).await?;
    client.expect(&trailers).await?;
    shut_down(&mut client, &ping, 1).await
}

/// Padding and priority surround the field block of a HEADERS frame, which is still a request.
#[tokio::test]
async fn requests_with_padding_and_priority_are_counted() -> TestResult {
    let stage = Stage::with_limit(2).await?;
    let (mut client, mut app) = open(&stage).await?;
    exchange(&mut client, &mut app, 1).await?;
    let flags = END_HEADERS | END_STREAM | PADDED | PRIORITIZED;
    let padded = frame(HEADERS, flags, 3, &[b"\x05\0\0\0\x01\x0f", REQUEST, &[0; 5]].concat());
    client.send(&padded).await?;
    app.expect(&padded).await?;
    let answer = frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 3, &[b"\xff", STATUS, &[0; 255]].concat());
    app.send(&answer).await?;
    first_step(&mut client).await?;
    client.expect(&answer).await?;
    Ok(())
}

/// An app that sends GOAWAY ends the connection itself. The proxy then sends none, or no second one: its last stream
/// could be above the app's, which would be wrong.
#[tokio::test]
async fn the_apps_goaway_passes_and_replaces_ours() -> TestResult {
    let stage = Stage::with_limit(2).await?;
    let (mut client, mut app) = open(&stage).await?;
    exchange(&mut client, &mut app, 1).await?;
    client.send(request(3)).await?;
    app.expect(request(3)).await?;
    let goaway_and_response = [no_error_goaway(3), response(3)].concat();
    app.send(&goaway_and_response).await?;
    client.expect(&goaway_and_response).await?;
    drop(app);
    client.expect_end(End::Fin).await?;

    let (mut client, mut app) = with_open_stream(&stage).await?;
    app.send(no_error_goaway(3)).await?;
    client.expect(no_error_goaway(3)).await?;
    both_send(&mut client, &mut app, &frame(DATA, END_STREAM, 1, b"")).await?;
    client.expect_silence(SETTLED).await?;
    drop(app);
    client.expect_end(End::Fin).await?;
    Ok(())
}

/// A gibibyte, most of which the client sends after it has received GOAWAY.
#[tokio::test]
async fn an_upload_of_a_gibibyte_passes_beyond_the_graceful_shutdown() -> TestResult {
    let stage = Stage::with_limit(2).await?;
    let (mut client, mut app) = with_open_stream(&stage).await?;
    let mebibyte: Vec<Vec<u8>> =
        (0..64_u32).map(|number| frame(DATA, 0, 1, &number.to_be_bytes().repeat(4096))).collect();
    let mebibyte = mebibyte.concat();
    for _ in 0..1024 {
        tokio::try_join!(client.send(&mebibyte), app.expect(&mebibyte))?;
    }
    finish(client, app, 3).await
}

/// GOAWAY comes soon if no stream is open, and otherwise with the next response: some clients give up a request if they
/// receive GOAWAY before its response.
#[tokio::test]
async fn a_drain_sends_goaway() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::DrainTimeout, "60s")]).await?;
    let (mut idle, mut idle_app) = open(&stage).await?;
    exchange(&mut idle, &mut idle_app, 1).await?;
    let (mut waiting, mut waiting_app) = open(&stage).await?;
    waiting.send(request(1)).await?;
    waiting_app.expect(request(1)).await?;
    let mut drain = stage.proxy.drain()?;
    let ping = first_step(&mut idle).await?;
    shut_down(&mut idle, &ping, 1).await?;

    waiting_app.send(response(1)).await?;
    let ping = first_step(&mut waiting).await?;
    waiting.expect(response(1)).await?;
    shut_down(&mut waiting, &ping, 1).await?;
    drop((idle, idle_app, waiting, waiting_app));
    let (status, _) = drain.end().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// A client that has just connected is about to send. GOAWAY at that moment would fail its first request, which hyper's
/// pool does not retry on a new connection. So GOAWAY comes with the first response; a silent connection gets it soon.
#[tokio::test]
async fn a_connection_opened_during_a_drain_gets_goaway_with_its_first_response() -> TestResult {
    let stage = Stage::with(&[]).await?;
    let (mut drain, _) = drain_in_progress(&stage).await?;
    let (mut client, mut app) = open(&stage).await?;
    let (mut silent, _silent_app) = open(&stage).await?;
    client.expect_silence(Duration::from_millis(300)).await?;
    retiring_exchange(&mut client, &mut app, 1).await?;
    first_step(&mut silent).await?;
    drop((client, app, silent));
    let (status, _) = drain.end().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

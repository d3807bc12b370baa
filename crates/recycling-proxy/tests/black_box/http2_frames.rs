//! HTTP/2, frame by frame: everything passes verbatim but the goodbye, which has two steps.

use std::time::Duration;

use settings::ProxyOption;
use test_support::{Cases, End, Peer, TestResult, ensure, ensure_eq};

use crate::drain::begun;
use crate::stage::{Stage, UNREACHED, part};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Frame types and flags (RFC 9113 §6).
const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
pub(crate) const ACK: u8 = 1;
const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// `GET http://a/`, and `200`, in HPACK.
const REQUEST: &[u8] = b"\x82\x86\x84\x41\x01a";
const STATUS: &[u8] = b"\x88";

pub(crate) const NO_ERROR: u32 = 0;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a test's frame is short");
    [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(crate) fn request(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, REQUEST)
}

pub(crate) fn response(stream: u32) -> Vec<u8> {
    [frame(HEADERS, END_HEADERS, stream, STATUS), frame(DATA, END_STREAM, stream, b"ok")].concat()
}

/// A frame as it came.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

async fn next_frame(peer: &mut Peer) -> TestResult<Seen> {
    let header = peer.read_exactly(9).await?;
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    let payload = peer.read_exactly(usize::try_from(number(&header[..3]))?).await?;
    Ok(Seen { kind: header[3], flags: header[4], stream: number(&header[5..9]), payload })
}

/// Last stream and error code of a GOAWAY.
pub(crate) async fn goaway(client: &mut Peer) -> TestResult<(u32, u32)> {
    let Seen { kind, flags, stream, payload } = next_frame(client).await?;
    ensure_eq!((kind, flags, stream), (GOAWAY, 0, 0));
    let number = |at: usize| payload[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    Ok((number(0), number(4)))
}

/// The first step: a GOAWAY that refuses nothing yet, and a PING; returns what the PING carries.
pub(crate) async fn first_step(client: &mut Peer) -> TestResult<Vec<u8>> {
    ensure_eq!(goaway(client).await?, (i32::MAX.unsigned_abs(), NO_ERROR));
    let Seen { kind, flags, stream, payload } = next_frame(client).await?;
    ensure_eq!((kind, flags, stream, payload.len()), (PING, 0, 0, 8));
    Ok(payload)
}

/// A connection on which both ends have sent and acknowledged their settings.
pub(crate) async fn open(stage: &Stage) -> TestResult<(Peer, Peer)> {
    let (mut client, mut app) = stage.pair().await?;
    let opening = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
    client.send(&opening).await?;
    app.expect(&opening).await?;
    let answer = [frame(SETTINGS, 0, 0, b""), frame(SETTINGS, ACK, 0, b"")].concat();
    app.send(&answer).await?;
    client.expect(&answer).await?;
    client.send(frame(SETTINGS, ACK, 0, b"")).await?;
    app.expect(frame(SETTINGS, ACK, 0, b"")).await?;
    Ok((client, app))
}

pub(crate) async fn exchange(client: &mut Peer, app: &mut Peer, stream: u32) -> TestResult {
    client.send(request(stream)).await?;
    app.expect(request(stream)).await?;
    app.send(response(stream)).await?;
    client.expect(response(stream)).await?;
    Ok(())
}

#[tokio::test]
async fn frames_pass_verbatim_wherever_they_are_cut() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let from_client = [
        frame(HEADERS, 0, 1, &REQUEST[..3]),
        frame(CONTINUATION, 0, 1, b""),
        frame(CONTINUATION, END_HEADERS, 1, &REQUEST[3..]),
        frame(PING, 0, 0, b"8 octets"),
        frame(DATA, PADDED, 1, b"\x03abc\0\0\0"),
        frame(WINDOW_UPDATE, 0, 0, b"\0\0\x10\0"),
        frame(PRIORITY, 0, 7, b"\0\0\0\x01\x0f"),
        frame(0x77, 0xff, 0x8000_0005, b"of a kind that nobody knows"),
        frame(SETTINGS, 0, 0, b"\0\x04\0\x01\0\0"),
        request(3),
        frame(RST_STREAM, 0, 3, b"\0\0\0\x08"),
        frame(DATA, END_STREAM, 1, b""),
    ]
    .concat();
    let from_app = [
        frame(PING, ACK, 0, b"8 octets"),
        frame(SETTINGS, ACK, 0, b""),
        frame(HEADERS, END_HEADERS | PADDED, 1, b"\x01\x88\0"),
        frame(DATA, 0, 1, &[b'd'; 16_384]),
        frame(0xfa, 0, 0, b""),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\0\x01x\x01y"),
    ]
    .concat();
    let (mut client, mut app) = open(&stage).await?;
    client.send_in_pieces(from_client.chunks(1)).await?;
    app.expect(&from_client).await?;
    app.send_in_pieces(from_app.chunks(199)).await?;
    client.expect(&from_app).await?;
    part(client, app).await
}

#[tokio::test]
async fn the_goodbye_has_two_steps() -> TestResult {
    let mut cases = Cases::default();
    for limit in [1, 2, 10] {
        cases.note(format!("limit {limit}"), goodbye_at(limit).await);
    }
    cases.verdict()
}

async fn goodbye_at(limit: u32) -> TestResult {
    let stage = Stage::with_limit(limit).await?;
    let (mut client, mut app) = open(&stage).await?;
    for number in 1..limit {
        exchange(&mut client, &mut app, 2 * number - 1).await?;
    }
    let last = 2 * limit - 1;
    client.send(request(last)).await?;
    app.expect(request(last)).await?;
    app.send(response(last)).await?;
    let ping = first_step(&mut client).await?;
    client.expect(response(last)).await?;
    // A stream that was on its way is served.
    exchange(&mut client, &mut app, last + 2).await?;
    // The answer to our PING is nobody else's; a PING of the client's is.
    let pings = [frame(PING, ACK, 0, &ping), frame(PING, 0, 0, b"8 octets")].concat();
    client.send(&pings).await?;
    app.expect(frame(PING, 0, 0, b"8 octets")).await?;
    ensure_eq!(goaway(&mut client).await?, (last + 2, NO_ERROR));
    client.expect_end(End::Fin).await?;
    ensure_eq!(app.read_to_end().await?.0, b"");
    Ok(())
}

/// Long past its age an idle connection is left alone, since its client may be opening a stream at that very moment.
#[tokio::test]
async fn age_retires_with_the_next_response() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::MaxAge, "1ms")]).await?;
    let (mut client, mut app) = open(&stage).await?;
    client.expect_silence(Duration::from_millis(300)).await?;
    client.send(request(1)).await?;
    app.expect(request(1)).await?;
    client.expect_silence(Duration::from_millis(100)).await?;
    app.send(response(1)).await?;
    let ping = first_step(&mut client).await?;
    client.expect(response(1)).await?;
    client.send(frame(PING, ACK, 0, &ping)).await?;
    ensure_eq!(goaway(&mut client).await?, (1, NO_ERROR));
    client.expect_end(End::Fin).await?;
    Ok(())
}

/// A GOAWAY before the app's own SETTINGS would be the first frame that the client sees, and most clients give up.
#[tokio::test]
async fn the_settings_of_the_app_come_before_any_goodbye() -> TestResult {
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

#[tokio::test]
async fn a_stream_that_lasts_outlives_the_goodbye() -> TestResult {
    let stage = Stage::with_limit(2).await?;
    let (mut client, mut app) = open(&stage).await?;
    let lasting = [frame(HEADERS, END_HEADERS, 1, REQUEST), frame(HEADERS, END_HEADERS, 1, STATUS)];
    client.send(&lasting[0]).await?;
    app.expect(&lasting[0]).await?;
    app.send(&lasting[1]).await?;
    client.expect(&lasting[1]).await?;
    client.send(request(3)).await?;
    app.expect(request(3)).await?;
    app.send(response(3)).await?;
    let ping = first_step(&mut client).await?;
    client.expect(response(3)).await?;
    client.send(frame(PING, ACK, 0, &ping)).await?;
    ensure_eq!(goaway(&mut client).await?, (3, NO_ERROR));
    let more = frame(DATA, 0, 1, b"more");
    for _ in 0..50 {
        client.send(&more).await?;
        app.expect(&more).await?;
        app.send(&more).await?;
        client.expect(&more).await?;
    }
    // Past the last stream nothing is served, and nothing of it reaches the app.
    client.send(request(5)).await?;
    let end = frame(DATA, END_STREAM, 1, b"");
    client.send(&end).await?;
    app.expect(&end).await?;
    app.send(&end).await?;
    client.expect(&end).await?;
    client.expect_end(End::Fin).await?;
    ensure_eq!(app.read_to_end().await?.0, b"");
    Ok(())
}

/// Soon where every stream has been answered; otherwise with the answer, for some clients give up a request whose
/// connection says goodbye before it.
#[tokio::test]
async fn a_drain_says_goodbye() -> TestResult {
    let stage = Stage::with(&[(ProxyOption::DrainTimeout, "60s")]).await?;
    let (mut idle, mut idle_app) = open(&stage).await?;
    exchange(&mut idle, &mut idle_app, 1).await?;
    let (mut waiting, mut waiting_app) = open(&stage).await?;
    waiting.send(request(1)).await?;
    waiting_app.expect(request(1)).await?;
    let mut drain = stage.proxy.drain()?;
    let ping = first_step(&mut idle).await?;
    idle.send(frame(PING, ACK, 0, &ping)).await?;
    ensure_eq!(goaway(&mut idle).await?, (1, NO_ERROR));
    idle.expect_end(End::Fin).await?;

    waiting_app.send(response(1)).await?;
    let ping = first_step(&mut waiting).await?;
    waiting.expect(response(1)).await?;
    waiting.send(frame(PING, ACK, 0, &ping)).await?;
    ensure_eq!(goaway(&mut waiting).await?, (1, NO_ERROR));
    waiting.expect_end(End::Fin).await?;
    drop((idle, idle_app, waiting, waiting_app));
    let (status, _) = drain.end().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// A client that has just connected is about to send: a GOAWAY at that moment fails its first request, which hyper's pool
/// does not repeat on a connection that was never used. It is told with its first response; one that stays silent, soon.
#[tokio::test]
async fn a_connection_that_comes_during_a_drain_is_told_with_its_first_response() -> TestResult {
    let stage = Stage::with(&[]).await?;
    let (mut drain, _) = begun(&stage).await?;
    let (mut client, mut app) = open(&stage).await?;
    let (mut silent, _silent_app) = open(&stage).await?;
    client.expect_silence(Duration::from_millis(300)).await?;
    client.send(request(1)).await?;
    app.expect(request(1)).await?;
    app.send(response(1)).await?;
    first_step(&mut client).await?;
    client.expect(response(1)).await?;
    first_step(&mut silent).await?;
    drop((client, app, silent));
    let (status, _) = drain.end().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// The connection ends with an error of ours, and the app sees nothing of the frame.
#[tokio::test]
async fn frames_against_the_law_end_the_connection() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut cases = Cases::default();
    for (name, bad) in [
        ("longer than the settings allow", frame(DATA, 0, 1, &vec![0; 16_385])),
        ("even stream", request(2)),
        ("CONTINUATION out of place", frame(CONTINUATION, END_HEADERS, 3, b"")),
        ("DATA within HEADERS", [frame(HEADERS, 0, 5, REQUEST), frame(DATA, 0, 5, b"")].concat()),
        ("HEADERS without a stream", request(0)),
    ] {
        let outcome = async {
            let (mut client, mut app) = open(&stage).await?;
            exchange(&mut client, &mut app, 3).await?;
            client.send(&bad).await?;
            let (_, error) = goaway(&mut client).await?;
            ensure!(error != NO_ERROR);
            client.read_to_end().await?;
            let seen = app.read_to_end().await?.0;
            // What came before the offence within the same run may have passed.
            ensure!(bad.len() > seen.len() && bad.starts_with(&seen), "the app saw {}", seen.escape_ascii());
            TestResult::Ok(())
        };
        cases.note(name, outcome.await);
    }
    stage.still_serves().await?;
    cases.verdict()
}

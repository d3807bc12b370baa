//! HTTP/2, frame by frame, between a client and an app that the test plays.

use test_support::{End, Peer, TestResult, ensure_eq};

use crate::stage::Stage;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Frame types and flags (RFC 9113 §6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const PRIORITIZED: u8 = 0x20;

/// `GET http://a/`, and `200`, in HPACK.
pub(crate) const REQUEST: &[u8] = b"\x82\x86\x84\x41\x01a";
pub(crate) const STATUS: &[u8] = b"\x88";

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

/// A frame that was received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) async fn read_frame(peer: &mut Peer) -> TestResult<Frame> {
    let header = peer.read_exactly(9).await?;
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    let payload = peer.read_exactly(usize::try_from(number(&header[..3]))?).await?;
    Ok(Frame { kind: header[3], flags: header[4], stream: number(&header[5..9]), payload })
}

/// Reads a GOAWAY. Returns its last stream and its error code.
pub(crate) async fn read_goaway(client: &mut Peer) -> TestResult<(u32, u32)> {
    let Frame { kind, flags, stream, payload } = read_frame(client).await?;
    ensure_eq!((kind, flags, stream), (GOAWAY, 0, 0));
    let number = |at: usize| payload[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    Ok((number(0), number(4)))
}

/// Returns a GOAWAY with `NO_ERROR`.
pub(crate) fn no_error_goaway(last: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), NO_ERROR.to_be_bytes()].concat())
}

/// Reads the first step of the graceful shutdown: a GOAWAY with the highest stream identifier, and a PING. Returns the
/// payload of the PING.
pub(crate) async fn first_step(client: &mut Peer) -> TestResult<Vec<u8>> {
    ensure_eq!(read_goaway(client).await?, (i32::MAX.unsigned_abs(), NO_ERROR));
    read_ping(client).await
}

/// Reads the last step, a GOAWAY with the stream `last` and a PING, and acknowledges it.
pub(crate) async fn last_step(client: &mut Peer, last: u32) -> TestResult {
    let ping = last_frames(client, last).await?;
    Ok(client.send(frame(PING, ACK, 0, &ping)).await?)
}

/// Reads the last step without acknowledging it. Returns the payload of the PING.
pub(crate) async fn last_frames(client: &mut Peer, last: u32) -> TestResult<Vec<u8>> {
    ensure_eq!(read_goaway(client).await?, (last, NO_ERROR));
    read_ping(client).await
}

async fn read_ping(client: &mut Peer) -> TestResult<Vec<u8>> {
    let Frame { kind, flags, stream, payload } = read_frame(client).await?;
    ensure_eq!((kind, flags, stream, payload.len()), (PING, 0, 0, 8));
    Ok(payload)
}

/// Opens a connection on which both ends have sent and acknowledged their SETTINGS.
pub(crate) async fn open(stage: &Stage) -> TestResult<(Peer, Peer)> {
    open_over(stage.proxy.connect().await?, stage).await
}

/// Does the same for a client that has just connected.
pub(crate) async fn open_over(mut client: Peer, stage: &Stage) -> TestResult<(Peer, Peer)> {
    let mut app = stage.app.accept().await?;
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

/// Plays an exchange whose response begins the graceful shutdown. Returns the payload of the PING, which the client has
/// yet to acknowledge.
pub(crate) async fn retiring_exchange(client: &mut Peer, app: &mut Peer, stream: u32) -> TestResult<Vec<u8>> {
    client.send(request(stream)).await?;
    app.expect(request(stream)).await?;
    app.send(response(stream)).await?;
    let ping = first_step(client).await?;
    client.expect(response(stream)).await?;
    Ok(ping)
}

/// Acknowledges the PING of the first step, and reads the last step with the stream `last`, and a FIN.
pub(crate) async fn shut_down(client: &mut Peer, ping: &[u8], last: u32) -> TestResult {
    client.send(frame(PING, ACK, 0, ping)).await?;
    closed(client, last).await
}

/// Reads the last step with the stream `last`, and a FIN.
pub(crate) async fn closed(client: &mut Peer, last: u32) -> TestResult {
    last_step(client, last).await?;
    client.expect_end(End::Fin).await?;
    Ok(())
}

/// Sends a frame from the client to the app, and then from the app to the client.
pub(crate) async fn both_send(client: &mut Peer, app: &mut Peer, frame: &[u8]) -> TestResult {
    client.send(frame).await?;
    app.expect(frame).await?;
    app.send(frame).await?;
    client.expect(frame).await?;
    Ok(())
}

//! HTTP/2, frame by frame: everything passes verbatim except for frames that break the framing.

use test_support::{Cases, TestResult, ensure};

use crate::http2_stage::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, NO_ERROR, PADDED, PING, PRIORITIZED, PRIORITY, REQUEST,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, exchange, frame, open, read_goaway, request,
};
use crate::stage::{Stage, UNREACHED, close};

#[tokio::test]
async fn frames_pass_verbatim_at_every_split() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let from_client = [
        frame(HEADERS, 0, 1, &REQUEST[..3]),
        frame(CONTINUATION, 0, 1, b""),
        frame(CONTINUATION, END_HEADERS, 1, &REQUEST[3..]),
        frame(PING, 0, 0, b"8 octets"),
        frame(DATA, PADDED, 1, b"\x03abc\0\0\0"),
        frame(WINDOW_UPDATE, 0, 0, b"\0\0\x10\0"),
        frame(PRIORITY, 0, 7, b"\0\0\0\x01\x0f"),
        frame(HEADERS, END_HEADERS | PADDED | PRIORITIZED, 5, &[b"\x02\0\0\0\x01\x0f", REQUEST, b"\0\0"].concat()),
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
    close(client, app).await
}

/// The proxy ends the connection with an error code, and the app receives nothing of the frame.
#[tokio::test]
async fn frames_that_rfc_9113_forbids_end_the_connection() -> TestResult {
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
            let (_, error) = read_goaway(&mut client).await?;
            ensure!(error != NO_ERROR);
            client.read_to_end().await?;
            let seen = app.read_to_end().await?.0;
            // Frames before the error, in the same read, may have passed.
            ensure!(bad.len() > seen.len() && bad.starts_with(&seen), "the app saw {}", seen.escape_ascii());
            TestResult::Ok(())
        };
        cases.note(name, outcome.await);
    }
    stage.still_serves().await?;
    cases.verdict()
}

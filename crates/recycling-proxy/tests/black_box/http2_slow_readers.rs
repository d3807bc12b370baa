//! The proxy has written the last response, but its client has not read it yet: the close loses none of it, however
//! slowly the client reads.

use std::time::Duration;

use test_support::{Cases, End, Peer, TestResult};
use tokio::time::sleep;

use crate::http2_stage::{
    ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, STATUS, WINDOW_UPDATE, first_step, frame, last_step,
    no_error_goaway, open_over, request,
};
use crate::stage::Stage;

/// The time for which a client neither sends nor reads. It is longer than every timeout between the last frame and the
/// close.
const PAUSE: Duration = Duration::from_secs(9);

/// The length of the response. It fits into the send buffer of the proxy's kernel, and not into the client's receive
/// buffer.
const BODY: usize = 60_000;

#[derive(Clone, Copy, Debug)]
enum Ends {
    EndStream,
    Trailers,
    Reset,
    /// By `END_STREAM`, after GOAWAY of the app, which then closes.
    AppGoaway,
}

#[tokio::test]
async fn a_client_that_pauses_gets_its_whole_last_response() -> TestResult {
    let mut cases = Cases::default();
    let (small, default, trailers, reset, app_goaway) = tokio::join!(
        paused(true, Ends::EndStream),
        paused(false, Ends::EndStream),
        paused(true, Ends::Trailers),
        paused(true, Ends::Reset),
        paused(true, Ends::AppGoaway),
    );
    cases.note("small buffer", small);
    cases.note("default buffer", default);
    cases.note("trailers", trailers);
    cases.note("a reset stream", reset);
    cases.note("the app sends GOAWAY", app_goaway);
    cases.verdict()
}

async fn paused(small_buffer: bool, ends: Ends) -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let client = if small_buffer {
        Peer::connect_with_small_buffer(stage.proxy.address()).await?
    } else {
        stage.proxy.connect().await?
    };
    let (mut client, mut app) = open_over(client, &stage).await?;
    client.send(request(1)).await?;
    app.expect(request(1)).await?;
    let (head, body) = answer(ends);
    app.send(&head).await?;
    let announced = if let Ends::AppGoaway = ends { None } else { Some(first_step(&mut client).await?) };
    client.expect(&head).await?;
    if let Some(ping) = &announced {
        client.send(frame(PING, ACK, 0, ping)).await?;
    }
    app.send(&body).await?;
    let app = match ends {
        Ends::EndStream | Ends::Trailers | Ends::Reset => Some(app),
        Ends::AppGoaway => {
            drop(app);
            None
        }
    };

    sleep(PAUSE).await;
    // If the proxy had closed its socket, its kernel would answer these with a reset.
    let update = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]);
    for _ in 0..2 {
        client.send(&update).await?;
        sleep(Duration::from_millis(30)).await;
    }
    client.expect(&body).await?;
    if announced.is_some() {
        last_step(&mut client, 1).await?;
    }
    client.expect_end(End::Fin).await?;
    drop(app);
    Ok(())
}

/// Returns the HEADERS of the response, and the frames after it.
fn answer(ends: Ends) -> (Vec<u8>, Vec<u8>) {
    let head = frame(HEADERS, END_HEADERS, 1, STATUS);
    let mut body = frame(DATA, 0, 1, &[7; 10_000]).repeat(BODY / 10_000);
    match ends {
        Ends::EndStream => body.extend(frame(DATA, END_STREAM, 1, b"")),
        Ends::Trailers => body.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x40\x01x\x01y")),
        Ends::Reset => body.extend(frame(RST_STREAM, 0, 1, &[0, 0, 0, 2])),
        Ends::AppGoaway => {
            body.extend(frame(DATA, END_STREAM, 1, b""));
            return ([no_error_goaway(1), head].concat(), body);
        }
    }
    (head, body)
}

//! The proxy has written a response, but its client has not read it yet: what is in flight survives the end of the
//! connection, however slowly the client reads.

use std::time::Duration;

use test_support::{Cases, End, Peer, TestResult};
use tokio::time::sleep;

use crate::http2_stage::{
    ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, STATUS, WINDOW_UPDATE, first_step, frame, last_step,
    leave, open_over, request,
};
use crate::stage::Stage;

/// A client says and reads nothing for so long. Until then every fixed bound between the last frame and the close is
/// over.
const PAUSE: Duration = Duration::from_secs(9);

/// What the app answers: all of it fits into the kernel between proxy and client, and not into the client's.
const BODY: usize = 60_000;

#[derive(Clone, Copy, Debug)]
enum Ends {
    EndStream,
    Trailers,
    Reset,
    /// With `END_STREAM`, and then the app sends GOAWAY and closes.
    AppLeaves,
}

#[tokio::test]
async fn a_client_that_pauses_gets_its_whole_last_response() -> TestResult {
    let mut cases = Cases::default();
    let (little, plenty, trailers, reset, app_leaves) = tokio::join!(
        paused(true, Ends::EndStream),
        paused(false, Ends::EndStream),
        paused(true, Ends::Trailers),
        paused(true, Ends::Reset),
        paused(true, Ends::AppLeaves),
    );
    cases.note("little room", little);
    cases.note("plenty of room", plenty);
    cases.note("trailers", trailers);
    cases.note("a reset stream", reset);
    cases.note("the app leaves", app_leaves);
    cases.verdict()
}

async fn paused(little_room: bool, ends: Ends) -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let client = if little_room {
        Peer::connect_with_little_room(stage.proxy.address()).await?
    } else {
        stage.proxy.connect().await?
    };
    let (mut client, mut app) = open_over(client, &stage).await?;
    client.send(request(1)).await?;
    app.expect(request(1)).await?;
    let (head, body) = answer(ends);
    app.send(&head).await?;
    let announced = if let Ends::AppLeaves = ends { None } else { Some(first_step(&mut client).await?) };
    client.expect(&head).await?;
    if let Some(ping) = &announced {
        client.send(frame(PING, ACK, 0, ping)).await?;
    }
    app.send(&body).await?;
    let app = match ends {
        Ends::EndStream | Ends::Trailers | Ends::Reset => Some(app),
        Ends::AppLeaves => {
            drop(app);
            None
        }
    };

    sleep(PAUSE).await;
    // What a reset answers to, if the socket was closed.
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

/// Returns the response fields, and everything behind them.
fn answer(ends: Ends) -> (Vec<u8>, Vec<u8>) {
    let head = frame(HEADERS, END_HEADERS, 1, STATUS);
    let mut body = frame(DATA, 0, 1, &[7; 10_000]).repeat(BODY / 10_000);
    match ends {
        Ends::EndStream => body.extend(frame(DATA, END_STREAM, 1, b"")),
        Ends::Trailers => body.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x40\x01x\x01y")),
        Ends::Reset => body.extend(frame(RST_STREAM, 0, 1, &[0, 0, 0, 2])),
        Ends::AppLeaves => {
            body.extend(frame(DATA, END_STREAM, 1, b""));
            return ([leave(1), head].concat(), body);
        }
    }
    (head, body)
}

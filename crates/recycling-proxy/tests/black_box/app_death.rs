//! The app dies in any state of its connection. The client's connection ends at once, after the bytes that the app had
//! sent and no others, and the client can never take an incomplete message for a complete one.

use std::time::Duration;

use test_support::{Cases, End, Peer, TestResult, ensure, ensure_eq};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep, timeout};

use crate::http2_stage::{self as http2, first_step};
use crate::stage::{GET, OK, Stage, UNREACHED, WITHOUT_WAITING, exchange};

/// The state of a connection when its app dies.
struct State {
    name: &'static str,
    limit: u32,
    /// What the client has sent of its request, and the app has seen.
    request: &'static str,
    /// What the client has sent, too, and the proxy does not forward before it is complete.
    withheld: &'static str,
    /// What the app has sent, and the client has received, with the announcement if there is one.
    response: &'static str,
    /// Whether the response is incomplete, so that a reset must reach the client as a reset.
    open: bool,
}

const IDLE: State = State { name: "idle", limit: UNREACHED, request: "", withheld: "", response: "", open: false };
const REQUESTED: State = State { name: "request sent", request: GET, ..IDLE };
const UPLOAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello";
const HALF: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";

fn states() -> Vec<State> {
    vec![
        IDLE,
        State { name: "head half sent", withheld: "GET / HTTP/1.1\r\nHo", ..IDLE },
        REQUESTED,
        State { name: "request body half sent", request: UPLOAD, ..IDLE },
        State { name: "1xx seen", response: "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n", ..REQUESTED },
        State { name: "response head half sent", ..REQUESTED },
        State { name: "response body half sent", response: HALF, open: true, ..REQUESTED },
        State { name: "announced, response body half sent", response: HALF, limit: 1, open: true, ..REQUESTED },
        State { name: "announced and answered", response: OK, limit: 1, ..REQUESTED },
        State { name: "tunnel", request: UPGRADE, response: SWITCHED, open: true, ..IDLE },
    ]
}

#[tokio::test]
async fn an_app_that_dies_ends_the_connection_in_every_state_of_http1() -> TestResult {
    let mut cases = Cases::default();
    for state in states() {
        let stage = Stage::with_limit(state.limit).await?;
        for by in [End::Fin, End::Reset] {
            cases.note(format!("{}, by {by}", state.name), dies(&stage, &state, by).await);
        }
    }
    cases.verdict()
}

async fn dies(stage: &Stage, at: &State, by: End) -> TestResult {
    let (mut client, mut app) = stage.pair().await?;
    if at.limit > 1 {
        exchange(&mut client, &mut app).await?;
    }
    client.send(at.request).await?;
    app.expect(at.request).await?;
    client.send(at.withheld).await?;
    app.send(at.response).await?;
    if at.name == "response head half sent" {
        app.send("HTTP/1.1 200 OK\r\nContent-Le").await?;
    }
    let seen = client.read_exactly(at.response.len() + announcement(at)).await?;
    let begun = Instant::now();
    end(app, by)?;
    let (more, how) = client.read_to_end().await?;
    ensure!(begun.elapsed() < WITHOUT_WAITING, "the client waited {:?}", begun.elapsed());
    ensure_eq!(more.escape_ascii().to_string(), "", "after {}", seen.escape_ascii());
    if at.open {
        ensure_eq!(how, by);
    }
    stage.still_serves().await
}

/// Returns the length of the announcement.
fn announcement(state: &State) -> usize {
    if state.limit == 1 { "Connection: close\r\n".len() } else { 0 }
}

fn end(app: Peer, by: End) -> TestResult {
    match by {
        End::Fin => drop(app),
        End::Reset => app.reset()?,
    }
    Ok(())
}

/// As in HTTP/1: the client gets what the app had sent, and then the end.
#[tokio::test]
async fn an_app_that_dies_ends_the_connection_in_every_state_of_http2() -> TestResult {
    let mut cases = Cases::default();
    let half = http2::frame(http2::HEADERS, http2::END_HEADERS, 1, http2::STATUS);
    for by in [End::Fin, End::Reset] {
        let opening = async {
            let stage = Stage::with_limit(UNREACHED).await?;
            let (mut client, mut app) = stage.pair().await?;
            client.send(http2::PREFACE).await?;
            app.expect(http2::PREFACE).await?;
            ends(client, app, by).await?;
            stage.still_serves().await
        };
        cases.note(format!("before the settings, by {by}"), opening.await);
        for (name, limit, requested, answer) in [
            ("idle", UNREACHED, false, &b""[..]),
            ("stream open", UNREACHED, true, b""),
            ("response half sent", UNREACHED, true, &half),
            ("GOAWAY begun", 1, true, &half),
        ] {
            let outcome = async {
                let stage = Stage::with_limit(limit).await?;
                let (mut client, mut app) = http2::open(&stage).await?;
                if requested {
                    client.send(http2::request(1)).await?;
                    app.expect(http2::request(1)).await?;
                }
                app.send(answer).await?;
                if limit == 1 {
                    first_step(&mut client).await?;
                }
                client.expect(answer).await?;
                ends(client, app, by).await?;
                stage.still_serves().await
            };
            cases.note(format!("{name}, by {by}"), outcome.await);
        }
    }
    cases.verdict()
}

async fn ends(mut client: Peer, app: Peer, by: End) -> TestResult {
    let begun = Instant::now();
    end(app, by)?;
    let (more, _) = client.read_to_end().await?;
    ensure!(begun.elapsed() < WITHOUT_WAITING, "the client waited {:?}", begun.elapsed());
    ensure_eq!(more.escape_ascii().to_string(), "");
    Ok(())
}

/// The app's accept queue is full: the kernel drops the SYN and repeats it a second later. The client may wait as long
/// as it likes.
#[tokio::test]
async fn clients_wait_for_an_app_that_is_slow_to_accept() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let at = stage.app.address();
    let Stage { proxy, app, app_host: _host } = stage;
    drop(app);
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    let busy = socket.listen(1)?;
    // Two fit into a queue of one.
    let _queue = [Peer::connect(at).await?, Peer::connect(at).await?];
    let mut client = proxy.connect().await?;
    client.send(GET).await?;
    sleep(Duration::from_millis(200)).await;
    let serving = async {
        // The connections that fill the queue are silent and stay open.
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = busy.accept().await?;
            let mut request = [0; GET.len()];
            match timeout(Duration::from_millis(500), stream.read_exact(&mut request)).await {
                Ok(_) => stream.write_all(OK.as_bytes()).await?,
                Err(_silent) => {}
            }
            kept.push(stream);
        }
    };
    let answered = async {
        client.expect(OK).await?;
        TestResult::Ok(())
    };
    tokio::select! {
        failed = serving => failed,
        answered = answered => answered,
    }
}

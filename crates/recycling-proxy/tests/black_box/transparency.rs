//! Bytes pass unchanged in both directions.

use test_support::{Cases, LoopbackHost, Peer, ScriptedApp, TestResult, ensure};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::exchange::{Ends, Exchange, interim, long, short};
use crate::generated::Generator;
use crate::stage::{GET, Stage, UNREACHED, WITHOUT_WAITING, close};

#[tokio::test]
async fn every_exchange_passes_verbatim_on_a_connection_of_its_own() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut cases = Cases::default();
    for exchange in short().into_iter().chain(long()) {
        cases.note(&exchange.name, alone(&stage, &exchange).await);
    }
    cases.verdict()
}

async fn alone(stage: &Stage, exchange: &Exchange) -> TestResult {
    let begun = Instant::now();
    let (mut client, mut app) = stage.pair().await?;
    exchange.play(&mut client, &mut app).await?;
    if exchange.ends == Ends::Open {
        close(client, app).await?;
    }
    ensure!(begun.elapsed() < WITHOUT_WAITING, "it took {:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn every_exchange_passes_verbatim_on_one_connection() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    for exchange in short().into_iter().chain(long()).filter(|exchange| exchange.ends == Ends::Open) {
        exchange.play(&mut client, &mut app).await.map_err(|failure| failure.during(&exchange.name))?;
    }
    close(client, app).await
}

/// Many connections at the same time: none receives a byte of another.
#[tokio::test]
async fn generated_messages_pass_verbatim() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut conversations = JoinSet::new();
    for seed in 0..60 {
        let (client, app) = stage.pair().await?;
        conversations.spawn(async move { (format!("seed {seed}"), conversation(seed, client, app).await) });
    }
    let mut cases = Cases::default();
    cases.note_all(conversations).await?;
    cases.verdict()
}

/// Plays ten generated exchanges, written in pieces of any length.
async fn conversation(seed: u64, mut client: Peer, mut app: Peer) -> TestResult {
    let mut generator = Generator::new(seed);
    for _ in 0..10 {
        let exchange = generator.exchange();
        let (sent, received) = (generator.pieces(&exchange.request), &exchange.request);
        tokio::try_join!(client.send_in_pieces(sent), app.expect(received))?;
        let (sent, received) = (generator.pieces(&exchange.response), &exchange.response);
        tokio::try_join!(app.send_in_pieces(sent), client.expect(received))?;
    }
    close(client, app).await
}

#[tokio::test]
async fn messages_that_arrive_byte_by_byte_pass_verbatim() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    let request = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n";
    let response = format!("{}HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;e\r\nok\r\n0\r\n\r\n", interim(1));
    for _ in 0..2 {
        tokio::try_join!(client.send_in_pieces(request.as_bytes().chunks(1)), app.expect(request))?;
        tokio::try_join!(app.send_in_pieces(response.as_bytes().chunks(1)), client.expect(&response))?;
    }
    close(client, app).await
}

/// A body is forwarded while it arrives: no end waits for a complete message.
#[tokio::test]
async fn bytes_are_forwarded_as_they_arrive() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = stage.pair().await?;
    for piece in ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n", "a", "bc", "d"] {
        client.send(piece).await?;
        app.expect(piece).await?;
    }
    for piece in [
        "HTTP/1.1 103 Early Hints\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "1\r\na\r\n",
        "2\r\nbc\r\n",
        "0\r\n\r\n",
    ] {
        app.send(piece).await?;
        client.expect(piece).await?;
    }
    close(client, app).await
}

/// Tests the check itself: it passes on two sockets without a proxy, and fails if a byte is changed.
#[tokio::test]
async fn the_test_notices_a_changed_byte() -> TestResult {
    let host = LoopbackHost::reserve()?;
    let app = ScriptedApp::bind(host.port(8080)).await?;
    for exchange in short().into_iter().chain(long()) {
        let mut client = Peer::connect(app.address()).await?;
        let mut served = app.accept().await?;
        exchange.play(&mut client, &mut served).await?;
    }
    for at in 0..GET.len() {
        let mut client = Peer::connect(app.address()).await?;
        let mut served = app.accept().await?;
        let mut changed = GET.as_bytes().to_vec();
        changed[at] ^= 0x20;
        client.send(&changed).await?;
        ensure!(served.expect(GET).await.is_err(), "byte {at}");
    }
    Ok(())
}

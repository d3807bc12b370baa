//! The proxy's output does not depend on how a message is split into segments.
//!
//! Pieces are sent milliseconds apart. If the kernel joins two of them on a busy machine, that run does not test one
//! split; the unit tests of the parsers test every split.

use std::sync::Arc;

use test_support::{Cases, End, Failure, Peer, TestResult, Unexpected, ensure, ensure_eq};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::exchange::{Ends, Exchange, short};
use crate::stage::{Stage, UNREACHED, close};

/// Concurrent exchanges, so that their pauses overlap.
const AT_ONCE: usize = 48;

/// Where an exchange is split.
struct Split {
    exchange: Arc<Exchange>,
    request: Vec<usize>,
    response: Vec<usize>,
}

#[tokio::test]
async fn exchanges_pass_verbatim_at_every_split() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let splits = short().into_iter().map(Arc::new).flat_map(|exchange| {
        let (request, response) = (exchange.request.len(), exchange.response.len());
        // Both messages are split in the same conversation, each at every place.
        (1..request.max(response)).map(move |at| {
            let within = |length: usize| vec![1 + (at - 1) % (length - 1)];
            Split { exchange: Arc::clone(&exchange), request: within(request), response: within(response) }
        })
    });
    all(&stage, splits).await
}

#[tokio::test]
async fn an_exchange_passes_verbatim_at_every_pair_of_splits() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let shortest = Exchange::new(
        "two splits",
        "PUT / HTTP/1.1\r\nHost:\r\nTransfer-Encoding:chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "HTTP/1.1 100 \r\n\r\nHTTP/1.1 200 \r\nTransfer-Encoding:chunked\r\n\r\n1\r\ny\r\n0\r\n\r\n",
    );
    let exchange = Arc::new(shortest);
    let (request, response) = (exchange.request.len(), exchange.response.len());
    let longer = request.max(response);
    let pairs = (1..longer).flat_map(|first| (first + 1..longer).map(move |second| [first, second]));
    let splits = pairs.map(|at| {
        let within = |length: usize| at.into_iter().filter(|split| *split < length).collect();
        Split { exchange: Arc::clone(&exchange), request: within(request), response: within(response) }
    });
    all(&stage, splits).await
}

/// The announcement is the same wherever the head that it goes into was split.
#[tokio::test]
async fn the_announcement_does_not_depend_on_how_the_head_is_split() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let mut conversations = JoinSet::new();
    for exchange in short().into_iter().filter(|exchange| exchange.ends == Ends::Open).map(Arc::new) {
        let (client, app) = stage.pair().await?;
        let whole: Arc<[u8]> = last_response(&exchange, &[], client, app).await?.into();
        ensure!(whole != exchange.response.as_slice().into(), "{} was not announced", exchange.name);
        for at in 1..exchange.response.len() {
            let (exchange, whole) = (Arc::clone(&exchange), Arc::clone(&whole));
            let (client, app) = stage.pair().await?;
            conversations.spawn(async move {
                let seen = last_response(&exchange, &[at], client, app).await?;
                Unexpected::unless_equal("client", &whole, &seen)?;
                TestResult::Ok(())
            });
        }
        while let Some(conversation) = conversations.join_next().await {
            conversation?.map_err(|failure| failure.during(&exchange.name))?;
        }
    }
    Ok(())
}

/// Everything that the client gets of an exchange that is its connection's last.
async fn last_response(exchange: &Exchange, splits: &[usize], mut client: Peer, mut app: Peer) -> TestResult<Vec<u8>> {
    client.send(&exchange.request).await?;
    app.expect(&exchange.request).await?;
    app.send_in_pieces(pieces(&exchange.response, splits)?).await?;
    let (seen, end) = client.read_to_end().await?;
    ensure_eq!(end, End::Fin);
    Ok(seen)
}

async fn all(stage: &Stage, splits: impl Iterator<Item = Split>) -> TestResult {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut conversations = JoinSet::new();
    for split in splits {
        let place = Arc::clone(&room).acquire_owned().await?;
        let (client, app) = stage.pair().await?;
        conversations.spawn(async move {
            let outcome = play(&split, client, app).await;
            drop(place);
            (format!("{} split at {:?} and {:?}", split.exchange.name, split.request, split.response), outcome)
        });
    }
    let mut cases = Cases::default();
    cases.note_all(conversations).await?;
    cases.verdict()
}

async fn play(split: &Split, mut client: Peer, mut app: Peer) -> TestResult {
    let Exchange { request, response, ends, .. } = &*split.exchange;
    client.send_in_pieces(pieces(request, &split.request)?).await?;
    app.expect(request).await?;
    app.send_in_pieces(pieces(response, &split.response)?).await?;
    client.expect(response).await?;
    match ends {
        Ends::Open => close(client, app).await,
        Ends::ByApp => {
            drop(app);
            Ok(client.expect_end(End::Fin).await?)
        }
    }
}

fn pieces<'a>(message: &'a [u8], splits: &[usize]) -> TestResult<Vec<&'a [u8]>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for split in splits.iter().copied().chain([message.len()]) {
        let piece = message.get(start..split).filter(|piece| !piece.is_empty());
        pieces.push(piece.ok_or_else(|| Failure::new(format!("no split at {split} of {}", message.len())))?);
        start = split;
    }
    Ok(pieces)
}

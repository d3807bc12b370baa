//! The end of a client's connection and of its app's, the same for both relays.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::unless_asked;
use crate::memory::Account;
use crate::relay::ending::Ending;
use crate::transport::linger::{linger, linger_until_read, write_last};
use crate::transport::pair::Pair;
use crate::transport::wire::Wire;

/// What a protocol makes of the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// HTTP/1: a FIN may be the end of a message, and clients say nothing while they read.
    ByConnection,
    /// HTTP/2: frames end messages, and a client may send some while it reads.
    ByFrames {
        /// How long a client is waited for that has not shown that it has read everything; `None` where it has.
        grace: Option<Duration>,
    },
}

/// Ends both connections; returns the number of bytes that the client still sent. A refused client is sent `answer` behind
/// what is on its way to it.
///
/// The memory of what was on its way is free before the client is waited for, which can take long.
pub(super) async fn close<R>(
    pair: Pair,
    ending: &Ending<R>,
    answer: &[u8],
    framing: Framing,
    account: &Arc<Account>,
) -> usize {
    let Pair { client, app, from_client, from_app } = pair;
    match ending {
        Ending::Linger => {
            app.close();
            drop((from_client, from_app));
            wait(client, framing, account).await
        }
        Ending::Abandon => {
            app.reset();
            drop((from_client, from_app));
            wait(client, framing, account).await
        }
        Ending::Refuse(_) => {
            match framing {
                // A FIN would tell the app that what it has is all; where it has nothing of the request, nothing is lost.
                Framing::ByConnection => app.reset(),
                Framing::ByFrames { .. } => drop(app),
            }
            let words = [from_app.buffer.cleared(), answer].concat();
            drop((from_client, from_app));
            account.lingers();
            match unless_asked(account, pin!(write_last(client, &words))).await.flatten() {
                Some(client) => wait(client, framing, account).await,
                None => 0,
            }
        }
        // A tunnel has an end of its own.
        Ending::Close | Ending::Tunnel => {
            client.close();
            app.close();
            0
        }
        Ending::Reset => {
            client.reset();
            app.reset();
            0
        }
    }
}

/// Waits until the client has read everything, or its place is needed for others.
async fn wait(client: Wire, framing: Framing, account: &Account) -> usize {
    match framing {
        Framing::ByConnection | Framing::ByFrames { grace: None } => {
            unless_asked(account, pin!(linger(client))).await.unwrap_or_default()
        }
        Framing::ByFrames { grace: Some(grace) } => {
            unless_asked(account, pin!(linger_until_read(client, grace))).await;
            0
        }
    }
}

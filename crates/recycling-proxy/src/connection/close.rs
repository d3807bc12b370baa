//! Closes a client's connection and its app's, the same way for both relays.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::eviction::unless_evicted;
use crate::memory::Account;
use crate::relay::ending::Ending;
use crate::transport::linger::{linger, linger_until_read, write_last};
use crate::transport::pair::Pair;
use crate::transport::wire::Wire;

/// How a protocol marks the end of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// HTTP/1: a FIN may end a message, and clients send nothing while they read.
    ByConnection,
    /// HTTP/2: frames end messages, and a client may send some while it reads.
    ByFrames {
        /// How long to wait for a client that has not shown that it has read everything; `None` if it has.
        grace: Option<Duration>,
    },
}

/// Closes both connections. Returns the number of bytes that the client still sent. A refused client gets `response`
/// after the bytes in flight.
///
/// The memory of bytes in flight is freed before the wait for the client, which can take long.
pub(super) async fn close<R>(
    pair: Pair,
    ending: &Ending<R>,
    response: &[u8],
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
                // After a FIN the app could take an incomplete request for a complete one.
                Framing::ByConnection => app.reset(),
                Framing::ByFrames { .. } => drop(app),
            }
            let last = [from_app.buffer.cleared(), response].concat();
            drop((from_client, from_app));
            account.begin_lingering();
            match unless_evicted(account, pin!(write_last(client, &last))).await.flatten() {
                Some(client) => wait(client, framing, account).await,
                None => 0,
            }
        }
        // The tunnel closes its connections itself.
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

/// Waits until the client has read everything, or the connection is evicted.
async fn wait(client: Wire, framing: Framing, account: &Account) -> usize {
    match framing {
        Framing::ByConnection | Framing::ByFrames { grace: None } => {
            unless_evicted(account, pin!(linger(client))).await.unwrap_or_default()
        }
        Framing::ByFrames { grace: Some(grace) } => {
            unless_evicted(account, pin!(linger_until_read(client, grace))).await;
            0
        }
    }
}

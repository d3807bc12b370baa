//! The end of a client's connection and of its app's, the same for both relays.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::eviction::unless_evicted;
use crate::memory::Account;
use crate::relay::ending::Ending;
use crate::transport::linger::{linger, linger_until_read, write_last};
use crate::transport::pair::Pair;
use crate::transport::wire::Wire;

/// The meaning of the end of a connection in a protocol.
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

/// Closes both connections. Returns the number of bytes that the client still sent. A refused client gets `answer`
/// after the bytes in flight.
///
/// The memory of bytes in flight is freed before the wait for the client, which can take long.
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
                // After a FIN the app could take an incomplete request for a complete one.
                Framing::ByConnection => app.reset(),
                Framing::ByFrames { .. } => drop(app),
            }
            let words = [from_app.buffer.cleared(), answer].concat();
            drop((from_client, from_app));
            account.lingers();
            match unless_evicted(account, pin!(write_last(client, &words))).await.flatten() {
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

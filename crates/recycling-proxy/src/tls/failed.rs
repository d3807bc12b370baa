//! A failed handshake, and the close of its connection.

use tokio::net::TcpStream;

use super::fault::TlsFault;
use crate::relay::side::Side;
use crate::transport::linger::linger;
use crate::transport::wire::Wire;

/// A failed handshake.
#[derive(Debug)]
pub(super) struct Failed {
    /// The peer.
    pub(super) side: Side,
    /// The reason.
    pub(super) fault: TlsFault,
    /// The client's connection, if the client may still have to read an alert.
    pub(super) client: Option<TcpStream>,
}

impl Failed {
    pub(super) async fn close(self) {
        match (self.side, self.client) {
            (Side::Client, Some(client)) => _ = linger(Wire::from(client)).await,
            // As for an app that does not listen, the client's connection is reset.
            (Side::App, Some(client)) => Wire::from(client).reset(),
            (Side::Client | Side::App, None) => {}
        }
    }
}

//! A handshake that came to nothing, and the end of its client.

use tokio::net::TcpStream;

use super::fault::TlsFault;
use crate::relay::side::Side;
use crate::transport::linger::linger;
use crate::transport::wire::Wire;

/// A handshake that came to nothing.
#[derive(Debug)]
pub(super) struct Failed {
    /// With whom.
    pub(super) side: Side,
    /// Why.
    pub(super) fault: TlsFault,
    /// The client, where it may still have an alert to read.
    pub(super) client: Option<TcpStream>,
}

impl Failed {
    pub(super) async fn close(self) {
        match (self.side, self.client) {
            (Side::Client, Some(client)) => _ = linger(Wire::from(client)).await,
            // An app that cannot be spoken to is as one that does not listen.
            (Side::App, Some(client)) => Wire::from(client).reset(),
            (Side::Client | Side::App, None) => {}
        }
    }
}

//! An app whose every byte the test decides.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::peer::Peer;
use crate::unexpected::{Unexpected, within_timeout};

/// A listening app. Dropped, it is down; bound again at the same address, it is back.
#[derive(Debug)]
pub struct ScriptedApp {
    listener: TcpListener,
    address: SocketAddr,
}

impl ScriptedApp {
    /// Starts to listen.
    pub async fn bind(at: SocketAddr) -> Result<Self, Unexpected> {
        let io = |source| Unexpected::Io { who: "app".to_owned(), what: "listen", source };
        let listener = TcpListener::bind(at).await.map_err(io)?;
        let address = listener.local_addr().map_err(io)?;
        Ok(Self { listener, address })
    }

    /// Returns where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts the next connection.
    pub async fn accept(&self) -> Result<Peer, Unexpected> {
        let accepted = within_timeout("app", "a connection", self.listener.accept()).await?;
        let (stream, _) =
            accepted.map_err(|source| Unexpected::Io { who: "app".to_owned(), what: "accept", source })?;
        Peer::new("app", stream)
    }
}

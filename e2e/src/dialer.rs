//! The connections of clients whose library opens them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

/// Connects to one address, whatever the URI, and numbers the connections.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    address: SocketAddr,
    newest: Arc<Mutex<Place>>,
}

/// The numbers of a connection and of a response on it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) connection: u32,
    /// From 1. It counts on the newest connection, even while an older one is still open.
    pub(crate) ordinal: u32,
}

impl Dialer {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, newest: Arc::default() }
    }

    /// Counts a response.
    pub(crate) fn answered(&self) -> Place {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.ordinal += 1;
        *newest
    }

    fn opened(&self) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = Place { connection: newest.connection + 1, ordinal: 0 };
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(dialer.address).await?;
            stream.set_nodelay(true)?;
            dialer.opened();
            Ok(TokioIo::new(stream))
        })
    }
}

//! A client's connection and the app's, with the bytes in flight between them.

use std::sync::Arc;

use tokio::net::TcpStream;

use crate::memory::Account;
use crate::relay::side::Side;
use crate::transport::flow::Flow;
use crate::transport::wire::Wire;

/// A client's connection and the app's, with the bytes in flight between them.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) client: Wire,
    pub(crate) app: Wire,
    pub(crate) from_client: Flow,
    pub(crate) from_app: Flow,
}

impl Pair {
    pub(crate) fn new(client: TcpStream, app: TcpStream) -> Self {
        Self { client: client.into(), app: app.into(), from_client: Flow::default(), from_app: Flow::default() }
    }

    /// Charges the memory of bytes in flight to `account`.
    pub(crate) fn charged_to(mut self, account: &Arc<Account>) -> Self {
        self.from_client.buffer.charge(account, Side::Client);
        self.from_app.buffer.charge(account, Side::App);
        self
    }

    /// Returns a pair whose client and app are the test's.
    #[cfg(test)]
    pub(crate) async fn with_far_ends() -> (TcpStream, TcpStream, Self) {
        let connection = async || {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (far, near) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
            let near = near.unwrap().0;
            // As those of the listener and the dialer.
            near.set_nodelay(true).unwrap();
            (far.unwrap(), near)
        };
        let ((client, to_client), (app, to_app)) = tokio::join!(connection(), connection());
        (client, app, Self::new(to_client, to_app))
    }
}

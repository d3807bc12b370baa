//! Accepts client connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use settings::AppAddress;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::app::dial::App;
use crate::memory::Memory;
use crate::metrics::counter;
use crate::process::workers::{Accepted, Workers};
use crate::transport::descriptors::{PAUSE, is_shortage};
use crate::transport::socket_memory::bound_of_clients;
use crate::transport::wire::Wire;
use redirect::{Destination, KEEP_TRACKED_EVERY, keep_tracked, original_destination};

/// A listening socket, and where its connections go.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    /// `None` where each connection is asked for its original destination.
    app: Option<AppAddress>,
}

/// Where accepted connections go.
#[derive(Debug)]
pub(crate) struct Acceptor {
    memory: Arc<Memory>,
    workers: Workers,
    pauses: Counter,
}

impl Acceptor {
    pub(crate) fn register(memory: Arc<Memory>, workers: Workers, registry: &mut Registry) -> Self {
        let help = "Pauses in accepting connections for lack of file descriptors or memory";
        Self { memory, workers, pauses: counter(registry, "accept_pauses", help) }
    }
}

impl Listener {
    pub(crate) fn bind(address: SocketAddr, app: Option<AppAddress>) -> io::Result<Self> {
        let socket = daemon::listen(address)?;
        // On Linux what is accepted inherits these, which saves each connection four system calls.
        SockRef::from(&socket).set_tcp_nodelay(true)?;
        bound_of_clients(&socket)?;
        // A client that has vanished is noticed, too, which the app's own probes no longer do.
        keep_tracked(&socket, KEEP_TRACKED_EVERY)?;
        Ok(Self { socket, app })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts for as long as it is polled. A place is taken for what was accepted, so that a listener to which nobody comes
    /// holds none; one connection of each can be accepted and wait for its place.
    pub(crate) async fn run(&self, acceptor: &Acceptor) {
        loop {
            match self.socket.accept().await {
                Ok((client, _)) => self.take(client, acceptor).await,
                Err(error) => Self::failed(&error, &acceptor.pauses).await,
            }
        }
    }

    async fn take(&self, client: TcpStream, acceptor: &Acceptor) {
        match self.prepare(&client) {
            Ok(Some(app)) => {
                let place = acceptor.memory.admit().await;
                acceptor.workers.hand(Accepted { client, app, place });
            }
            Ok(None) => {
                tracing::debug!("a connection to the proxy's own port, which no rule redirected, is reset");
                Wire::from(client).reset();
            }
            // The client has left in the meantime.
            Err(error) => tracing::debug!(%error, "a connection was closed before it was served"),
        }
    }

    fn prepare(&self, client: &TcpStream) -> io::Result<Option<App>> {
        if let Some(app) = self.app {
            // On a socket for IPv6 and IPv4, IPv4 addresses come as IPv6.
            return Ok(Some(App::of(app, client.local_addr()?.ip().to_canonical())));
        }
        Ok(match original_destination(client)? {
            Destination::Redirected(meant) => Some(App::OfPod { port: meant.port(), pod: meant.ip() }),
            Destination::Direct => None,
        })
    }

    async fn failed(error: &io::Error, pauses: &Counter) {
        if is_shortage(error) {
            // The connection stays in the queue; trying at once again would only burn CPU.
            pauses.inc();
            tracing::warn!(%error, "accepting pauses: the system has no descriptor or memory left for the proxy");
            sleep(PAUSE).await;
        } else {
            // All others are of the connection that was not accepted (accept(2)).
            tracing::debug!(%error, "a connection was closed before it was accepted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_have_the_options_of_the_listening_socket() {
        let listener = Listener::bind("[::1]:0".parse().unwrap(), None).unwrap();
        let _client = TcpStream::connect(listener.address().unwrap()).await.unwrap();
        let (accepted, _) = listener.socket.accept().await.unwrap();
        let options = SockRef::from(&accepted);
        assert!(options.tcp_nodelay().unwrap() && options.keepalive().unwrap());
        assert_eq!(options.tcp_keepalive_time().unwrap(), KEEP_TRACKED_EVERY);
        assert_eq!(options.tcp_keepalive_interval().unwrap(), KEEP_TRACKED_EVERY);
    }
}

//! Accepts client connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use settings::AppAddress;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::app::dial::App;
use crate::memory::Memory;
use crate::metrics::counter;
use crate::process::workers::{Accepted, Workers};
use crate::transport::descriptors::{PAUSE, is_shortage};
use crate::transport::socket_memory::bound_of_clients;
use crate::transport::wire::Wire;
use redirect::{Destination, KEEP_TRACKED_EVERY, keep_tracked, original_destination};

/// A listening socket, with the app of its connections.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    /// The app; `None` if the original destination of each connection decides.
    app: Option<AppAddress>,
}

/// Accepts connections, and passes them to worker threads.
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
        // On Linux accepted sockets inherit these options, which saves four system calls per connection.
        SockRef::from(&socket).set_tcp_nodelay(true)?;
        bound_of_clients(&socket)?;
        // Keepalive also detects clients that no longer exist, which the app's own keepalive no longer does.
        keep_tracked(&socket, KEEP_TRACKED_EVERY)?;
        Ok(Self { socket, app })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts connections until the sender of `stop` is dropped, and then those in the accept queue, because closing the
    /// socket would reset them. A slot is taken after a connection is accepted, so that a listener without connections
    /// holds none. One accepted connection of each listener may wait for a slot.
    pub(crate) async fn run(self, acceptor: Arc<Acceptor>, mut stop: watch::Receiver<()>) {
        let Self { socket, app } = self;
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                _ = stop.changed() => break,
            };
            match accepted {
                Ok((client, _)) => take(client, app, &acceptor).await,
                Err(error) => failed(&error, &acceptor.pauses).await,
            }
        }
        let Ok(socket) = socket.into_std() else { return };
        loop {
            match socket.accept().map(|(client, _)| from_std(client)) {
                Ok(Ok(client)) => take(client, app, &acceptor).await,
                Ok(Err(error)) => tracing::debug!(%error, "a connection was closed before it was served"),
                Err(error) if is_shortage(&error) => failed(&error, &acceptor.pauses).await,
                // The queue is empty (`WouldBlock`), or the socket has failed.
                Err(_) => return,
            }
            // Clients may connect faster than this loop takes their connections.
            yield_now().await;
        }
    }
}

fn from_std(client: std::net::TcpStream) -> io::Result<TcpStream> {
    client.set_nonblocking(true)?;
    TcpStream::from_std(client)
}

async fn take(client: TcpStream, app: Option<AppAddress>, acceptor: &Acceptor) {
    match prepare(&client, app) {
        Ok(Some(app)) => {
            let slot = acceptor.memory.admit().await;
            acceptor.workers.hand(Accepted { client, app, slot });
        }
        Ok(None) => {
            tracing::debug!("resetting a connection to the proxy's own port, which no rule redirected");
            Wire::from(client).reset();
        }
        // The client has closed the connection in the meantime.
        Err(error) => tracing::debug!(%error, "a connection was closed before it was served"),
    }
}

/// Returns the app of an accepted connection; `None` if nothing redirected the connection.
fn prepare(client: &TcpStream, app: Option<AppAddress>) -> io::Result<Option<App>> {
    if let Some(app) = app {
        // A dual-stack socket has IPv4-mapped addresses.
        return Ok(Some(App::of(app, client.local_addr()?.ip().to_canonical())));
    }
    Ok(match original_destination(client)? {
        Destination::Redirected(destination) => Some(App::OfPod { port: destination.port(), pod: destination.ip() }),
        Destination::Direct => None,
    })
}

async fn failed(error: &io::Error, pauses: &Counter) {
    if is_shortage(error) {
        // The connection stays in the queue, and accepting again at once would fail again.
        pauses.inc();
        tracing::warn!(%error, "accepting pauses: the system has no descriptor or memory left for the proxy");
        sleep(PAUSE).await;
    } else {
        // All other errors concern the connection that was not accepted (accept(2)).
        tracing::debug!(%error, "a connection was closed before it was accepted");
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

//! The `ClientHello` of a handshake.

use std::io::{self, Read};

use rustls::server::{Accepted, Acceptor};
use tokio::net::TcpStream;

use super::alpn::Alpn;
use super::failed::Failed;
use super::fault::TlsFault;
use crate::relay::side::Side;

/// A `ClientHello`, and the client's connection.
pub(super) struct Hello {
    pub(super) client: TcpStream,
    pub(super) accepted: Accepted,
    /// The client's ALPN offers that the relays support, in its order.
    pub(super) offers: Vec<Alpn>,
    /// The server name (SNI).
    pub(super) name: Option<String>,
}

impl Hello {
    /// Reads the message; `seen` are its first bytes.
    pub(super) async fn read(client: TcpStream, seen: &[u8]) -> Result<Self, Failed> {
        match accepted(&client, seen).await {
            Ok(accepted) => {
                let hello = accepted.client_hello();
                let offers = hello.alpn().into_iter().flatten().filter_map(Alpn::of_name).collect();
                let name = hello.server_name().map(str::to_owned);
                Ok(Self { client, accepted, offers, name })
            }
            Err(fault) => Err(Failed { side: Side::Client, fault, client: Some(client) }),
        }
    }
}

async fn accepted(client: &TcpStream, mut seen: &[u8]) -> Result<Accepted, TlsFault> {
    let mut acceptor = Acceptor::default();
    while !seen.is_empty() {
        acceptor.read_tls(&mut seen).map_err(|_| TlsFault::Garbled)?;
    }
    loop {
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut bytes = Vec::new();
                // The alert has a few bytes, which the socket accepts unless the client has closed the connection.
                let _ = alert.write_all(&mut bytes).and_then(|()| client.try_write(&bytes));
                return Err(TlsFault::of_tls(&error));
            }
        }
        client.readable().await.map_err(|_| TlsFault::Left)?;
        match acceptor.read_tls(&mut Readable(client)) {
            Ok(0) => return Err(TlsFault::Left),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(TlsFault::of_io(&error)),
        }
    }
}

/// A socket, read without waiting.
struct Readable<'a>(&'a TcpStream);

impl Read for Readable<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(room)
    }
}

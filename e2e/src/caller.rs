//! The clients of a fleet, by protocol.

use std::fmt;
use std::net::SocketAddr;

use serde::{Serialize, Serializer};
use tokio::time::timeout;

use crate::client::{Answer, Client, Failure, FailureKind, TIMEOUT};
use crate::grpc::GrpcClient;
use crate::http2::Http2Client;

/// The protocol of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP/1.1 with keep-alive: a connection for each.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
    /// gRPC without TLS.
    Grpc,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Http1, Self::Http2, Self::Grpc];

    /// Returns its name in figures.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Grpc => "gRPC",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

/// Sends one request after another.
#[derive(Debug)]
pub(crate) enum Caller {
    Http1(Client),
    Http2(Http2Client),
    Grpc(GrpcClient),
}

impl Caller {
    /// Returns clients that connect to these addresses in turn. Over HTTP/2 and gRPC, `sharing` of them use one
    /// connection.
    pub(crate) fn several(protocol: Protocol, addresses: &[SocketAddr], callers: usize, sharing: usize) -> Vec<Self> {
        let mut addresses = addresses.iter().copied().cycle();
        let mut clients = Vec::new();
        while let Some(address) = addresses.next().filter(|_| clients.len() < callers) {
            match protocol {
                Protocol::Http1 => clients.push(Self::Http1(Client::new(address))),
                Protocol::Http2 => {
                    let client = Http2Client::new(address);
                    clients.extend((0..sharing).map(|_| Self::Http2(client.clone())));
                }
                Protocol::Grpc => {
                    let client = GrpcClient::new(address);
                    clients.extend((0..sharing).map(|_| Self::Grpc(client.clone())));
                }
            }
        }
        clients.truncate(callers);
        clients
    }

    /// Sends a request and reads the whole response.
    pub(crate) async fn call(&mut self) -> Result<Answer, Failure> {
        match self {
            Self::Http1(client) => client.get().await,
            Self::Http2(client) => with_timeout(client.get()).await,
            Self::Grpc(client) => with_timeout(client.call()).await,
        }
    }
}

async fn with_timeout(exchange: impl Future<Output = Result<Answer, Failure>>) -> Result<Answer, Failure> {
    timeout(TIMEOUT, exchange).await.unwrap_or_else(|elapsed| Err(FailureKind::Timeout.because(&elapsed)))
}

//! A gRPC client: tonic's channel, unchanged.

use std::error::Error as _;
use std::net::SocketAddr;

use bytes::{Buf as _, BufMut as _, Bytes};
use hyper::http::uri::PathAndQuery;
use tokio::time::Instant;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use crate::client::{Answer, Failure, FailureKind};
use crate::dialer::Dialer;

const MESSAGE: &[u8] = b"a message";

/// Clients that share a channel, which has one connection at a time. A call that was not sent because the connection
/// had received GOAWAY is retried: gRPC requires that of clients, and tonic does not do it. Nothing else is retried.
#[derive(Clone, Debug)]
pub(crate) struct GrpcClient {
    channel: Grpc<Channel>,
    dialer: Dialer,
}

impl GrpcClient {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let dialer = Dialer::new(address);
        let channel = Endpoint::from_static("http://web").connect_with_connector_lazy(dialer.clone());
        Self { channel: Grpc::new(channel), dialer }
    }

    /// Sends a call. The app responds with the same message.
    pub(crate) async fn call(&mut self) -> Result<Answer, Failure> {
        let started = Instant::now();
        let mut outcome = self.send().await;
        while outcome.as_ref().is_err_and(is_unsent) {
            outcome = self.send().await;
        }
        let response = outcome.map_err(|status| FailureKind::Status.because(&status))?;
        let place = self.dialer.answered();
        if *response.get_ref() != MESSAGE {
            let detail = format!("another message of {} bytes", response.get_ref().len());
            return Err(Failure { kind: FailureKind::Body, detail });
        }
        let pod = response.metadata().get("x-pod").and_then(|pod| pod.to_str().ok()).unwrap_or("?").into();
        let latency = started.elapsed();
        Ok(Answer { pod, connection: place.connection, ordinal: place.ordinal, closes: false, latency })
    }

    async fn send(&mut self) -> Result<Response<Bytes>, Status> {
        self.channel.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let path = PathAndQuery::from_static("/echo.Echo/Say");
        self.channel.unary(Request::new(Bytes::from_static(MESSAGE)), path, Raw).await
    }
}

/// Returns whether hyper returned the request unsent because its connection was closing.
fn is_unsent(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return error.is_canceled();
        }
        cause = error.source();
    }
    false
}

/// A codec that leaves messages as bytes.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

//! tonic with one channel, and messages that are not decoded. Arguments: URL REQUESTS CONCURRENCY.

use anyhow::Result;
use bytes::{Buf as _, BufMut as _, Bytes};
use soak_http2_clients::{BODY, arguments, run};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Request, Status};

#[tokio::main]
async fn main() -> Result<()> {
    let (url, count, concurrency) = arguments()?;
    let channel = Endpoint::from_shared(url)?.connect_lazy();
    run(count, concurrency, move || {
        let mut client = Grpc::new(channel.clone());
        async move {
            client.ready().await?;
            let path = PathAndQuery::from_static("/echo.Echo/Say");
            Ok(client.unary(Request::new(BODY), path, Raw).await?.into_inner())
        }
    })
    .await
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

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

//! A TCP listener that holds a bounded number of connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_server::{AddrListener, Address};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A connection costs some 50 KiB, half of it for TLS; more than these wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 1024;

/// The address of a listener that holds at most 1024 connections, or of somebody who connected to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BoundedAddress(pub(crate) SocketAddr);

/// Accepts a connection only when there is room for it.
#[derive(Debug)]
pub(crate) struct BoundedListener {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

/// A connection that gives its place back when it is dropped.
#[derive(Debug)]
pub(crate) struct BoundedStream {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl Address for BoundedAddress {
    type Stream = BoundedStream;
    type Listener = BoundedListener;
}

impl BoundedListener {
    async fn bind(address: SocketAddr, most: usize) -> io::Result<Self> {
        let listener = match TcpListener::bind(address).await {
            // A machine without IPv6: every address is every IPv4 address there.
            Err(_) if address.is_ipv6() && address.ip().is_unspecified() => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await?
            }
            bound => bound?,
        };
        Ok(Self { listener, room: Arc::new(Semaphore::new(most)) })
    }
}

impl AddrListener<BoundedStream, BoundedAddress> for BoundedListener {
    async fn bind_to(address: BoundedAddress) -> io::Result<Self> {
        Self::bind(address.0, MOST_CONNECTIONS).await
    }

    async fn accept_stream(&self) -> io::Result<(BoundedStream, BoundedAddress)> {
        let place = Arc::clone(&self.room).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, peer) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((BoundedStream { stream, _place: place }, BoundedAddress(peer)))
    }

    fn get_local_addr(&self) -> io::Result<BoundedAddress> {
        self.listener.local_addr().map(BoundedAddress)
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_full_listener_accepts_again_when_somebody_left() {
        let listener = BoundedListener::bind((Ipv4Addr::LOCALHOST, 0).into(), 2).await.unwrap();
        let address = listener.get_local_addr().unwrap().0;
        // The kernel's queue takes them all.
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let first = listener.accept_stream().await.unwrap();
        let _second = listener.accept_stream().await.unwrap();
        assert!(listener.accept_stream().now_or_never().is_none());
        drop(first);
        listener.accept_stream().await.unwrap();
    }

    #[tokio::test]
    async fn every_address_takes_ipv4_too() {
        let listener = BoundedListener::bind("[::]:0".parse().unwrap(), 1).await.unwrap();
        let port = listener.get_local_addr().unwrap().0.port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    }
}

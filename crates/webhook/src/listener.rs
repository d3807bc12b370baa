//! A TCP listener that holds a bounded number of connections.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum_server::{AddrListener, Address};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::slots::{Connection, Slot, Slots};

/// A connection costs up to 50 KiB, half of it for TLS. One more than these evicts another.
const MOST_CONNECTIONS: usize = 512;
/// Bytes for bodies that are read or handled: five of the largest, or hundreds of the usual size.
const MOST_BODY_BYTES: u32 = 16 << 20;

/// The address of a listener that holds at most 512 connections, or of a peer that has connected to it.
#[derive(Clone, Debug)]
pub(crate) struct BoundedAddress {
    pub(crate) socket: SocketAddr,
    /// `None` for the listener's own address.
    connection: Option<Connection>,
}

/// Accepts every connection. If there are too many, it evicts another one as [`Slots`] says.
#[derive(Debug)]
pub(crate) struct BoundedListener {
    listener: TcpListener,
    slots: Slots,
}

/// A connection with a slot, which is free again once this is dropped. Reads and writes fail once the connection is
/// evicted.
#[derive(Debug)]
pub(crate) struct BoundedStream {
    stream: TcpStream,
    slot: Slot,
}

impl BoundedAddress {
    pub(crate) fn of_listener(socket: SocketAddr) -> Self {
        Self { socket, connection: None }
    }
}

impl Address for BoundedAddress {
    type Stream = BoundedStream;
    type Listener = BoundedListener;
}

impl Connected<BoundedAddress> for Connection {
    fn connect_info(peer: BoundedAddress) -> Self {
        peer.connection.expect("every accepted connection has a slot")
    }
}

impl BoundedListener {
    fn bind(address: SocketAddr, most: usize) -> io::Result<Self> {
        Ok(Self { listener: daemon::listen(address)?, slots: Slots::new(most, MOST_BODY_BYTES) })
    }
}

impl AddrListener<BoundedStream, BoundedAddress> for BoundedListener {
    async fn bind_to(address: BoundedAddress) -> io::Result<Self> {
        Self::bind(address.socket, MOST_CONNECTIONS)
    }

    async fn accept_stream(&self) -> io::Result<(BoundedStream, BoundedAddress)> {
        let (stream, socket) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        let slot = self.slots.acquire().await.map_err(io::Error::other)?;
        let peer = BoundedAddress { socket, connection: Some(slot.connection().clone()) };
        Ok((BoundedStream { stream, slot }, peer))
    }

    fn get_local_addr(&self) -> io::Result<BoundedAddress> {
        self.listener.local_addr().map(BoundedAddress::of_listener)
    }
}

impl BoundedStream {
    /// Returns an error once the connection is evicted.
    fn check_eviction(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.slot.poll_evicted(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "evicted for another connection")),
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check_eviction(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check_eviction(cx)?;
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
        self.check_eviction(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_full_listener_evicts_the_oldest_unanswered_connection() {
        let listener = BoundedListener::bind((Ipv4Addr::LOCALHOST, 0).into(), 2).unwrap();
        let address = listener.get_local_addr().unwrap().socket;
        let mut clients = Vec::new();
        let mut accepted = Vec::new();
        for index in 0..2 {
            clients.push(TcpStream::connect(address).await.unwrap());
            let (stream, peer) = listener.accept_stream().await.unwrap();
            if index == 0 {
                peer.connection.unwrap().answered();
            }
            accepted.push(tokio::spawn(async move { { stream }.read_u8().await.map_err(|error| error.kind()) }));
        }
        clients.push(TcpStream::connect(address).await.unwrap());
        listener.accept_stream().await.unwrap();
        assert_eq!(accepted.pop().unwrap().await.unwrap(), Err(io::ErrorKind::ConnectionAborted));
        assert!(!accepted[0].is_finished());
    }
}

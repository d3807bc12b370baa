//! A TCP listener that holds a bounded number of connections.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum_server::{AddrListener, Address};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::places::{Guest, Place, Places};

/// A connection costs up to 50 KiB, half of it for TLS; for one more than these, another has to go.
const MOST_CONNECTIONS: usize = 512;
/// For the bodies that are being read or judged: five of the largest, or hundreds of the usual size.
const MOST_BYTES: u32 = 16 << 20;

/// The address of a listener that holds at most 512 connections, or of somebody who connected to it.
#[derive(Clone, Debug)]
pub(crate) struct BoundedAddress {
    pub(crate) socket: SocketAddr,
    /// `None` for a listener's own.
    guest: Option<Guest>,
}

/// Accepts a connection whoever else is there: they make room for it, as [`Places`] says.
#[derive(Debug)]
pub(crate) struct BoundedListener {
    listener: TcpListener,
    places: Places,
}

/// A connection that gives its place back when it is dropped, and breaks when it has to.
#[derive(Debug)]
pub(crate) struct BoundedStream {
    stream: TcpStream,
    place: Place,
}

impl BoundedAddress {
    pub(crate) fn of_listener(socket: SocketAddr) -> Self {
        Self { socket, guest: None }
    }
}

impl Address for BoundedAddress {
    type Stream = BoundedStream;
    type Listener = BoundedListener;
}

impl Connected<BoundedAddress> for Guest {
    fn connect_info(peer: BoundedAddress) -> Self {
        peer.guest.expect("whoever connects has a place")
    }
}

impl BoundedListener {
    fn bind(address: SocketAddr, most: usize) -> io::Result<Self> {
        Ok(Self { listener: daemon::listen(address)?, places: Places::new(most, MOST_BYTES) })
    }
}

impl AddrListener<BoundedStream, BoundedAddress> for BoundedListener {
    async fn bind_to(address: BoundedAddress) -> io::Result<Self> {
        Self::bind(address.socket, MOST_CONNECTIONS)
    }

    async fn accept_stream(&self) -> io::Result<(BoundedStream, BoundedAddress)> {
        let (stream, socket) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        let place = self.places.take().await.map_err(io::Error::other)?;
        let peer = BoundedAddress { socket, guest: Some(place.guest().clone()) };
        Ok((BoundedStream { stream, place }, peer))
    }

    fn get_local_addr(&self) -> io::Result<BoundedAddress> {
        self.listener.local_addr().map(BoundedAddress::of_listener)
    }
}

impl BoundedStream {
    /// An error once another needs the place.
    fn stay(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.place.poll_leave(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "another needs the place")),
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stay(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stay(cx)?;
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
        self.stay(cx)?;
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
    async fn in_a_full_listener_the_oldest_silent_one_makes_room() {
        let listener = BoundedListener::bind((Ipv4Addr::LOCALHOST, 0).into(), 2).unwrap();
        let address = listener.get_local_addr().unwrap().socket;
        let mut clients = Vec::new();
        let mut accepted = Vec::new();
        for index in 0..2 {
            clients.push(TcpStream::connect(address).await.unwrap());
            let (stream, peer) = listener.accept_stream().await.unwrap();
            if index == 0 {
                peer.guest.unwrap().answered();
            }
            accepted.push(tokio::spawn(async move { { stream }.read_u8().await.map_err(|error| error.kind()) }));
        }
        clients.push(TcpStream::connect(address).await.unwrap());
        listener.accept_stream().await.unwrap();
        assert_eq!(accepted.pop().unwrap().await.unwrap(), Err(io::ErrorKind::ConnectionAborted));
        assert!(!accepted[0].is_finished());
    }
}

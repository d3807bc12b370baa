//! An app that answers, sends a long response, or does not read, depending on the request.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::OK;

/// More bytes than socket buffers hold.
const LONG: usize = 64 << 20;
/// Thousands of connections must not use up the kernel's memory for sockets.
const SEND_BUFFER: u32 = 64 << 10;
const BACKLOG: u32 = 4096;
const HTTP2_SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\x01\0\0";

/// The app behind a proxy that is attacked. It serves until it is dropped.
#[derive(Debug)]
pub struct AttackedApp {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl AttackedApp {
    /// Serves on `address` (IPv4), on the caller's runtime.
    pub fn start(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(async move {
                    // Clients may close their connections early.
                    let _ = serve(stream).await;
                });
            }
        });
        Ok(Self { address, _serving: serving })
    }

    /// Returns the address on which it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = seen.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head: Vec<u8> = seen.drain(..end + 4).collect();
            match head.get(..4) {
                Some(b"PRI ") => {
                    stream.write_all(HTTP2_SETTINGS).await?;
                    while stream.read(&mut piece).await? > 0 {
                        if piece.starts_with(b"dddd") {
                            std::future::pending::<()>().await;
                        }
                    }
                }
                Some(b"POST") => std::future::pending().await,
                _ if head.starts_with(b"GET /much ") => {
                    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n").as_bytes()).await?;
                    for _ in 0..LONG / piece.len() {
                        stream.write_all(&piece).await?;
                    }
                }
                _ => stream.write_all(OK.as_bytes()).await?,
            }
        }
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            return Ok(());
        }
        seen.extend_from_slice(&piece[..count]);
    }
}

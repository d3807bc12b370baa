//! The header of the PROXY protocol, version 1: the first line of a connection.

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// The header of a client that connects for itself.
pub(crate) const UNKNOWN: &str = "PROXY UNKNOWN\r\n";

/// The longest header of version 1 with its CRLF, in bytes.
const LONGEST: usize = 107;

/// Reads the line, and nothing behind it.
pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<()> {
    let mut line = Vec::with_capacity(LONGEST);
    while line.len() < LONGEST && !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await?);
    }
    if line.starts_with(b"PROXY ") && line.ends_with(b"\r\n") { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

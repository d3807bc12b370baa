//! Asking an app whether it is well, as an `exec` probe does beside it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};

/// Longer than a kubelet waits, as it is told to by default.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the app at `address` for `/healthz`; `header` is what it expects at the beginning of a connection.
pub(crate) fn check(address: SocketAddr, header: &str) -> anyhow::Result<()> {
    let mut stream =
        TcpStream::connect_timeout(&address, PATIENCE).with_context(|| format!("nothing listens on {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "{header}GET /healthz HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("no answer")?;
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "not well: {}", String::from_utf8_lossy(&answer));
    Ok(())
}

//! A health check of another `echo-app`, for an `exec` probe.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};

/// Longer than the default `timeoutSeconds` of a probe.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Sends `GET /healthz` to the app at `address`, after the PROXY protocol header `header`. Fails unless the status is
/// 200.
pub(crate) fn check(address: SocketAddr, header: &str) -> anyhow::Result<()> {
    let mut stream =
        TcpStream::connect_timeout(&address, TIMEOUT).with_context(|| format!("nothing listens on {address}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "{header}GET /healthz HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("no answer")?;
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "unhealthy: {}", String::from_utf8_lossy(&answer));
    Ok(())
}

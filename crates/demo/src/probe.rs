//! A readiness probe: an HTTP GET that is repeated until it succeeds.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::handshake;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::process::Process;

/// The timeout of a program's start. It takes milliseconds, and longer on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(20);
const PERIOD: Duration = Duration::from_millis(10);

/// Waits until `path` at `address` answers with success; fails when the program ends or takes too long.
pub(crate) async fn until_ready(process: &mut Process, address: SocketAddr, path: &str) -> Result<()> {
    let answered = timeout(TIMEOUT, async {
        loop {
            process.check()?;
            if get(address, path).await.is_ok() {
                return Ok(());
            }
            sleep(PERIOD).await;
        }
    });
    match answered.await {
        Ok(result) => result,
        Err(_) => bail!("http://{address}{path} is not ready after {TIMEOUT:?}:\n{}", process.last_lines()),
    }
}

async fn get(address: SocketAddr, path: &str) -> Result<()> {
    let stream = TcpStream::connect(address).await?;
    let (mut connection, driver) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    let request = Request::get(path).header(header::HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let response = connection.send_request(request).await?;
    if !response.status().is_success() {
        bail!("{}", response.status());
    }
    Ok(())
}

//! The control socket: a drain by path as by name, and nothing left behind by a crash that keeps a proxy from starting.

use std::time::Duration;

use settings::ProxyOption;
use test_support::{LoopbackHost, RecyclingProxy, TestResult, ensure};

use crate::stage::BINARY;

#[tokio::test]
async fn a_socket_file_outlives_a_crash_and_hinders_nobody() -> TestResult {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("proxy.sock").display().to_string();
    let host = LoopbackHost::reserve()?;
    // Dropped, the first is killed, and leaves its file.
    drop(RecyclingProxy::start(BINARY, host.port(8080), &[(ProxyOption::Control, &socket)]).await?);
    ensure!(folder.path().join("proxy.sock").exists());
    let options = [(ProxyOption::Control, socket.as_str()), (ProxyOption::DrainTimeout, "4s")];
    let proxy = RecyclingProxy::start(BINARY, host.port(8080), &options).await?;
    let (status, _) = proxy.drain()?.end().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// Two proxies with one socket: a drain would reach one of them, and nobody could say which.
#[tokio::test]
async fn a_socket_that_is_in_use_is_named() -> TestResult {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("proxy.sock").display().to_string();
    let host = LoopbackHost::reserve()?;
    let name = format!("@evenkeel-test-taken-{}", host.port(0).ip());
    for socket in [file, name] {
        let options = [(ProxyOption::Control, socket.as_str())];
        let _first = RecyclingProxy::start(BINARY, host.port(8080), &options).await?;
        let second = RecyclingProxy::start(BINARY, host.port(8080), &options).await;
        let refusal = second.map(|_| ()).expect_err("the second proxy must not start").to_string();
        ensure!(refusal.contains(&socket), "{refusal}");
    }
    Ok(())
}

/// What a stranger says on the socket does no harm.
#[tokio::test]
async fn noise_on_the_socket_is_survived() -> TestResult {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("proxy.sock");
    let host = LoopbackHost::reserve()?;
    let socket = path.display().to_string();
    let proxy = RecyclingProxy::start(BINARY, host.port(8080), &[(ProxyOption::Control, &socket)]).await?;
    let mut silent = tokio::net::UnixStream::connect(&path).await?;
    for noise in [&b""[..], b"\n", b"draim\n", b"\0\xff\xfe\n", &vec![b'd'; 1 << 20]] {
        let mut stranger = tokio::net::UnixStream::connect(&path).await?;
        // It may hang up on a stranger at any time.
        let _ = stranger.write_all(noise).await;
        let _ = stranger.shutdown().await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(10), stranger.read_to_end(&mut answer)).await?;
    }
    silent.write_all(b"").await?;
    ensure!(proxy.admin("/readyz").await?.0 == 200);
    let (status, _) = proxy.drain()?.end().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

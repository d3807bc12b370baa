//! Handshakes that are slow, malformed or refused.

use rustls::pki_types::ServerName;
use test_support::{Cases, End, TestResult, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ByteByByte, NAME, TlsStage, connect_by, wait_for_sample};
use crate::stage::{GET, OK};

#[tokio::test]
async fn a_handshake_may_arrive_byte_by_byte() -> TestResult {
    let stage = TlsStage::with_limit("10").await?;
    let stream = TcpStream::connect(stage.proxy.address()).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(NAME)?;
    let mut client = connect_by(name, ByteByByte(stream), &stage.issued, &["http/1.1"]).await?;
    let mut app = stage.app.accept().await?;
    client.write_all(GET.as_bytes()).await?;
    client.flush().await?;
    app.expect(GET).await?;
    app.send(OK).await?;
    let mut answer = vec![0; OK.len()];
    client.read_exact(&mut answer).await?;
    ensure!(answer == OK.as_bytes());
    Ok(())
}

fn failure(reason: &str, count: usize) -> String {
    format!("evenkeel_proxy_tls_handshake_failures_total{{side=\"client\",reason=\"{reason}\"}} {count}")
}

#[tokio::test]
async fn a_malformed_handshake_is_counted_and_never_reaches_the_app() -> TestResult {
    let stage = TlsStage::with_limit("10").await?;
    let mut cases = Cases::default();
    let long = [b"\x16\x03\x01\xff\xff".as_slice(), &vec![0xff; 40_000]].concat();
    for (n, garbage) in
        [&b"\x16\x03\x01\0\x04\xff\0\0\0"[..], b"\x16\x03\x01\0\x04\x01\0\0\0", &long].iter().enumerate()
    {
        let outcome = async {
            let mut client = stage.proxy.connect().await?;
            let mut app = stage.app.accept().await?;
            client.send(garbage).await?;
            let (alert, _) = client.read_to_end().await?;
            ensure!(alert.is_empty() || alert.starts_with(b"\x15\x03"), "{alert:?}");
            let (seen, _) = app.read_to_end().await?;
            ensure!(seen.is_empty(), "{seen:?}");
            wait_for_sample(&stage.proxy, &failure("garbled", n + 1)).await
        };
        cases.note(n, outcome.await);
    }
    cases.verdict()
}

#[tokio::test]
async fn a_client_that_leaves_within_the_handshake_is_counted() -> TestResult {
    let stage = TlsStage::with_limit("10").await?;
    let mut client = stage.proxy.connect().await?;
    client.send(b"\x16\x03\x01\x02\0\x01\0\x01\xfc").await?;
    client.half_close().await?;
    client.expect_end(End::Fin).await?;
    wait_for_sample(&stage.proxy, &failure("left", 1)).await
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_certificate_is_counted() -> TestResult {
    let stage = TlsStage::with_limit("10").await?;
    let other = super::SelfSigned::new()?;
    let refused = super::Client::connect(stage.proxy.address(), &other, &[]).await;
    ensure!(refused.is_err(), "a client accepted an unknown certificate");
    wait_for_sample(&stage.proxy, &failure("refused", 1)).await
}

#[tokio::test]
async fn a_handshake_times_out_after_ten_seconds() -> TestResult {
    let stage = TlsStage::with_limit("10").await?;
    let mut client = stage.proxy.connect().await?;
    client.send(b"\x16\x03\x01\x02\0\x01\0\x01\xfc").await?;
    client.read_to_end().await?;
    wait_for_sample(&stage.proxy, &failure("slow", 1)).await
}

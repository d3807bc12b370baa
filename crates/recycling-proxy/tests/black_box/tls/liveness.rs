//! Liveness probes over TLS: as the kubelet's, they do not verify the app's certificate.

use test_support::{TestResult, ensure, ensure_eq, within_timeout};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::SelfSigned;
use crate::liveness::Answering;
use crate::stage::OK;

#[tokio::test]
async fn an_https_probe_is_sent_in_tls() -> TestResult {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let acceptor = SelfSigned::new()?.acceptor(&["h2", "http/1.1"])?;
    let probe = format!(r#"{{"httpGet":{{"path":"/live","port":{port},"scheme":"HTTPS"}}}}"#);
    let answering = Answering::probed_at(&probe, &[]).await?;
    let app = async {
        let (stream, _) = within_timeout("app", "a connection", listener.accept()).await??;
        let mut stream = within_timeout("app", "a handshake", acceptor.accept(stream)).await??;
        ensure_eq!(stream.get_ref().1.server_name(), None);
        let mut request = [0; b"GET /live HTTP/1.1\r\n".len()];
        within_timeout("app", "a request", stream.read_exact(&mut request)).await??;
        ensure_eq!(String::from_utf8_lossy(&request), "GET /live HTTP/1.1\r\n");
        stream.write_all(OK.as_bytes()).await?;
        stream.flush().await?;
        TestResult::Ok(())
    };
    let ((), is_held) = tokio::try_join!(app, answering.is_held_for_a_late_drain())?;
    ensure!(is_held);
    Ok(())
}

/// Without a common protocol the probe says nothing about the app. Its responses to clients show that it is alive.
#[tokio::test]
async fn an_app_without_a_common_alpn_protocol_is_held_by_signs_of_life() -> TestResult {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let acceptor = SelfSigned::new()?.acceptor(&["h2"])?;
    let answering = Answering::probed_at(&format!(r#"{{"httpGet":{{"port":{port},"scheme":"HTTPS"}}}}"#), &[]).await?;
    let app = async {
        let (stream, _) = within_timeout("app", "a connection", listener.accept()).await??;
        ensure!(within_timeout("app", "a handshake", acceptor.accept(stream)).await?.is_err());
        TestResult::Ok(())
    };
    let ((), held) = tokio::try_join!(app, answering.time_held())?;
    ensure!(held >= std::time::Duration::from_secs(9), "{held:?}");
    Ok(())
}

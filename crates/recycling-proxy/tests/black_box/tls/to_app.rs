//! Re-encryption: TLS from the proxy to the app.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use settings::ProxyOption;
use test_support::{Cases, LoopbackHost, RecyclingProxy, TestResult, ensure, ensure_eq, within_timeout};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

use super::{Client, Files, SelfSigned, connect_by, wait_for_sample};
use crate::hyper_peers::{Served, http2_over, round, serve_http2_on};
use crate::stage::{GET, OK};

/// A proxy that terminates the clients' TLS and re-encrypts to an app.
struct ReEncrypting {
    proxy: RecyclingProxy,
    /// The proxy's certificate. The app has another one, which no client trusts.
    issued: SelfSigned,
    listener: TcpListener,
    of_app: SelfSigned,
    _files: Files,
    _host: LoopbackHost,
}

impl ReEncrypting {
    async fn with_limit(limit: &str) -> TestResult<Self> {
        let host = LoopbackHost::reserve()?;
        let listener = TcpListener::bind(host.port(8443)).await?;
        let (issued, of_app) = (SelfSigned::new()?, SelfSigned::new()?);
        let files = Files::with(&issued)?;
        let options = [(ProxyOption::MaxRequests, limit), (ProxyOption::TlsToApp, "on")];
        let proxy = files.proxy(host.port(8443), &options).await?;
        Ok(Self { proxy, issued, listener, of_app, _files: files, _host: host })
    }

    /// Connects a client that offers `offers`, to an app that supports `alpn`.
    async fn pair(&self, offers: &[&str], alpn: &[&str]) -> TestResult<(Client, TlsStream<TcpStream>)> {
        let acceptor = self.of_app.acceptor(alpn)?;
        let app = async {
            let (stream, _) = self.listener.accept().await?;
            TestResult::Ok(within_timeout("app", "a handshake", acceptor.accept(stream)).await??)
        };
        tokio::try_join!(Client::connect(self.proxy.address(), &self.issued, offers), app)
    }
}

#[tokio::test]
async fn the_app_chooses_the_alpn_protocol() -> TestResult {
    let stage = ReEncrypting::with_limit("10").await?;
    let mut cases = Cases::default();
    let both = &["h2", "http/1.1"][..];
    for (offers, alpn, negotiated) in [
        (both, both, Some("h2")),
        (both, &["http/1.1"], Some("http/1.1")),
        (&["http/1.1"], both, Some("http/1.1")),
        (&["h2"], both, Some("h2")),
        (both, &[], None),
        (&[], both, None),
    ] {
        let outcome = async {
            let (client, app) = stage.pair(offers, alpn).await?;
            ensure_eq!(client.negotiated().as_deref(), negotiated);
            ensure_eq!(app.get_ref().1.alpn_protocol(), negotiated.map(str::as_bytes));
            ensure_eq!(app.get_ref().1.server_name(), Some(super::NAME));
            Ok(())
        };
        cases.note(format!("{offers:?} to {alpn:?}"), outcome.await);
    }
    cases.verdict()
}

#[tokio::test]
async fn re_encrypted_requests_pass_and_are_counted() -> TestResult {
    let stage = ReEncrypting::with_limit("2").await?;
    let (mut client, mut app) = stage.pair(&[], &[]).await?;
    for last in [false, true] {
        client.send(GET).await?;
        let mut request = vec![0; GET.len()];
        within_timeout("app", "a request", app.read_exact(&mut request)).await??;
        ensure_eq!(String::from_utf8_lossy(&request), GET);
        app.write_all(OK.as_bytes()).await?;
        app.flush().await?;
        if last {
            ensure!(String::from_utf8_lossy(&client.rest().await??).contains("Connection: close\r\n"));
        } else {
            client.expect(OK).await?;
        }
    }
    let mut rest = Vec::new();
    within_timeout("app", "an end in order", app.read_to_end(&mut rest)).await??;
    ensure!(rest.is_empty());
    Ok(())
}

#[tokio::test]
async fn http2_passes_re_encrypted() -> TestResult {
    let stage = ReEncrypting::with_limit("1000").await?;
    let (client, app) = stage.pair(&["h2"], &["h2"]).await?;
    let served = Served::default();
    tokio::spawn(serve_http2_on(app, Arc::clone(&served)));
    let mut sender = http2_over(client.stream).await?;
    ensure_eq!(round(&mut sender, 20).await?, 20);
    Ok(())
}

/// A client that connects to an address sends no server name (RFC 6066 §3).
#[tokio::test]
async fn a_client_without_sni_is_served() -> TestResult {
    let stage = ReEncrypting::with_limit("10").await?;
    let acceptor = stage.of_app.acceptor(&[])?;
    let app = async {
        let (stream, _) = stage.listener.accept().await?;
        let app = within_timeout("app", "a handshake", acceptor.accept(stream)).await??;
        ensure_eq!(app.get_ref().1.server_name(), None);
        TestResult::Ok(())
    };
    let client = async {
        let stream = TcpStream::connect(stage.proxy.address()).await?;
        // The certificate has no address, so the handshake fails at the client's verification, which comes last.
        let refused = connect_by(ServerName::from(stage.proxy.address().ip()), stream, &stage.issued, &[]).await;
        ensure!(refused.is_err());
        TestResult::Ok(())
    };
    tokio::try_join!(app, client)?;
    Ok(())
}

/// The end of a close-delimited body: only `close_notify` shows that it is complete.
#[tokio::test]
async fn a_truncated_body_never_ends_with_close_notify() -> TestResult {
    let stage = ReEncrypting::with_limit("10").await?;
    for whole in [true, false] {
        let (mut client, mut app) = stage.pair(&[], &[]).await?;
        client.send(GET).await?;
        let mut request = vec![0; GET.len()];
        within_timeout("app", "a request", app.read_exact(&mut request)).await??;
        app.write_all(b"HTTP/1.1 200 OK\r\n\r\npart").await?;
        app.flush().await?;
        client.expect("HTTP/1.1 200 OK\r\n\r\npart").await?;
        if whole {
            app.shutdown().await?;
        } else {
            app.get_mut().0.shutdown().await?;
        }
        ensure_eq!(client.rest().await?.is_ok(), whole);
    }
    Ok(())
}

#[tokio::test]
async fn an_app_without_tls_counts_as_unreachable() -> TestResult {
    let stage = ReEncrypting::with_limit("10").await?;
    let app = async {
        let (mut stream, _) = stage.listener.accept().await?;
        // An app that sends first would be taken for another protocol.
        stream.read_u8().await?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        TestResult::Ok(())
    };
    let (client, app) = tokio::join!(Client::connect(stage.proxy.address(), &stage.issued, &["http/1.1"]), app);
    app?;
    ensure!(client.is_err(), "a handshake succeeded that the app had no part in");
    wait_for_sample(&stage.proxy, "evenkeel_proxy_tls_handshake_failures_total{side=\"app\",reason=\"garbled\"} 1")
        .await
}

//! TLS that is begun anew towards the app.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use settings::ProxyOption;
use test_support::{Cases, LoopbackHost, RecyclingProxy, TestResult, ensure, ensure_eq, within_patience};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

use super::{Client, Files, Issued, connect_by, shows};
use crate::hyper_peers::{Served, http2_over, round, serve_http2_on};
use crate::stage::{GET, OK};

/// A proxy between TLS and TLS.
struct Between {
    proxy: RecyclingProxy,
    /// The proxy's certificate; the app has another one, which nobody trusts.
    issued: Issued,
    listener: TcpListener,
    of_app: Issued,
    _files: Files,
    _host: LoopbackHost,
}

impl Between {
    async fn with_limit(limit: &str) -> TestResult<Self> {
        let host = LoopbackHost::reserve()?;
        let listener = TcpListener::bind(host.port(8443)).await?;
        let (issued, of_app) = (Issued::new()?, Issued::new()?);
        let files = Files::with(&issued)?;
        let options = [(ProxyOption::MaxRequests, limit), (ProxyOption::TlsToApp, "on")];
        let proxy = files.proxy(host.port(8443), &options).await?;
        Ok(Self { proxy, issued, listener, of_app, _files: files, _host: host })
    }

    /// A client with these offers, and the app that speaks `alpn`.
    async fn pair(&self, offers: &[&str], alpn: &[&str]) -> TestResult<(Client, TlsStream<TcpStream>)> {
        let acceptor = self.of_app.acceptor(alpn)?;
        let app = async {
            let (stream, _) = self.listener.accept().await?;
            TestResult::Ok(within_patience("app", "a handshake", acceptor.accept(stream)).await??)
        };
        tokio::try_join!(Client::connect(self.proxy.address(), &self.issued, offers), app)
    }
}

#[tokio::test]
async fn the_app_chooses_the_alpn_protocol() -> TestResult {
    let between = Between::with_limit("10").await?;
    let mut cases = Cases::default();
    let both = &["h2", "http/1.1"][..];
    for (offers, alpn, told) in [
        (both, both, Some("h2")),
        (both, &["http/1.1"], Some("http/1.1")),
        (&["http/1.1"], both, Some("http/1.1")),
        (&["h2"], both, Some("h2")),
        (both, &[], None),
        (&[], both, None),
    ] {
        let outcome = async {
            let (client, app) = between.pair(offers, alpn).await?;
            ensure_eq!(client.agreed().as_deref(), told);
            ensure_eq!(app.get_ref().1.alpn_protocol(), told.map(str::as_bytes));
            ensure_eq!(app.get_ref().1.server_name(), Some(super::NAME));
            Ok(())
        };
        cases.note(format!("{offers:?} to {alpn:?}"), outcome.await);
    }
    cases.verdict()
}

#[tokio::test]
async fn re_encrypted_requests_pass_and_are_counted() -> TestResult {
    let between = Between::with_limit("2").await?;
    let (mut client, mut app) = between.pair(&[], &[]).await?;
    for last in [false, true] {
        client.send(GET).await?;
        let mut request = vec![0; GET.len()];
        within_patience("app", "a request", app.read_exact(&mut request)).await??;
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
    within_patience("app", "an end in order", app.read_to_end(&mut rest)).await??;
    ensure!(rest.is_empty());
    Ok(())
}

#[tokio::test]
async fn http2_passes_re_encrypted() -> TestResult {
    let between = Between::with_limit("1000").await?;
    let (client, app) = between.pair(&["h2"], &["h2"]).await?;
    let served = Served::default();
    tokio::spawn(serve_http2_on(app, Arc::clone(&served)));
    let mut sender = http2_over(client.stream).await?;
    ensure_eq!(round(&mut sender, 20).await?, 20);
    Ok(())
}

/// An address as the server's name is not sent (RFC 6066 §3).
#[tokio::test]
async fn a_client_without_sni_is_served() -> TestResult {
    let between = Between::with_limit("10").await?;
    let acceptor = between.of_app.acceptor(&[])?;
    let app = async {
        let (stream, _) = between.listener.accept().await?;
        let app = within_patience("app", "a handshake", acceptor.accept(stream)).await??;
        ensure_eq!(app.get_ref().1.server_name(), None);
        TestResult::Ok(())
    };
    let client = async {
        let stream = TcpStream::connect(between.proxy.address()).await?;
        // The certificate has no address in it: the handshake fails at the client's check of it, which comes last.
        let refused = connect_by(ServerName::from(between.proxy.address().ip()), stream, &between.issued, &[]).await;
        ensure!(refused.is_err());
        TestResult::Ok(())
    };
    tokio::try_join!(app, client)?;
    Ok(())
}

/// A body whose end is that of the connection: only TLS' own end says that it is whole.
#[tokio::test]
async fn a_truncated_body_never_ends_with_close_notify() -> TestResult {
    let between = Between::with_limit("10").await?;
    for whole in [true, false] {
        let (mut client, mut app) = between.pair(&[], &[]).await?;
        client.send(GET).await?;
        let mut request = vec![0; GET.len()];
        within_patience("app", "a request", app.read_exact(&mut request)).await??;
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
    let between = Between::with_limit("10").await?;
    let app = async {
        let (mut stream, _) = between.listener.accept().await?;
        // One that spoke first would be taken for that.
        stream.read_u8().await?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        TestResult::Ok(())
    };
    let (client, app) = tokio::join!(Client::connect(between.proxy.address(), &between.issued, &["http/1.1"]), app);
    app?;
    ensure!(client.is_err(), "a handshake succeeded that the app had no part in");
    shows(&between.proxy, "evenkeel_proxy_tls_handshake_failures_total{side=\"app\",reason=\"garbled\"} 1").await
}

//! The ALPN protocol that the proxy negotiates with clients.

use test_support::{
    Cases, LoopbackHost, RecyclingProxy, Responder, ScriptedApp, TestResult, answer_everything_with, ensure_eq,
};
use tokio::net::TcpListener;

use super::{Client, Files, SelfSigned};
use crate::hyper_peers::serve_http2;
use crate::stage::OK;

/// What clients offer, and what is negotiated.
type Table<'a> = &'a [(&'a [&'a str], Option<&'a str>)];

async fn check(proxy: &RecyclingProxy, certificate: &SelfSigned, table: Table<'_>) -> TestResult {
    let mut cases = Cases::default();
    for (offers, negotiated) in table {
        let outcome = async {
            let client = Client::connect(proxy.address(), certificate, offers).await?;
            ensure_eq!(client.negotiated().as_deref(), *negotiated);
            Ok(())
        };
        cases.note(format!("{offers:?}"), outcome.await);
    }
    cases.verdict()
}

#[tokio::test]
async fn http2_is_not_negotiated_for_an_app_with_http1_alone() -> TestResult {
    let host = LoopbackHost::reserve()?;
    let app = ScriptedApp::bind(host.port(8080)).await?;
    // It takes the HTTP/2 preface for a request, as many servers do.
    let answers = Responder::start(app, answer_everything_with(OK));
    let certificate = SelfSigned::new()?;
    let files = Files::with(&certificate)?;
    let proxy = files.proxy(host.port(8080), &[]).await?;
    let table: Table<'_> = &[
        (&["h2", "http/1.1"], Some("http/1.1")),
        (&["http/1.1", "h2"], Some("http/1.1")),
        (&["http/1.1"], Some("http/1.1")),
        (&["h2"], None),
        (&["spdy/3"], None),
        (&[], None),
    ];
    check(&proxy, &certificate, table).await?;
    // The proxy has tried HTTP/2 with the app once, whatever the number of clients.
    let prefaces = answers.connections().into_iter().flatten().filter(|head| head.start_line().starts_with("PRI "));
    ensure_eq!(prefaces.count(), 1);
    Ok(())
}

#[tokio::test]
async fn http2_is_negotiated_for_an_app_with_http2() -> TestResult {
    let host = LoopbackHost::reserve()?;
    let app =
        tokio::spawn(serve_http2(TcpListener::bind(host.port(8080)).await?, crate::hyper_peers::Served::default()));
    let certificate = SelfSigned::new()?;
    let files = Files::with(&certificate)?;
    let proxy = files.proxy(host.port(8080), &[]).await?;
    let table: Table<'_> = &[
        (&["h2", "http/1.1"], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&["h2"], Some("h2")),
        (&["spdy/3", "h2"], Some("h2")),
        (&[], None),
    ];
    check(&proxy, &certificate, table).await?;
    app.abort();
    Ok(())
}

//! What a client is told that its app speaks (ALPN).

use test_support::{
    Cases, LoopbackHost, RecyclingProxy, Responder, ScriptedApp, TestResult, answer_everything_with, ensure_eq,
};
use tokio::net::TcpListener;

use super::{Client, Files, Issued};
use crate::hyper_peers::serve_http2;
use crate::stage::OK;

/// Offers, and what comes of each.
type Table<'a> = &'a [(&'a [&'a str], Option<&'a str>)];

async fn check(proxy: &RecyclingProxy, issued: &Issued, table: Table<'_>) -> TestResult {
    let mut cases = Cases::default();
    for (offers, told) in table {
        let outcome = async {
            let client = Client::connect(proxy.address(), issued, offers).await?;
            ensure_eq!(client.agreed().as_deref(), *told);
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
    // What is asked of it in HTTP/2 it takes for a request, as many servers do.
    let answers = Responder::start(app, answer_everything_with(OK));
    let issued = Issued::new()?;
    let files = Files::with(&issued)?;
    let proxy = files.proxy(host.port(8080), &[]).await?;
    let table: Table<'_> = &[
        (&["h2", "http/1.1"], Some("http/1.1")),
        (&["http/1.1", "h2"], Some("http/1.1")),
        (&["http/1.1"], Some("http/1.1")),
        (&["h2"], None),
        (&["spdy/3"], None),
        (&[], None),
    ];
    check(&proxy, &issued, table).await?;
    // The app was asked once what it speaks, whatever the number of clients.
    let asked = answers.connections().into_iter().flatten().filter(|head| head.start_line().starts_with("PRI "));
    ensure_eq!(asked.count(), 1);
    Ok(())
}

#[tokio::test]
async fn http2_is_negotiated_for_an_app_with_http2() -> TestResult {
    let host = LoopbackHost::reserve()?;
    let app =
        tokio::spawn(serve_http2(TcpListener::bind(host.port(8080)).await?, crate::hyper_peers::Served::default()));
    let issued = Issued::new()?;
    let files = Files::with(&issued)?;
    let proxy = files.proxy(host.port(8080), &[]).await?;
    let table: Table<'_> = &[
        (&["h2", "http/1.1"], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&["h2"], Some("h2")),
        (&["spdy/3", "h2"], Some("h2")),
        (&[], None),
    ];
    check(&proxy, &issued, table).await?;
    app.abort();
    Ok(())
}

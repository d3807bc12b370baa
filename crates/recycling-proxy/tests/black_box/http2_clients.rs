//! HTTP/2 with a real client and a real server: at any limit, every request is answered once.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use settings::ProxyOption;
use test_support::{Cases, LoopbackHost, RecyclingProxy, TestResult, ensure, ensure_eq};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::stage::BINARY;

/// Requests at the same time, on as many connections as there are clients.
const STREAMS: usize = 5;

#[tokio::test]
async fn every_request_is_answered_at_every_limit() -> TestResult {
    let mut cases = Cases::default();
    for limit in ["1", "2", "10"] {
        cases.note(format!("limit {limit}"), many_clients(limit, 3, 60).await);
    }
    cases.verdict()
}

async fn many_clients(limit: &str, clients: usize, requests: usize) -> TestResult {
    let host = LoopbackHost::reserve()?;
    let served = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind(host.port(8080)).await?;
    let app = tokio::spawn(serve(listener, Arc::clone(&served)));
    let proxy = RecyclingProxy::start(BINARY, host.port(8080), &[(ProxyOption::MaxRequests, limit)]).await?;
    let mut running = JoinSet::new();
    for _ in 0..clients {
        running.spawn(client(proxy.address(), requests));
    }
    let mut connections = 0;
    while let Some(client) = running.join_next().await {
        connections += client??;
    }
    app.abort();
    ensure_eq!(served.load(Ordering::Relaxed), clients * requests);
    // Several streams share a connection's last moments, so there is no exact number; but there were recycles.
    ensure!(connections > 2 * clients, "{connections} connections");
    Ok(())
}

async fn serve(listener: TcpListener, served: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let served = Arc::clone(&served);
        let service = service_fn(move |_| {
            served.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok")))) }
        });
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
    }
}

/// Sends requests in rounds; returns how many connections that took.
async fn client(to: SocketAddr, requests: usize) -> TestResult<usize> {
    let mut connections = 1;
    let mut sender = connected(to).await?;
    let mut left = requests;
    while left > 0 {
        if sender.ready().await.is_err() {
            connections += 1;
            sender = connected(to).await?;
        }
        left -= round(&mut sender, left.min(STREAMS)).await?;
    }
    Ok(connections)
}

pub(crate) type Sender = SendRequest<Full<Bytes>>;

pub(crate) async fn connected(to: SocketAddr) -> TestResult<Sender> {
    let stream = TcpStream::connect(to).await?;
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Sends requests side by side; returns how many were answered.
///
/// A request that the client gives back unsent is no loss: it goes out on the next connection.
async fn round(sender: &mut Sender, requests: usize) -> TestResult<usize> {
    let mut running = JoinSet::new();
    for _ in 0..requests {
        running.spawn(sender.try_send_request(Request::get("http://a/").body(Full::default())?));
    }
    let mut answered = 0;
    while let Some(response) = running.join_next().await {
        match response? {
            Ok(response) => {
                ensure_eq!(response.into_body().collect().await?.to_bytes(), "ok");
                answered += 1;
            }
            Err(mut error) => {
                let unsent = error.take_message();
                ensure!(unsent.is_some(), "lost: {:?}", error.into_error());
            }
        }
    }
    Ok(answered)
}

//! HTTP/2 clients and servers of hyper.

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
use test_support::{TestResult, ensure, ensure_eq};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How many requests an app has served.
pub(crate) type Served = Arc<AtomicUsize>;
pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// Serves HTTP/2 with prior knowledge, without TLS.
pub(crate) async fn serve_http2(listener: TcpListener, served: Served) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve_http2_on(stream, Arc::clone(&served)));
    }
}

pub(crate) async fn serve_http2_on(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, served: Served) {
    let service = service_fn(move |_| {
        served.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok")))) }
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    // The client checks how its connection ends.
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
}

pub(crate) async fn http2_over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> TestResult<Sender> {
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

pub(crate) async fn connected(to: SocketAddr) -> TestResult<Sender> {
    http2_over(TcpStream::connect(to).await?).await
}

/// Sends concurrent requests. Returns how many were answered.
///
/// A request that the client returns unsent is not lost: the caller sends it on the next connection.
pub(crate) async fn round(sender: &mut Sender, requests: usize) -> TestResult<usize> {
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

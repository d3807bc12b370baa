//! The server of an admin port: HTTP/1.1, with bounds on connections, requests and time, because any client may reach
//! it.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::visitors::Visitors;

/// The time for a scraper's or a kubelet's request head.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// In bytes. Their heads have a hundred or two; it is the least that hyper allows.
const LARGEST_HEAD: usize = 8 << 10;
/// How long accepting pauses after a failure.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves HTTP/1.1 for as long as it is polled, to at most 64 connections at a time.
///
/// Beyond these the oldest connection leaves of the address that has the most. `service_of` makes the service of a
/// connection; an error closes it.
pub async fn serve<S>(listener: TcpListener, service_of: impl Fn(&TcpStream) -> io::Result<S>)
where
    S: HttpService<Incoming, ResBody: Send + 'static, Future: Send> + Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::ResBody: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let visitors = Visitors::default();
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let Ok(service) = service_of(&stream) else { continue };
        let serving = tokio::spawn(async move {
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(LARGEST_HEAD);
            // A scraper that leaves early has lost its scrape and nothing else.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
        visitors.enter(peer.ip().to_canonical(), serving.abort_handle());
    }
}

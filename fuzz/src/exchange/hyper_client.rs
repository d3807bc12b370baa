//! What hyper's client reads.

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::{Request, StatusCode};

use super::wire::{Said, run};
use super::{Content, Message};

/// Returns the response in what an app says; `None` where hyper does not accept its head, or where it begins a tunnel.
pub(super) fn response(method: &str, bytes: &[u8]) -> Option<Message> {
    let exchange = async {
        let (mut sender, connection) = handshake::<_, Empty<Bytes>>(Said::when_asked(bytes)).await.ok()?;
        let request = Request::builder().method(method).uri("/").header("host", "a").body(Empty::new()).ok()?;
        let answer = async {
            let (head, body) = sender.send_request(request).await.ok()?.into_parts();
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                return None;
            }
            let body = match body.collect().await {
                Ok(body) => Content::Whole(body.to_bytes().to_vec()),
                Err(_) => Content::Refused,
            };
            Some(Message { what: head.status.as_str().to_owned(), fields: head.headers.len(), body })
        };
        let (_, answer) = tokio::join!(connection, answer);
        answer
    };
    run(exchange).flatten()
}

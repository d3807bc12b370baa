//! What hyper's server reads.

use std::cell::RefCell;
use std::convert::Infallible;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};

use super::wire::{Said, run};
use super::{Content, Message};

/// Returns the requests in what a client says, up to a CONNECT.
pub(super) fn requests(bytes: &[u8]) -> Vec<Message> {
    let messages = RefCell::new(Vec::new());
    let connected = RefCell::new(false);
    let service = service_fn(|request: Request<Incoming>| async {
        let (head, body) = request.into_parts();
        if head.method == Method::CONNECT {
            *connected.borrow_mut() = true;
        }
        let body = match body.collect().await {
            Ok(body) => Content::Whole(body.to_bytes().to_vec()),
            Err(_) => Content::Refused,
        };
        if !*connected.borrow() {
            messages.borrow_mut().push(Message { what: head.method.to_string(), fields: head.headers.len(), body });
        }
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    // Where it does not accept a request its word is an error, which is no opinion on those before.
    let _ = run(Builder::new().half_close(true).serve_connection(Said::at_once(bytes), service));
    messages.into_inner()
}

//! `/balance`: reports and instructions.

use std::time::Duration;

use balancing::{MAX_INSTRUCTION_BYTES, Refusal};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::{Instant, timeout};

use super::text;
use crate::retire::balance::Balance;

/// The time in which an instruction must arrive. It is usually in one segment with its head.
const BODY_TIME: Duration = Duration::from_secs(5);

/// Applies the instruction of a POST, and responds with the report.
pub(super) async fn answer(balance: Option<&Balance>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Some(balance) = balance else {
        return text(StatusCode::NOT_FOUND, "this proxy has no keys of a balancer (--balance-keys)\n");
    };
    let method = request.method();
    if method == Method::GET || method == Method::HEAD {
        return report(balance, StatusCode::OK, None);
    }
    if method != Method::POST {
        let mut response = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "method not allowed: GET returns the report, POST takes an instruction\n",
        );
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        return response;
    }
    let body = Limited::new(request.into_body(), MAX_INSTRUCTION_BYTES).collect();
    let taken = match timeout(BODY_TIME, body).await {
        Ok(Ok(body)) => balance.instruct(&body.to_bytes(), Instant::now()),
        // It is too long, or does not arrive.
        Ok(Err(_)) | Err(_) => balance.refuse(Refusal::Malformed),
    };
    match taken {
        Ok(()) => report(balance, StatusCode::OK, None),
        Err(refusal) => report(balance, StatusCode::FORBIDDEN, Some(refusal)),
    }
}

fn report(balance: &Balance, status: StatusCode, refused: Option<Refusal>) -> Response<Full<Bytes>> {
    let mut response = text(status, balance.report(Instant::now(), refused).to_json());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

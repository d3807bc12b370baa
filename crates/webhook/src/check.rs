//! `evenkeel-webhook check`: asks a running webhook whether it is ready, as `helm test` does.

use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::uri::Authority;
use axum::http::{StatusCode, Uri};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::TokioExecutor;

/// Between two requests.
const PAUSE: Duration = Duration::from_secs(1);
/// For one response, so that a lost packet does not use up all the time.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The most bytes that are read of a response; the webhook's is one line.
const SHOWN: usize = 4096;

/// Why the webhook does not count as ready.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// There is no HTTP response.
    #[error("no HTTP response from {0}: {1}")]
    NoResponse(Authority, #[source] ClientError),
    /// There is no response in time.
    #[error("no response from {0} within {limit:?}", limit = ANSWER_WITHIN)]
    Slow(Authority),
    /// The response is another than 200.
    #[error("{0} answers {1}: {2}")]
    NotReady(Authority, StatusCode, String),
}

/// Asks the admin port at `address` once, and then every second, until it says that the webhook is ready or `within` is
/// over.
///
/// # Errors
/// The reason of the last failed attempt.
pub async fn ready(address: &Authority, within: Duration) -> Result<(), CheckError> {
    let mut end = pin!(tokio::time::sleep(within));
    loop {
        let Err(error) = ask(address).await else { return Ok(()) };
        tokio::select! {
            () = &mut end => return Err(error),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn ask(address: &Authority) -> Result<(), CheckError> {
    let answer = tokio::time::timeout(ANSWER_WITHIN, get(address)).await;
    let (status, said) = answer.map_err(|_| CheckError::Slow(address.clone()))??;
    if status == StatusCode::OK { Ok(()) } else { Err(CheckError::NotReady(address.clone(), status, said)) }
}

async fn get(address: &Authority) -> Result<(StatusCode, String), CheckError> {
    let mut uri = Uri::from_static("http://webhook/readyz").into_parts();
    uri.authority = Some(address.clone());
    let uri = Uri::from_parts(uri).expect("scheme, authority and path are there");
    // A new connection for each request: the Service may choose another replica.
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let answer = client.get(uri).await.map_err(|error| CheckError::NoResponse(address.clone(), error))?;
    let status = answer.status();
    let said = to_bytes(Body::new(answer.into_body()), SHOWN).await.unwrap_or_default();
    Ok((status, String::from_utf8_lossy(&said).trim().to_owned()))
}

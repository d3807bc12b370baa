//! `evenkeel-webhook check`: asks a running webhook whether it is ready, as `helm test` does.

use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::uri::Authority;
use axum::http::{StatusCode, Uri};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::TokioExecutor;

/// Between two questions.
const PAUSE: Duration = Duration::from_secs(1);
/// For one answer, so that a lost packet does not use up all of the time.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Of the answer's body; the webhook's is one line.
const SHOWN: usize = 4096;

/// Why the webhook is not ready, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Nobody answers in HTTP.
    #[error("nobody answers at {0}: {1}")]
    NoAnswer(Authority, #[source] ClientError),
    /// Not in time.
    #[error("no answer from {0} within {limit:?}", limit = ANSWER_WITHIN)]
    Slow(Authority),
    /// It says so itself, or is another program.
    #[error("{0} answers {1}: {2}")]
    NotReady(Authority, StatusCode, String),
}

/// Asks the admin port at `address` once, and then every second, until it says that the webhook is ready or `within` is
/// over.
///
/// # Errors
/// What was wrong the last time that it was asked.
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
    // A new connection for each question: a Service may lead it elsewhere.
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let answer = client.get(uri).await.map_err(|error| CheckError::NoAnswer(address.clone(), error))?;
    let status = answer.status();
    let said = to_bytes(Body::new(answer.into_body()), SHOWN).await.unwrap_or_default();
    Ok((status, String::from_utf8_lossy(&said).trim().to_owned()))
}

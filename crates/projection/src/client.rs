//! The way to the API server. No answer takes more memory than is meant for it, whatever tenants have put into the
//! cluster.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};
use kube::client::ClientBuilder;
use kube::{Client, Config};
use tower::BoxError;
use tower::layer::layer_fn;
use tower::util::MapResponse;

use crate::{Projector, Rule, TooLarge};

/// What is read of one answer, or of one event of a watch. What API servers store is smaller, mostly.
const LONGEST_ANSWER: usize = 2 << 20;

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// None is known.
    #[error("cannot find the API server: {0}")]
    Unknown(#[source] kube::config::InferConfigError),
    /// It cannot be used.
    #[error("cannot create a client for the API server: {0}")]
    Unusable(#[source] Box<kube::Error>),
}

/// Returns a client of the API server, for one use. Of each object it reads what `rule` keeps.
pub async fn client(rule: &'static Rule) -> Result<Client, ClusterError> {
    let config = Config::infer().await.map_err(ClusterError::Unknown)?;
    let builder = ClientBuilder::try_from(config).map_err(|error| ClusterError::Unusable(Box::new(error)))?;
    let projecting = layer_fn(move |service| MapResponse::new(service, move |response| projected(response, rule)));
    Ok(builder.with_layer(&projecting).build())
}

/// Returns whether what was asked for is larger than what is read of an answer.
pub fn is_too_large(error: &kube::Error) -> bool {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |error| (*error).source()).any(<dyn Error>::is::<TooLarge>)
}

fn projected<B>(response: Response<B>, rule: &'static Rule) -> Response<Projected<B>> {
    // The body of a failed request is a Status with the reason.
    let rule = if response.status().is_success() { rule } else { &Rule::Keep };
    response.map(|body| Projected { body, projector: Projector::new(rule, LONGEST_ANSWER) })
}

/// A body of which a projection is read.
struct Projected<B> {
    body: B,
    projector: Projector,
}

impl<B> Body for Projected<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            };
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            };
            let mut kept = Vec::new();
            if let Err(error) = self.projector.push(&data, &mut kept) {
                return Poll::Ready(Some(Err(error.into())));
            }
            if !kept.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(kept.into()))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

//! All of a workload that asks for the proxy, as text.

use kube::api::{ApiResource, DynamicObject, GetParams};
use kube::core::Request;
use kube::{Client, Resource, ResourceExt};
use tracing::warn;

use crate::object::ObjectText;

const NOT_FOUND: u16 = 404;

/// What came of it.
pub(super) enum Fetched {
    Text(ObjectText),
    /// It is larger than what is read of an object.
    TooLarge,
    /// It is not there any more.
    Gone,
    /// The API server does not tell.
    Failed,
}

/// Asks for all of `object`, with a client that reads all of one.
pub(super) async fn fetch(client: &Client, resource: &ApiResource, object: &DynamicObject) -> Fetched {
    let (namespace, name) = (object.namespace(), object.name_any());
    let path = DynamicObject::url_path(resource, namespace.as_deref());
    let answer = match Request::new(path).get(&name, &GetParams::default()) {
        Ok(request) => client.request_text(request).await,
        Err(error) => Err(kube::Error::BuildRequest(error)),
    };
    match answer {
        Ok(text) => Fetched::Text(ObjectText::read(text)),
        Err(kube::Error::Api(status)) if status.code == NOT_FOUND => Fetched::Gone,
        Err(error) => {
            warn!(?namespace, name, %error, "the workload cannot be read");
            if projection::is_too_large(&error) { Fetched::TooLarge } else { Fetched::Failed }
        }
    }
}

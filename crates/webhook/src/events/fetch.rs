//! Reads a workload that asks for the proxy, as text.

use kube::api::{ApiResource, DynamicObject, GetParams};
use kube::core::Request;
use kube::{Client, Resource, ResourceExt};
use tracing::warn;

use crate::object::ObjectText;

const NOT_FOUND: u16 = 404;

/// The result of a read.
pub(super) enum Fetched {
    Text(ObjectText),
    /// It is larger than objects that are read.
    TooLarge,
    /// It no longer exists.
    Gone,
    /// The request failed.
    Failed,
}

/// Reads `object` whole, with a client that projects nothing away.
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

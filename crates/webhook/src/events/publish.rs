//! Publishes Events, each once.

use std::time::SystemTime;

use inject::WorkloadKind;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DynamicObject, PostParams};
use kube::{Api, Client, ResourceExt};

use super::notice::Notice;
use super::seen::hash;

/// The same for all replicas, so that their Events have the same name.
const REPORTER: &str = "evenkeel-webhook";
const ALREADY_EXISTS: u16 = 409;
/// The longest name of an object is 253; the number and its dot take 17.
const LONGEST_PREFIX: usize = 236;

/// Creates the Event, and returns true. Returns false if it exists already: another replica created it, or this one did
/// before a restart.
pub(super) async fn publish(client: &Client, event: &Event) -> Result<bool, Box<kube::Error>> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
    let events = Api::<Event>::namespaced(client.clone(), namespace);
    match events.create(&PostParams::default(), event).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == ALREADY_EXISTS => Ok(false),
        Err(error) => Err(Box::new(error)),
    }
}

/// Returns the Event for a `notice` about `object`. Its name is a hash of what it says, and of the object's generation.
pub(super) fn event(object: &DynamicObject, kind: WorkloadKind, notice: Notice, now: SystemTime) -> Event {
    let uid = object.uid();
    let mut name = object.name_any();
    name.truncate(LONGEST_PREFIX);
    let name = format!("{}.{:016x}", name.trim_end_matches(['.', '-']), hash(&(&uid, &notice)));
    let regarding = ObjectReference {
        api_version: Some(kind.api_version().to_owned()),
        kind: Some(kind.name().to_owned()),
        name: Some(object.name_any()),
        namespace: object.namespace(),
        resource_version: object.resource_version(),
        uid,
        field_path: None,
    };
    Event {
        metadata: ObjectMeta { name: Some(name), namespace: object.namespace(), ..ObjectMeta::default() },
        event_time: Timestamp::try_from(now).ok().map(MicroTime),
        type_: Some(notice.reason.event_type().to_owned()),
        reason: Some(notice.reason.name().to_owned()),
        action: Some("Inject".to_owned()),
        note: Some(notice.note),
        regarding: Some(regarding),
        reporting_controller: Some(REPORTER.to_owned()),
        reporting_instance: Some(REPORTER.to_owned()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::events::EventReason;

    fn object(name: &str) -> DynamicObject {
        let metadata = json!({"name": name, "namespace": "shop", "uid": "u"});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    fn name(object: &DynamicObject, note: &str, generation: i64) -> String {
        let notice = Notice { reason: EventReason::Missed, note: note.to_owned(), generation: Some(generation) };
        event(object, WorkloadKind::Deployment, notice, SystemTime::UNIX_EPOCH).name_any()
    }

    #[test]
    fn equal_events_have_equal_names_and_others_differ() {
        let web = object("web");
        assert_eq!(name(&web, "x", 1), name(&web, "x", 1));
        assert_ne!(name(&web, "x", 1), name(&web, "y", 1));
        assert_ne!(name(&web, "x", 1), name(&web, "x", 2));
        assert!(name(&web, "x", 1).starts_with("web."));
    }

    #[test]
    fn names_of_events_are_bounded() {
        let long = object(&format!("{}-{}", "a".repeat(235), "b".repeat(17)));
        assert_eq!(name(&long, "x", 1).len(), 252);
    }
}

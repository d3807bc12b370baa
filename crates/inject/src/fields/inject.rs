//! Writes a plan to the fields of a pod template.

use serde_json::Value;
use settings::STATUS_KEY;

use crate::additions::container;
use crate::additions::entry::List;
use crate::additions::label;
use crate::additions::plan::{InterceptionPlan, Plan};
use crate::additions::previous::PreviousInjection;
use crate::fields::pre_stop;
use crate::fields::{ANNOTATIONS, ContainerFields, Fields, METADATA};
use crate::json::empty_form::object;
use crate::pod::{Container, Pod};
use crate::status::Record;

/// Returns the fields with everything that a plan injects. `author` are the fields as they were written, `now` as they
/// are.
pub(crate) fn injected(author: &Fields, now: &Fields, pod: &Pod, plan: &Plan, previous: &PreviousInjection) -> Fields {
    let mut record =
        Record::new(container::resources(&plan.resources), plan.sidecar.image.to_string(), plan.interception.names());
    let apps =
        author.apps.iter().zip(&pod.apps).map(|(fields, app)| with_proxy(fields, app, plan, &mut record)).collect();
    for list in List::ALL.into_iter().filter(|list| !list.wanted(plan).is_empty()) {
        record.empty_forms.record(list.field(), author.list(list));
    }
    let lists = List::ALL
        .map(|list| list.injected(now.list(list), author.list(list), plan, previous.origin, previous.record.as_ref()));
    let metadata = Some(with_label_and_status(author.metadata.as_ref(), plan, record));
    Fields { metadata, lists, apps }.with_sidecars_updated()
}

/// Returns the fields of an app container behind the proxy.
fn with_proxy(author: &ContainerFields, app: &Container, plan: &Plan, record: &mut Record) -> ContainerFields {
    let mut held = author.clone();
    if let Some(port) = plan.held.get(&app.name) {
        let lifecycle = author.lifecycle.as_ref();
        pre_stop::note(lifecycle, &app.name, &mut record.empty_forms);
        held.lifecycle = Some(pre_stop::with_hold(lifecycle, *port));
    }
    match &plan.interception {
        InterceptionPlan::Redirect(_, probes) => held.bypassing_proxy(app, probes, record),
        InterceptionPlan::NamedPort(names) => {
            let rewritten = if plan.begins_with_header() { held.through_proxy(app, names, record) } else { held };
            rewritten.renamed(&names.moving(author.ports.as_ref()))
        }
    }
}

/// Returns the `metadata` with our labels and the status annotation.
fn with_label_and_status(metadata: Option<&Value>, plan: &Plan, mut record: Record) -> Value {
    record.empty_forms.record(METADATA, metadata);
    let mut metadata = object(metadata);
    label::add(&mut metadata, plan, &mut record);
    record.empty_forms.record(ANNOTATIONS, metadata.get(ANNOTATIONS));
    let mut annotations = object(metadata.get(ANNOTATIONS));
    annotations.insert(STATUS_KEY.to_owned(), Value::String(record.text()));
    metadata.insert(ANNOTATIONS.to_owned(), Value::Object(annotations));
    Value::Object(metadata)
}

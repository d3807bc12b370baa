//! Writes a plan to the fields of a pod template.

use serde_json::Value;

use crate::additions::container;
use crate::additions::entry::List;
use crate::additions::hook;
use crate::additions::metadata;
use crate::additions::plan::{InterceptionPlan, Plan};
use crate::additions::previous::PreviousInjection;
use crate::fields::{ContainerFields, Fields, METADATA};
use crate::json::empty_form::object;
use crate::pod::{Container, Pod};
use crate::status::Record;

/// Returns the fields with everything that a plan injects. `author` has the fields as their author wrote them, `now`
/// the present ones.
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
    let metadata = Some(with_additions(author.metadata.as_ref(), plan, record));
    Fields { metadata, lists, apps }.with_sidecars_updated()
}

/// Returns the fields of an app container behind the proxy.
fn with_proxy(author: &ContainerFields, app: &Container, plan: &Plan, record: &mut Record) -> ContainerFields {
    let lifecycle = hook::injected(author.lifecycle.as_ref(), &app.name, plan, &mut record.empty_forms);
    let hooked = ContainerFields { lifecycle, ..author.clone() };
    match &plan.interception {
        InterceptionPlan::Redirect(_, probes) => hooked.bypassing_proxy(app, probes, record),
        InterceptionPlan::NamedPort(names) => {
            let rewritten = if plan.begins_with_header() { hooked.through_proxy(app, names, record) } else { hooked };
            rewritten.renamed(&names.moving(author.ports.as_ref()))
        }
    }
}

/// Returns the `metadata` with injected labels and annotations.
fn with_additions(author: Option<&Value>, plan: &Plan, mut record: Record) -> Value {
    record.empty_forms.record(METADATA, author);
    let mut members = object(author);
    metadata::add(&mut members, plan, record);
    Value::Object(members)
}

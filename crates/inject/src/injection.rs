//! Writes what a plan says to the sites of a pod template.

use serde_json::Value;
use settings::STATUS_KEY;

use crate::container;
use crate::earlier::Earlier;
use crate::entry::List;
use crate::hook;
use crate::label;
use crate::plan::{Plan, Takeover};
use crate::pod::{Container, Pod};
use crate::sites::{ANNOTATIONS, AppSites, METADATA, Sites, object};
use crate::status::Record;

/// The sites with everything that is injected; `author`'s as they were written, `now` as they are.
pub(crate) fn injected(author: &Sites, now: &Sites, pod: &Pod, plan: &Plan, earlier: &Earlier) -> Sites {
    let mut record =
        Record::new(container::resources(&plan.resources), plan.sidecar.image.to_string(), plan.takeover.names());
    let apps = author.apps.iter().zip(&pod.apps).map(|(site, app)| with_proxy(site, app, plan, &mut record)).collect();
    for list in List::ALL.into_iter().filter(|list| !list.wanted(plan).is_empty()) {
        record.blanks.note(list.field(), author.list(list));
    }
    let lists = List::ALL.map(|list| list.injected(now.list(list), author.list(list), plan, earlier));
    let metadata = Some(with_marks(author.metadata.as_ref(), plan, record));
    Sites { metadata, lists, apps }.with_sidecars_written()
}

/// The places of an app container that has the proxy in front of it.
fn with_proxy(author: &AppSites, app: &Container, plan: &Plan, record: &mut Record) -> AppSites {
    let mut held = author.clone();
    if let Some(port) = plan.held.get(&app.name) {
        let lifecycle = author.lifecycle.as_ref();
        hook::note(lifecycle, &app.name, &mut record.blanks);
        held.lifecycle = Some(hook::waiting(lifecycle, *port));
    }
    match &plan.takeover {
        Takeover::Redirect(_, probes) => held.past_proxy(app, probes, record),
        Takeover::NamedPort(names) => {
            let led = if plan.begins_with_header() { held.by_way_of_proxy(app, names, record) } else { held };
            led.renamed(&names.away(author.ports.as_ref()))
        }
    }
}

/// The `metadata` with the label of what is balanced, and with the status annotation.
fn with_marks(metadata: Option<&Value>, plan: &Plan, mut record: Record) -> Value {
    record.blanks.note(METADATA, metadata);
    let mut metadata = object(metadata);
    label::add(&mut metadata, plan, &mut record);
    record.blanks.note(ANNOTATIONS, metadata.get(ANNOTATIONS));
    let mut annotations = object(metadata.get(ANNOTATIONS));
    annotations.insert(STATUS_KEY.to_owned(), Value::String(record.text()));
    metadata.insert(ANNOTATIONS.to_owned(), Value::Object(annotations));
    Value::Object(metadata)
}

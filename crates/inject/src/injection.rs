//! Writes what a plan says to the sites of a pod template.

use serde_json::Value;
use settings::STATUS_KEY;

use crate::balance;
use crate::container;
use crate::earlier::Earlier;
use crate::hook;
use crate::ours::{Origin, is_our_container};
use crate::plan::{Plan, Takeover};
use crate::pod::{Container, Pod};
use crate::sites::{ANNOTATIONS, AppSites, INIT_CONTAINERS, METADATA, Sites, object};
use crate::status::Record;
use crate::update;
use crate::volume::{self, VOLUMES};

/// The sites with everything that is injected; `author`'s as they were written, `now` as they are.
pub(crate) fn injected(author: &Sites, now: &Sites, pod: &Pod, plan: &Plan, earlier: &Earlier) -> Sites {
    let mut record =
        Record::new(container::resources(&plan.resources), plan.sidecar.image.to_string(), plan.takeover.names());
    let apps = author.apps.iter().zip(&pod.apps).map(|(site, app)| with_proxy(site, app, plan, &mut record)).collect();
    record.blanks.note(INIT_CONTAINERS, author.init_containers.as_ref());
    if plan.tls_secret.is_some() {
        record.blanks.note(VOLUMES, author.volumes.as_ref());
    }
    let origin = earlier.origin;
    let init_containers = with_ours(now.init_containers.as_ref(), plan, earlier.record.as_ref(), origin);
    let volumes = volume::injected(now.volumes.as_ref(), author.volumes.as_ref(), plan.tls_secret.as_ref(), origin);
    Sites {
        metadata: Some(with_marks(author.metadata.as_ref(), plan, record)),
        init_containers: Some(init_containers),
        volumes,
        apps,
    }
    .with_sidecars_written()
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
    if plan.proxy.balance.is_some() {
        balance::put_label(&mut metadata, &mut record);
    }
    record.blanks.note(ANNOTATIONS, metadata.get(ANNOTATIONS));
    let mut annotations = object(metadata.get(ANNOTATIONS));
    annotations.insert(STATUS_KEY.to_owned(), Value::String(record.text()));
    metadata.insert(ANNOTATIONS.to_owned(), Value::Object(annotations));
    Value::Object(metadata)
}

/// `initContainers` with ours up to date: those that are there in their places, others before the next of ours or at the end;
/// without one of ours that is no longer wanted. None of ours comes after a native sidecar that serves what they lead to the proxy: it would
/// start before there is one, and its startup probe could not pass.
fn with_ours(list: Option<&Value>, plan: &Plan, given: Option<&Record>, origin: Origin) -> Value {
    let wanted = container::wanted(plan);
    let mut list = list.and_then(Value::as_array).cloned().unwrap_or_default();
    let is_ours = |entry: &Value| is_our_container(Some(entry), origin);
    let is_wanted = |entry: &Value| wanted.iter().any(|wanted| wanted.get("name") == entry.get("name"));
    list.retain(|entry| !is_ours(entry) || is_wanted(entry));
    let serves = |entry: &Value| {
        let name = entry.get("name").and_then(Value::as_str);
        name.is_some_and(|name| plan.serving_sidecars.contains(name)) && !is_ours(entry)
    };
    if list.iter().skip_while(|entry| !serves(entry)).any(is_ours) {
        let (ours, others): (Vec<Value>, Vec<Value>) = list.into_iter().partition(is_ours);
        list = others;
        let first = list.iter().position(serves).unwrap_or(list.len());
        list.splice(first..first, ours);
    }
    let mut next = list.iter().position(serves).unwrap_or(list.len());
    for wanted in wanted.iter().rev() {
        let is_it = |entry: &Value| is_ours(entry) && entry.get("name") == wanted.get("name");
        if let Some(place) = list.iter().position(is_it) {
            list[place] = update::updated(&list[place], wanted, given);
            next = place;
        } else {
            list.insert(next, wanted.clone());
        }
    }
    Value::Array(list)
}

//! Helm, and what it renders.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::files;

const CHART: &str = "charts/evenkeel";
/// The namespace of the release, which is named alike.
pub const NAMESPACE: &str = "evenkeel";

/// What a chart renders with some values.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered(Vec<Value>);

impl Rendered {
    /// Returns every object, by kind and name.
    pub fn objects(&self) -> &[Value] {
        &self.0
    }

    /// Returns the objects of a kind.
    pub fn all(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|object| object["kind"] == kind).collect()
    }

    /// Returns the one object of a kind that is not the balancer's.
    ///
    /// # Panics
    /// If there is none, or another.
    pub fn one(&self, kind: &str) -> &Value {
        self.only(kind, false)
    }

    /// Returns the one object of a kind that is the balancer's.
    ///
    /// # Panics
    /// If there is none, or another.
    pub fn of_balancer(&self, kind: &str) -> &Value {
        self.only(kind, true)
    }

    fn only(&self, kind: &str, of_balancer: bool) -> &Value {
        let component = |object: &Value| object["metadata"]["labels"]["app.kubernetes.io/component"] == "balancer";
        let found: Vec<&Value> = self.all(kind).into_iter().filter(|object| component(object) == of_balancer).collect();
        assert_eq!(found.len(), 1, "objects of the kind {kind} in {}", self.kinds().join(", "));
        found[0]
    }

    /// Returns the kinds of all objects.
    pub fn kinds(&self) -> Vec<&str> {
        self.0.iter().filter_map(|object| object["kind"].as_str()).collect()
    }
}

/// Renders the chart with `flags`, such as `--set=a=b`, by every Helm that is to be tried; all must give the same.
///
/// # Errors
/// What Helm says against it, without the versions' different beginnings.
///
/// # Panics
/// If Helm cannot be run, or gives something else than objects.
pub fn render(flags: &[&str]) -> Result<Rendered, String> {
    // Tests ask different questions of the same values.
    static SEEN: Mutex<BTreeMap<String, Result<Rendered, String>>> = Mutex::new(BTreeMap::new());
    let seen = || SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let key = flags.join("\0");
    let before = seen().get(&key).cloned();
    before.unwrap_or_else(|| {
        let now = template_all(&files::path(CHART), flags);
        seen().insert(key, now.clone());
        now
    })
}

fn template_all(chart: &Path, flags: &[&str]) -> Result<Rendered, String> {
    let mut results = programs().into_iter().map(|helm| (template(&helm, chart, flags), helm));
    let (first, _) = results.next().expect("HELM names a program");
    for (other, helm) in results {
        match (&first, &other) {
            (Ok(first), Ok(other)) => assert_eq!(first, other, "{helm} renders something else with {flags:?}"),
            (Err(_), Err(_)) => {}
            (first, other) => panic!("{helm} says {other:?}, and another Helm {first:?}, to {flags:?}"),
        }
    }
    first
}

/// Renders what is known to be right.
///
/// # Panics
/// If Helm says something against it.
pub fn rendered(flags: &[&str]) -> Rendered {
    render(flags).unwrap_or_else(|said| panic!("{flags:?}: {said}"))
}

/// Returns the notes that `helm install` would print. Helm 3 prints them only with a cluster, so they are rendered as a
/// file of a copy of the chart.
///
/// # Panics
/// If the copy cannot be made, or Helm says something against it.
pub fn notes(flags: &[&str]) -> String {
    let copy = tempfile::tempdir().expect("a temporary folder");
    let chart = copy.path().join("evenkeel");
    copy_folder(&files::path(CHART), &chart);
    fs::rename(chart.join("templates/NOTES.txt"), chart.join("NOTES.txt")).expect("the chart has notes");
    let as_object = r#"{"kind": "Notes", "text": {{ tpl (.Files.Get "NOTES.txt") . | toJson }}}"#;
    fs::write(chart.join("templates/notes.yaml"), as_object).expect("the copy can be written");
    let rendered = template_all(&chart, flags).unwrap_or_else(|said| panic!("{flags:?}: {said}"));
    rendered.one("Notes")["text"].as_str().expect("notes are text").to_owned()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new folder");
    for entry in fs::read_dir(from).expect("a folder of the chart") {
        let entry = entry.expect("a folder of the chart can be read");
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a file of the chart can be copied");
        }
    }
}

/// Returns the programs that `HELM` names, `helm` alone if it is not set.
///
/// # Panics
/// Panics if `HELM` names none, because the tests would try nothing.
pub fn programs() -> Vec<String> {
    let named = std::env::var_os("HELM").unwrap_or_else(|| "helm".into());
    let named = named.into_string().unwrap_or_default();
    assert!(!named.trim().is_empty(), "HELM: the names of programs were expected, as in HELM=\"helm helm3\"");
    named.split_whitespace().map(str::to_owned).collect()
}

fn template(helm: &str, chart: &Path, flags: &[&str]) -> Result<Rendered, String> {
    let mut command = Command::new(helm);
    // The oldest version of Kubernetes that is supported; without it Helm may ask a cluster.
    command.args(["template", NAMESPACE, "--namespace", NAMESPACE, "--kube-version=1.33"]).arg(chart).args(flags);
    let ran = command.output();
    let ran =
        ran.unwrap_or_else(|error| panic!("{helm} cannot be run ({error}); see https://helm.sh/docs/intro/install"));
    if !ran.status.success() {
        return Err(String::from_utf8_lossy(&ran.stderr).into_owned());
    }
    let text = String::from_utf8_lossy(&ran.stdout);
    let objects = serde_saphyr::from_multiple::<Value>(&text).unwrap_or_else(|error| panic!("{helm}: {error}: {text}"));
    // Templates may render nothing.
    let mut objects: Vec<Value> = objects.into_iter().filter(|object| !object.is_null()).collect();
    // The order among objects of a kind is not that of both versions of Helm.
    objects.sort_by_cached_key(|object| [&object["kind"], &object["metadata"]["name"]].map(ToString::to_string));
    Ok(Rendered(objects))
}

//! Golden cases: a folder each under `tests/golden`.
//!
//! `input.yaml` is written by hand, and so are `defaults.yaml` and `balancer.yaml` of the installation, and
//! `namespace.yaml`, `limit-range.yaml` and `quota.yaml` of the namespace. With `UPDATE_GOLDEN=1` this test writes
//! `outcome.yaml` and, where there is a patch, `output.yaml`. A file that belongs to no case is an error.
//!
//! A change of an `output.yaml` rolls the pods of every workload at its next edit after an upgrade: it needs a reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use inject::{
    Decision, Installation, NamespaceFacts, Outcome, ResourceConstraints, SkipReason, WorkloadKind, inject, remove,
};
use serde_json::{Value, json};
use settings::{PREFIX, STATUS_KEY};

/// The objects of a case's namespace, and that itself.
const NAMESPACE_FILES: [&str; 3] = ["namespace.yaml", "limit-range.yaml", "quota.yaml"];
/// A case of 256 KiB is none to read: the tests of the module `size`, and `converge`, have it.
const CASES_ELSEWHERE: &[SkipReason] = &[SkipReason::TooLarge];

/// A folder and what is in it.
struct Case {
    folder: PathBuf,
    name: String,
    input: Value,
    kind: WorkloadKind,
    installation: Installation,
    namespace: Option<NamespaceFacts>,
}

impl Case {
    fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let mut folders: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders.into_iter().map(Self::read).collect()
    }

    fn read(folder: PathBuf) -> Self {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let input = parsed(&folder.join("input.yaml")).unwrap_or_else(|| panic!("{name} has no input.yaml"));
        // An image that no release changes.
        let image = json!({"proxy-image": "example.com/recycling-proxy:1"});
        let defaults = parsed(&folder.join("defaults.yaml")).unwrap_or(image);
        let [version, kind] = ["apiVersion", "kind"].map(|key| input[key].as_str().unwrap_or_default());
        let kind = WorkloadKind::of(version, kind).unwrap_or_else(|| panic!("{name}: no kind to inject into"));
        let namespace = namespace(&folder);
        let balance_keys =
            parsed(&folder.join("balancer.yaml")).map(|file| file["keys"].as_str().unwrap().parse().unwrap());
        let installation = Installation { defaults: serde_json::from_value(defaults).unwrap(), balance_keys };
        Self { folder, name, input, kind, installation, namespace }
    }

    fn outcome(&self) -> Outcome {
        self.outcome_of(&self.input)
    }

    /// Returns what becomes of another object in the same place.
    fn outcome_of(&self, object: &Value) -> Outcome {
        inject(object, self.kind, self.namespace.as_ref(), &self.installation)
    }

    /// Returns the input with the patch applied.
    fn output(&self) -> Value {
        patched(&self.input, &self.outcome())
    }

    fn was_injected_before(&self) -> bool {
        self.input.to_string().contains(STATUS_KEY)
    }
}

/// Returns what is known of the case's namespace.
fn namespace(folder: &Path) -> Option<NamespaceFacts> {
    let [namespace, limit_range, quota] = NAMESPACE_FILES.map(|file| parsed(&folder.join(file)));
    if [&namespace, &limit_range, &quota].iter().all(|object| object.is_none()) {
        return None;
    }
    let texts = |key: &str| {
        let texts = namespace.as_ref().map(|object| object["metadata"][key].clone());
        texts.and_then(|texts| serde_json::from_value(texts).ok()).unwrap_or_default()
    };
    let constraints = ResourceConstraints::read(&limit_range, &quota);
    Some(NamespaceFacts { constraints, ..NamespaceFacts::of(&texts("labels"), texts("annotations")) })
}

fn parsed(file: &Path) -> Option<Value> {
    let text = fs::read_to_string(file).ok()?;
    Some(serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
}

fn patched(object: &Value, outcome: &Outcome) -> Value {
    let mut object = object.clone();
    if let Some(patch) = outcome.patch() {
        json_patch::patch(&mut object, patch).unwrap();
    }
    object
}

/// Returns what a case's `outcome.yaml` says.
fn described(outcome: &Outcome) -> String {
    let mut lines = json!({"decision": outcome.decision().label()});
    if let Some(reason) = outcome.skip_reason() {
        lines["reason"] = json!(reason.label());
    }
    if let Outcome::Unreadable(unreadable) = outcome {
        lines["unreadable"] = json!(unreadable.to_string());
    }
    if !outcome.warnings().is_empty() {
        lines["warnings"] = json!(outcome.warnings());
    }
    if let Some(patch) = outcome.patch() {
        let operation = |operation: &Value| format!("{} {}", operation["op"], operation["path"]).replace('"', "");
        let operations = serde_json::to_value(patch).unwrap();
        lines["patch"] = operations.as_array().unwrap().iter().map(operation).collect();
    }
    yaml(&lines)
}

fn yaml(value: &Value) -> String {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 10_000 };
    serde_saphyr::to_string_with_options(value, options).unwrap()
}

#[test]
fn every_case_has_the_recorded_outcome() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for case in Case::all() {
        let outcome = case.outcome();
        let output = outcome.patch().map(|_| yaml(&case.output()));
        for (file, text) in [("outcome.yaml", Some(described(&outcome))), ("output.yaml", output)] {
            let path = case.folder.join(file);
            let recorded = fs::read_to_string(&path).ok();
            match (update, &text) {
                _ if recorded == text => {}
                (true, Some(text)) => fs::write(path, text).unwrap(),
                (true, None) => fs::remove_file(path).unwrap(),
                (false, _) => wrong.push(format!("{}\n{}", path.display(), text.unwrap_or("(no such file)".into()))),
            }
        }
    }
    assert!(wrong.is_empty(), "UPDATE_GOLDEN=1 records what is right:\n{}", wrong.join("\n"));
}

#[test]
fn every_golden_file_belongs_to_a_case() {
    let files = ["input.yaml", "defaults.yaml", "balancer.yaml", "outcome.yaml", "output.yaml"];
    let known: BTreeSet<String> = files.into_iter().chain(NAMESPACE_FILES).map(String::from).collect();
    for case in Case::all() {
        for entry in fs::read_dir(&case.folder).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            assert!(known.contains(&file), "{}: nothing reads {file}", case.name);
        }
    }
}

#[test]
fn every_reason_and_every_decision_has_a_case() {
    let cases = Case::all();
    for reason in SkipReason::ALL.iter().filter(|reason| !CASES_ELSEWHERE.contains(reason)) {
        let name = format!("skip-{}", reason.label().replace('_', "-"));
        let case = cases.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"));
        assert_eq!(case.outcome().skip_reason(), Some(*reason), "{name}");
    }
    let decisions: BTreeSet<_> = cases.iter().map(|case| case.outcome().decision()).collect();
    assert_eq!(decisions, Decision::ALL.iter().copied().collect());
}

#[test]
fn a_second_injection_changes_nothing() {
    for case in Case::all() {
        let again = case.outcome_of(&case.output());
        assert_eq!(again.patch(), None, "{}", case.name);
    }
}

#[test]
fn removal_restores_every_byte() {
    for case in Case::all().iter().filter(|case| !case.was_injected_before()) {
        let output = case.output();
        let restored = patched(&output, &remove(&output, case.kind));
        assert_eq!(restored.to_string(), case.input.to_string(), "{}", case.name);
    }
}

/// What an earlier version injected comes to the same as what this one does, and leads back to the same.
#[test]
fn an_injection_of_an_earlier_version_is_updated_and_removed() {
    let cases = Case::all();
    let named = |name: &str| cases.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"));
    for case in cases.iter().filter(|case| case.name.starts_with("upgraded-")) {
        let fresh = named(&case.name["upgraded-".len()..]);
        assert_eq!(case.output(), fresh.output(), "{}", case.name);
        for object in [case.input.clone(), case.output()] {
            let restored = patched(&object, &remove(&object, case.kind));
            assert_eq!(restored.to_string(), fresh.input.to_string(), "{}", case.name);
        }
    }
}

#[test]
fn opting_out_restores_every_byte() {
    let of_injection = |case: &&Case| case.outcome().decision() == Decision::Injected && !case.was_injected_before();
    for case in Case::all().iter().filter(of_injection).filter(|case| case.kind.can_change()) {
        let output = opted_out(case.output());
        let restored = patched(&output, &case.outcome_of(&output));
        assert_eq!(restored.to_string(), opted_out(case.input.clone()).to_string(), "{}", case.name);
    }
}

/// Returns the object without any annotation of ours but the status.
fn opted_out(mut object: Value) -> Value {
    for place in ["/metadata/annotations", "/spec/template/metadata/annotations"] {
        if let Some(annotations) = object.pointer_mut(place).and_then(Value::as_object_mut) {
            annotations.retain(|key, _| key == STATUS_KEY || !key.starts_with(PREFIX));
        }
    }
    object
}

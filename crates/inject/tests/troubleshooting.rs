//! docs/TROUBLESHOOTING.md has an entry, in the same words, for everything that injection tells the author of a
//! workload.

use std::fs;
use std::path::Path;

use inject::{Note, Outcome, PodSecurity, Quantity, Resource, SkipReason};
use json_patch::Patch;

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/TROUBLESHOOTING.md")).unwrap()
}

/// Returns where links lead to.
fn anchor(id: &str) -> String {
    format!("<a id=\"{id}\"></a>")
}

/// Notes as the page has them for examples.
fn notes() -> Vec<Note> {
    vec![
        Note::DrainCut { asked: "90s".parse().unwrap(), cut: "20s".parse().unwrap() },
        Note::OwnHook { container: "web".to_owned() },
        Note::NotGuaranteed,
        Note::Fitted { resource: Resource::Cpu, request: Quantity::ZERO, limit: None },
        Note::QuotaShort { quota: "limits.cpu".to_owned(), needed: "80m".to_owned(), left: "50m".to_owned() },
        Note::NamedPortChosen { level: PodSecurity::Restricted },
        Note::NamedPortInSandbox,
        Note::NamedPortOnOpenShift,
        Note::NoBalancer,
        Note::NoNameToBalance,
        Note::ByNameAlone,
        Note::Unnamed { port: 9102 },
    ]
}

/// Returns the id of its entry; a new note does not compile without one.
const fn id(note: &Note) -> &'static str {
    match note {
        Note::DrainCut { .. } => "drain_cut",
        Note::OwnHook { .. } => "own_hook",
        Note::NotGuaranteed => "not_guaranteed",
        Note::Fitted { .. } => "fitted",
        Note::QuotaShort { .. } => "quota_short",
        Note::NamedPortChosen { .. } => "named_port_chosen",
        Note::NamedPortInSandbox => "named_port_in_sandbox",
        Note::NamedPortOnOpenShift => "named_port_on_openshift",
        Note::NoBalancer => "no_balancer",
        Note::NoNameToBalance => "no_name_to_balance",
        Note::ByNameAlone => "by_name_alone",
        Note::Unnamed { .. } => "unnamed",
    }
}

#[test]
fn troubleshooting_md_has_an_entry_for_every_skip_reason() {
    let page = page();
    for reason in SkipReason::ALL {
        let entry = format!("| {}`{}` | {} |", anchor(reason.label()), reason.label(), reason.sentence());
        assert!(page.contains(&entry), "docs/TROUBLESHOOTING.md lacks: {entry}");
        let warnings = Outcome::Skip { reason: *reason, patch: Patch::default() }.warnings();
        assert_eq!(warnings, [format!("evenkeel: not injected: {}", reason.sentence())]);
    }
}

#[test]
fn troubleshooting_md_has_an_entry_for_every_note() {
    let page = page();
    for note in notes() {
        let said = note.to_string();
        // Other amounts than none are made by the crate alone.
        let said = said.split("request 0").next().unwrap();
        let entry = format!("| {}`evenkeel: {said}", anchor(id(&note)));
        assert!(page.contains(&entry), "docs/TROUBLESHOOTING.md lacks: {entry}");
    }
}

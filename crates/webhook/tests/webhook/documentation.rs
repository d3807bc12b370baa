//! docs/INSTALL.md and docs/TROUBLESHOOTING.md list the Events that are published.

use std::fs;
use std::path::Path;

use webhook::events::EventReason;

fn table() -> String {
    let rows = EventReason::ALL
        .iter()
        .map(|reason| format!("| `{}` | {} | {} |\n", reason.name(), reason.event_type(), reason.sentence()));
    rows.fold("| reason | type | when |\n|---|---|---|\n".to_owned(), |table, row| table + &row)
}

#[test]
fn install_md_lists_every_event_reason() {
    let command = "cargo test -p webhook --test webhook documentation";
    generated_docs::part("docs/INSTALL.md", "reasons of Events", &table(), command);
}

#[test]
fn troubleshooting_md_has_an_entry_for_every_event_reason() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/TROUBLESHOOTING.md");
    let page = fs::read_to_string(page).unwrap();
    for reason in EventReason::ALL {
        let heading = format!("\n### {}\n{}.", reason.name(), reason.event_type());
        assert!(page.contains(&heading), "docs/TROUBLESHOOTING.md lacks: {heading}");
    }
}

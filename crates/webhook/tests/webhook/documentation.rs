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
fn the_page_lists_every_reason() {
    let command = "cargo test -p webhook --test webhook documentation";
    generated_docs::part("docs/INSTALL.md", "reasons of Events", &table(), command);
}

#[test]
fn every_reason_of_an_event_has_an_entry() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/TROUBLESHOOTING.md");
    let page = fs::read_to_string(page).unwrap();
    for reason in EventReason::ALL {
        let heading = format!("\n### {}\n{}.", reason.name(), reason.event_type());
        assert!(page.contains(&heading), "docs/TROUBLESHOOTING.md lacks: {heading}");
    }
}

//! The Events that docs/INSTALL.md and docs/TROUBLESHOOTING.md name are those that are published.

use std::fs;
use std::path::Path;

use webhook::events::Occasion;

fn table() -> String {
    let rows = Occasion::ALL
        .iter()
        .map(|occasion| format!("| `{}` | {} | {} |\n", occasion.reason(), occasion.event_type(), occasion.sentence()));
    rows.fold("| reason | type | when |\n|---|---|---|\n".to_owned(), |table, row| table + &row)
}

#[test]
fn the_page_has_every_occasion() {
    let command = "cargo test -p webhook --test webhook documentation";
    generated_docs::part("docs/INSTALL.md", "occasions of Events", &table(), command);
}

#[test]
fn every_reason_of_an_event_has_an_entry() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/TROUBLESHOOTING.md");
    let page = fs::read_to_string(page).unwrap();
    for occasion in Occasion::ALL {
        let heading = format!("\n### {}\n{}.", occasion.reason(), occasion.event_type());
        assert!(page.contains(&heading), "docs/TROUBLESHOOTING.md lacks: {heading}");
    }
}

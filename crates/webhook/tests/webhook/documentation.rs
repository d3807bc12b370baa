//! The Events that docs/INSTALL.md names are those that are published.

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

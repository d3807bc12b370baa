//! The Events that docs/INSTALL.md names are those that are published.

use std::fs;

use webhook::events::Occasion;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/INSTALL.md");
const BEGIN: &str = "<!-- occasions of Events -->\n";
const END: &str = "<!-- end of occasions -->";

fn table() -> String {
    let rows = Occasion::ALL
        .iter()
        .map(|occasion| format!("| `{}` | {} | {} |\n", occasion.reason(), occasion.event_type(), occasion.sentence()));
    rows.fold("| reason | type | when |\n|---|---|---|\n".to_owned(), |table, row| table + &row)
}

/// Rewrites the table with `UPDATE_DOCS=1`.
#[test]
fn the_page_has_every_occasion() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page marks where the occasions begin");
    let (documented, after) = rest.split_once(END).expect("the page marks where the occasions end");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(PAGE, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
    } else {
        assert_eq!(documented, table(), "run: UPDATE_DOCS=1 cargo test -p webhook --test webhook documentation");
    }
}

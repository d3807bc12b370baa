//! The annotations as the README documents them are those of the code.

use std::fs;

use settings::Annotation;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
const BEGIN: &str = "<!-- annotations: compared with the code by a test -->\n";
const END: &str = "<!-- end of annotations -->";

/// `|` would end the cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', r"\|")
}

fn table() -> String {
    let rows = Annotation::ALL.iter().map(|annotation| {
        let cells = [annotation.value_form(), annotation.default_text(), annotation.help()].map(cell);
        format!("| `{}` | {} |\n", annotation.name(), cells.join(" | "))
    });
    let head = "| `evenkeel.dev/…` | value | default | meaning |\n|---|---|---|---|\n".to_owned();
    rows.fold(head, |table, row| table + &row)
}

/// Rewrites the table with `UPDATE_DOCS=1`.
#[test]
fn readme_has_every_annotation() {
    let readme = fs::read_to_string(README).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the README marks where the annotations begin");
    let (documented, after) = rest.split_once(END).expect("the README marks where the annotations end");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(README, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
    } else {
        assert_eq!(documented, table(), "run: UPDATE_DOCS=1 cargo test -p settings --test documentation");
    }
}

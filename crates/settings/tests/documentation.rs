//! The annotations as the README documents them are those of the code.

use settings::Annotation;

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

#[test]
fn readme_has_every_annotation() {
    generated_docs::part("README.md", "annotations", &table(), "cargo test -p settings --test documentation");
}

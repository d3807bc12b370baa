//! The annotations and options as the documents list them are those of the code.

use std::collections::BTreeMap;

use settings::{Annotation, Layer, OptionSpec, ProxyOption, RedirectOption, WorkloadSettings};

const COMMAND: &str = "cargo test -p settings --test documentation";

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

fn places() -> String {
    let said = |takes| if takes { "yes" } else { "–" };
    let rows = Annotation::ALL.iter().map(|annotation| {
        let (namespace, installation) = (namespace_takes(*annotation), annotation.takes_installation_default());
        format!("| `{}` | yes | {} | {} |\n", annotation.name(), said(namespace), said(installation))
    });
    let head =
        "| `evenkeel.dev/…` | workload, pod template | namespace | installation |\n|---|---|---|---|\n".to_owned();
    rows.fold(head, |table, row| table + &row)
}

/// Returns whether an annotation of a namespace counts, which is not to be there otherwise.
fn namespace_takes(annotation: Annotation) -> bool {
    let own = BTreeMap::from([(Annotation::MaxRequests.key().to_owned(), "1".to_owned())]);
    let namespace = BTreeMap::from([(annotation.key().to_owned(), "?".to_owned())]);
    let faults = WorkloadSettings::resolve(&[Layer::Namespace(&namespace), Layer::Workload(&own)]).unwrap_err();
    !faults.to_string().contains("expected it on a workload alone")
}

fn options<O: OptionSpec>() -> String {
    let rows = O::ALL.iter().map(|option| {
        let default = option.default().map_or_else(|| "–".to_owned(), |default| format!("`{default}`"));
        let (flag, value, env) = (option.flag(), option.value_name(), option.env());
        format!("| `--{flag} {value}` | `{env}` | {default} | {} |\n", cell(option.help()))
    });
    let head = "| flag | environment variable | default | meaning |\n|---|---|---|---|\n".to_owned();
    rows.fold(head, |table, row| table + &row)
}

#[test]
fn readme_has_every_annotation() {
    generated_docs::part("README.md", "annotations", &table(), COMMAND);
}

#[test]
fn reference_md_has_every_option_and_place_of_annotations() {
    for (part, now) in [
        ("places of annotations", places()),
        ("options of recycling-proxy run", options::<ProxyOption>()),
        ("options of recycling-proxy redirect", options::<RedirectOption>()),
    ] {
        generated_docs::part("docs/REFERENCE.md", part, &now, COMMAND);
    }
}

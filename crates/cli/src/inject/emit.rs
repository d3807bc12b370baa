//! Writes documents.

use serde_json::Value;

use crate::manifests::documents::{Document, Form, is_marker};

/// What is to be written, as it grows.
pub(super) struct Emitter {
    /// `None` for the form of each input.
    form: Option<Form>,
    text: String,
}

impl Emitter {
    pub(super) fn new(form: Option<Form>) -> Self {
        Self { form, text: String::new() }
    }

    /// Adds a document that came in the form `from`.
    pub(super) fn add(&mut self, document: &Document, from: Form, changed: bool) -> anyhow::Result<()> {
        let form = self.form.unwrap_or(from);
        if form == from && !changed {
            self.separate(form, &document.text);
            self.text.push_str(&document.text);
            return Ok(());
        }
        if document.value.is_null() {
            return Ok(());
        }
        match form {
            Form::Yaml => {
                let text = format!("{}{}", head(&document.text, from), yaml(&document.value)?);
                self.separate(form, &text);
                self.text.push_str(&text);
            }
            Form::Json => {
                self.text.push_str(&serde_json::to_string_pretty(&document.value)?);
                self.text.push('\n');
            }
        }
        Ok(())
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Puts a marker between two documents of YAML where the second does not bring one.
    fn separate(&mut self, form: Form, next: &str) {
        if self.text.is_empty() || form == Form::Json {
            return;
        }
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        if !next.lines().next().is_some_and(is_marker) {
            self.text.push_str("---\n");
        }
    }
}

/// Returns what comes before the content of a document: its marker, and comments such as the `# Source:` of a chart.
fn head(text: &str, form: Form) -> String {
    if form == Form::Json {
        return String::new();
    }
    let mut head = String::new();
    for line in text.trim_start_matches('\u{feff}').split_inclusive('\n') {
        let rest = if is_marker(line) { &line[3..] } else { line };
        let is_content = !(rest.trim().is_empty() || rest.trim_start().starts_with('#') || line.starts_with('%'));
        if is_content {
            if is_marker(line) {
                head.push_str("---\n");
            }
            break;
        }
        head.push_str(line);
    }
    head
}

/// YAML that kubectl, too, reads back as `value`.
fn yaml(value: &Value) -> anyhow::Result<String> {
    // The parser that kubectl uses refuses a block whose text begins with a tab; such text is rare and gets quotes.
    let blocks = !has_text(value, &|text| text.trim_start_matches('\n').starts_with('\t'));
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX, prefer_block_scalars: blocks };
    Ok(serde_saphyr::to_string_with_options(value, options)?)
}

fn has_text(value: &Value, of: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => of(text),
        Value::Array(list) => list.iter().any(|value| has_text(value, of)),
        Value::Object(object) => object.iter().any(|(key, value)| of(key) || has_text(value, of)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifests::documents;

    /// Reads a manifest and writes it with every document changed that has an `x`.
    fn rewritten(text: &str, form: Option<Form>) -> String {
        let mut emitter = Emitter::new(form);
        let stream = documents::read(text).unwrap();
        for document in stream.documents {
            let changed = document.value.get("x").is_some();
            emitter.add(&document, stream.form, changed).unwrap();
        }
        emitter.text
    }

    #[test]
    fn unchanged_documents_are_written_verbatim() {
        for text in ["", "# a\na:   1 # b\n---\n\n--- # c\n{b: 2}", "{\"a\":   1}\n\n{}"] {
            assert_eq!(rewritten(text, None), text);
        }
    }

    #[test]
    fn comments_before_a_changed_document_are_kept() {
        let text = "a:   1\n---\n# Source: web.yaml\n\nx:   2 # gone\n---\nb: 3\n";
        assert_eq!(rewritten(text, None), "a:   1\n---\n# Source: web.yaml\n\nx: 2\n---\nb: 3\n");
        assert_eq!(rewritten("--- {x: 1} # gone", None), "---\nx: 1\n");
        assert_eq!(rewritten("%YAML 1.2\n---\nx:  1", None), "%YAML 1.2\n---\nx: 1\n");
    }

    #[test]
    fn documents_are_converted_between_yaml_and_json() {
        assert_eq!(rewritten("{\"x\": 1} {\"b\": 2}", Some(Form::Yaml)), "x: 1\n---\nb: 2\n");
        assert_eq!(
            rewritten("x: 1\n---\n# nothing\n---\nb: 2\n", Some(Form::Json)),
            "{\n  \"x\": 1\n}\n{\n  \"b\": 2\n}\n"
        );
    }

    #[test]
    fn strings_that_look_like_other_types_survive_a_round_trip() {
        let texts = [
            "on",
            "yes",
            "n",
            "null",
            "~",
            "",
            "1e3",
            "0755",
            "0x1F",
            "1_000",
            "12:30:45",
            "2001-01-01",
            ".inf",
            "=",
            "<<",
            "a: b",
            "a #b",
            "- a",
            "a\nb\n",
            "a\nb",
            "\na",
            " a\n b",
            "a\n\n",
            "\ta\nb",
            "\n\tb",
            "a ",
            "\u{feff}a",
            "\u{85}",
            "{{ .Values.a }}",
            "$(A)",
            "---",
            "--- a\n",
            "...",
            "#a\n",
        ];
        for text in texts {
            let value = json!({"a": text, "b": [text, {"c": text}], text: 1});
            let yaml = yaml(&value).unwrap();
            assert_eq!(documents::read(&yaml).unwrap().documents[0].value, value, "{yaml}");
        }
        let long = "word ".repeat(100) + "end";
        assert_eq!(yaml(&json!({"a": long})).unwrap(), format!("a: {long}\n"));
    }
}

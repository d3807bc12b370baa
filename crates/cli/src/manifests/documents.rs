//! A manifest taken apart into its documents, each with its text and its value.

use std::borrow::Cow;

use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, UserMessageFormatter};

const BYTE_ORDER_MARK: char = '\u{feff}';
/// How deep collections may be nested. Schemas of CRDs have some 60 levels, and JSON may have as many as this.
const DEEPEST: usize = 128;

/// The two forms of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// Documents between lines of ---.
    Yaml,
    /// One value after the other.
    Json,
}

/// A manifest.
pub(crate) struct Stream {
    pub(crate) form: Form,
    pub(crate) documents: Vec<Document>,
}

/// One document of a manifest. The texts of all documents, one after the other, are the manifest.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) text: String,
    pub(crate) value: Value,
}

/// Takes a manifest apart.
pub(crate) fn read(text: &str) -> anyhow::Result<Stream> {
    // A flow mapping of YAML can begin like this too, so what is not JSON may still be YAML.
    if text.trim_start().starts_with('{')
        && let Some(documents) = json(text)
    {
        return Ok(Stream { form: Form::Json, documents });
    }
    let mut documents = Vec::new();
    for (line, text) in split(text) {
        let value = yaml(text, line)?;
        documents.push(Document { text: text.to_owned(), value });
    }
    Ok(Stream { form: Form::Yaml, documents })
}

fn json(text: &str) -> Option<Vec<Document>> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut documents = Vec::new();
    let mut begin = 0;
    while let Some(value) = values.next() {
        let value = value.ok()?;
        let end = values.byte_offset();
        documents.push(Document { text: text[begin..end].to_owned(), value });
        begin = end;
    }
    if let Some(last) = documents.last_mut() {
        last.text.push_str(&text[begin..]);
    }
    Some(documents)
}

/// Reads a document that begins at `first_line` of its manifest, of which an error's line counts.
fn yaml(text: &str, first_line: usize) -> anyhow::Result<Value> {
    let as_kubectl = serde_saphyr::options! {
        // `0755` is an octal number to kubectl, and a file mode in many a manifest.
        legacy_octal_numbers: true,
        // Charts repeat labels.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        // A list of all workloads of a cluster has millions of nodes. What aliases expand to stays bounded.
        budget: serde_saphyr::budget! {
            max_depth: DEEPEST,
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
        },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(&without_byte_order_marks(text), as_kubectl).map_err(|error| {
        let before = u64::try_from(first_line.saturating_sub(1)).unwrap_or(u64::MAX);
        let options = serde_saphyr::render_options! { line_offset: before, formatter: &UserMessageFormatter };
        anyhow::anyhow!("{}", error.render_with_options(options))
    })
}

/// Returns the text without the byte order marks at the beginning of lines. Files that were joined have them within,
/// and kubectl ignores them there.
fn without_byte_order_marks(text: &str) -> Cow<'_, str> {
    if !text.contains(BYTE_ORDER_MARK) {
        return text.into();
    }
    let lines = text.split_inclusive('\n').map(|line| line.trim_start_matches(BYTE_ORDER_MARK));
    lines.collect::<String>().into()
}

/// The documents with the number of each one's first line. A line of `---` begins one, and belongs to it.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut begin, mut begin_line, mut at) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        // Directives (%YAML) come before the marker of their document.
        if is_marker(line) && at > begin && !text[begin..at].lines().any(|line| line.starts_with('%')) {
            documents.push((begin_line, &text[begin..at]));
            (begin, begin_line) = (at, index + 1);
        }
        at += line.len();
    }
    documents.push((begin_line, &text[begin..]));
    documents
}

/// YAML 1.2 §9.1.2: three dashes in the first columns, then white space. Nothing else in a stream can look like that.
pub(crate) fn is_marker(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(text: &str) -> Vec<Value> {
        read(text).unwrap().documents.into_iter().map(|document| document.value).collect()
    }

    #[test]
    fn the_texts_of_the_documents_make_up_the_manifest() {
        for text in [
            "",
            "a: 1",
            "a: 1\n---\nb: 2\n",
            "---\na: 1\n---\n---\n# nothing\n--- # a comment\nb: 2\n...\n",
            "%YAML 1.2\n---\na: 1\n",
            "a: |\n  ---\n  x\n---x: 1\n",
            "--- {a: 1}\n---\r\nb: 2\r\n",
            "\u{feff}a: 1\n",
            "{\"a\": 1}\n {\"b\": 2} \n",
            "{a: 1}\n",
        ] {
            let stream = read(text).unwrap_or_else(|error| panic!("{text:?}: {error:#}"));
            let texts: String = stream.documents.iter().map(|document| document.text.as_str()).collect();
            assert_eq!(texts, text);
        }
    }

    #[test]
    fn each_document_has_its_value() {
        assert_eq!(values("a: 1\n---\n# nothing\n---\nb: 2\n"), [json!({"a": 1}), json!(null), json!({"b": 2})]);
        assert_eq!(values("{\"a\": 1} {\"b\": 2}"), [json!({"a": 1}), json!({"b": 2})]);
        assert_eq!(values("a: |\n  ---\n  x\n"), [json!({"a": "---\nx\n"})]);
    }

    #[test]
    fn scalars_are_read_as_kubectl_reads_them() {
        let read = values("{mode: 0755, on: on, yes: 'yes', e: 1e3, s: 12:30, d: 2001-01-01, n: ~, x: 0x1f}");
        let expected = json!({
            "mode": 493, "on": true, "yes": "yes", "e": 1000.0, "s": "12:30", "d": "2001-01-01", "n": null, "x": 31,
        });
        assert_eq!(read, [expected]);
    }

    #[test]
    fn keys_and_byte_order_marks_are_read_as_kubectl_reads_them() {
        assert_eq!(values("a: 1\nb: {c: 2, c: 3}\na: 4\n"), [json!({"a": 4, "b": {"c": 3}})]);
        let joined = "\u{feff}a: 1\n---\n# Source: b.yaml\n\u{feff}b: x\u{feff}\n";
        assert_eq!(values(joined), [json!({"a": 1}), json!({"b": "x\u{feff}"})]);
    }

    #[test]
    fn a_long_list_is_read() {
        let list = format!("[{}1]", "1,".repeat(250_000));
        assert_eq!(values(&list)[0].as_array().map(Vec::len), Some(250_001));
    }

    #[test]
    fn the_depth_of_a_document_is_bounded() {
        // As much as the main thread has.
        let thread = std::thread::Builder::new().stack_size(8 << 20);
        let depths = || [100, 200, 100_000].map(|depth| read(&("- ".repeat(depth) + "x")).is_ok());
        assert_eq!(thread.spawn(depths).unwrap().join().unwrap(), [true, false, false]);
    }

    #[test]
    fn syntax_errors_name_their_line_in_the_manifest() {
        for (text, line) in
            [("a: 1\n---\nb: 1\n? [c]\n: 2\n", 4), ("a: 1\n---\nb: ]\n", 3), ("a: 1\n---\nb: 1\n...\nc: 2\n", 5)]
        {
            let error = read(text).map(|_| ()).unwrap_err();
            assert!(error.to_string().contains(&format!("line {line}")), "{error:#}");
        }
    }
}

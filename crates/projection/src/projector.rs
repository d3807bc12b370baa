//! The reader of JSON text that passes on what a rule keeps.

use crate::Rule;

/// The longest name of a member. No rule has a longer one, so members with longer names are dropped.
const LONGEST_NAME: usize = 1024;

/// Reads documents, one after the other, in pieces of any size.
///
/// What it writes of a document that is well-formed JSON is well-formed; of one that is not, its reader is to complain.
/// White space between values goes, but for the line feed between documents.
///
/// ```text
///           ┌─────────────── , in an array ──────────────┐
///           ▼                                            │
///  ──▶ Value ──▶ String, Bare, Whole ──▶ Next ── ] or } ─┴▶ Next, or Value after a document
///       │  ▲                              │
///     { │  └── Colon ◀── InName ◀── Name ◀┘ , in an object
///       └──────────────────────────▶ Name
/// ```
#[derive(Debug)]
pub struct Projector {
    rule: &'static Rule,
    /// The arrays and objects around what is read now, but those that are kept or dropped as a whole.
    open: Vec<Open>,
    state: State,
    /// Bytes that a document may have after projection, and that the present one has so far.
    most: usize,
    written: usize,
}

/// More of a document is kept than may be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected at most {0} bytes of what is read of a document")]
pub struct TooLarge(usize);

#[derive(Debug)]
struct Open {
    rule: &'static Rule,
    is_object: bool,
    kept: usize,
}

#[derive(Debug)]
enum State {
    /// Before a value.
    Value,
    /// Before the name of a member.
    Name,
    /// Within it; as it is written, without the quotes.
    InName { name: Vec<u8>, escaped: bool },
    /// Between a name and the value, for which the rule is.
    Colon(&'static Rule),
    /// Behind the colon.
    Member(&'static Rule),
    /// Behind a value that is not the outermost.
    Next,
    /// Within a string, of which so many characters may still be written.
    String { left: usize, writes: bool, escape: Escape },
    /// Within a number or a literal.
    Bare { writes: bool },
    /// Within a value that is written, or dropped, as it comes.
    Whole { depth: usize, in_string: bool, escaped: bool, writes: bool },
}

/// Where an escape in a string is.
#[derive(Clone, Copy, Debug)]
enum Escape {
    None,
    /// Behind the backslash.
    Begun,
    /// So many digits of `\uXXXX` are to come.
    Digits(u8),
}

impl Projector {
    /// Keeps what `rule` keeps of each document, which may be `most` bytes.
    pub fn new(rule: &'static Rule, most: usize) -> Self {
        Self { rule, open: Vec::new(), state: State::Value, most, written: 0 }
    }

    /// Returns what `rule` keeps of the document in `text`.
    pub fn project(rule: &'static Rule, text: &[u8]) -> Vec<u8> {
        let mut kept = Vec::with_capacity(text.len());
        // No document is longer.
        _ = Self::new(rule, usize::MAX).push(text, &mut kept);
        kept
    }

    /// Reads on, and appends to `kept` what is kept of it.
    pub fn push(&mut self, mut text: &[u8], kept: &mut Vec<u8>) -> Result<(), TooLarge> {
        while let Some(byte) = text.first() {
            let before = kept.len();
            let read = match &self.state {
                State::Whole { .. } => self.whole(text, kept),
                State::Value
                | State::Name
                | State::InName { .. }
                | State::Colon(_)
                | State::Member(_)
                | State::Next
                | State::String { .. }
                | State::Bare { .. } => usize::from(self.step(*byte, kept)),
            };
            self.written += kept.len() - before;
            if self.written > self.most {
                return Err(TooLarge(self.most));
            }
            text = &text[read..];
        }
        Ok(())
    }

    /// Reads a byte; whether it is done with it, or in another state than before.
    fn step(&mut self, byte: u8, kept: &mut Vec<u8>) -> bool {
        match &mut self.state {
            State::Value => return self.value(byte, kept),
            State::Member(rule) => {
                let rule = *rule;
                if !byte.is_ascii_whitespace() {
                    self.begin(byte, rule, kept);
                }
            }
            State::Name => match byte {
                b'"' => self.state = State::InName { name: Vec::new(), escaped: false },
                b'}' => self.close(kept),
                _ => {}
            },
            State::InName { name, escaped } => {
                if byte == b'"' && !*escaped {
                    let name = std::mem::take(name);
                    self.name(&name, kept);
                } else {
                    *escaped = byte == b'\\' && !*escaped;
                    if name.len() <= LONGEST_NAME {
                        name.push(byte);
                    }
                }
            }
            State::Colon(rule) => {
                if byte == b':' {
                    self.state = State::Member(rule);
                }
            }
            State::Next => match byte {
                b',' if self.open.last().is_some_and(|open| open.is_object) => self.state = State::Name,
                b',' => self.state = State::Value,
                b'}' | b']' => self.close(kept),
                _ => {}
            },
            State::Bare { writes } => {
                if matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace() {
                    self.end();
                    return false;
                }
                if *writes {
                    kept.push(byte);
                }
            }
            State::String { .. } => self.string(byte, kept),
            State::Whole { .. } => return false,
        }
        true
    }

    /// Reads a byte before a value that is an element, or a document.
    fn value(&mut self, byte: u8, kept: &mut Vec<u8>) -> bool {
        let Some(array) = self.open.last_mut() else {
            match byte {
                b'\n' => kept.push(byte),
                _ if byte.is_ascii_whitespace() => {}
                _ => self.begin(byte, self.rule, kept),
            }
            return true;
        };
        match byte {
            b']' | b'}' => self.close(kept),
            _ if byte.is_ascii_whitespace() => {}
            _ => {
                let rule = array.rule.element(array.kept);
                if *rule != Rule::Drop {
                    if array.kept > 0 {
                        kept.push(b',');
                    }
                    array.kept += 1;
                }
                self.begin(byte, rule, kept);
            }
        }
        true
    }

    /// Begins a value, of which this is the first byte.
    fn begin(&mut self, byte: u8, rule: &'static Rule, kept: &mut Vec<u8>) {
        let writes = *rule != Rule::Drop;
        let whole = |depth, writes| State::Whole { depth, in_string: depth == 0, escaped: false, writes };
        self.state = match (byte, rule) {
            (b'"', Rule::Scalar(longest)) => State::String { left: *longest, writes, escape: Escape::None },
            (b'"', _) => whole(0, writes),
            (b'{', Rule::Members(..) | Rule::Prefixed(..) | Rule::Answer(_) | Rule::Metadata(_)) => {
                self.open.push(Open { rule, is_object: true, kept: 0 });
                State::Name
            }
            (b'[', Rule::Elements(..) | Rule::Answer(_)) => {
                self.open.push(Open { rule, is_object: false, kept: 0 });
                State::Value
            }
            (b'{' | b'[', Rule::Keep | Rule::Drop) | (b'[', Rule::Members(_, Rule::Keep)) => whole(1, writes),
            (b'{' | b'[', _) => {
                kept.extend_from_slice(b"null");
                self.state = whole(1, false);
                return;
            }
            (_, _) => State::Bare { writes },
        };
        if writes {
            kept.push(byte);
        }
    }

    fn name(&mut self, name: &[u8], kept: &mut Vec<u8>) {
        let Some(object) = self.open.last_mut() else { return };
        let rule = if name.len() > LONGEST_NAME { &Rule::Drop } else { object.rule.member(name, object.kept) };
        if *rule != Rule::Drop {
            kept.extend_from_slice(if object.kept > 0 { b",\"" } else { b"\"" });
            kept.extend_from_slice(name);
            kept.extend_from_slice(b"\":");
            object.kept += 1;
        }
        self.state = State::Colon(rule);
    }

    fn string(&mut self, byte: u8, kept: &mut Vec<u8>) {
        let State::String { left, writes, escape } = &mut self.state else { return };
        match (*escape, byte) {
            (Escape::None, b'"') => {
                kept.push(byte);
                return self.end();
            }
            // A character of several bytes, or an escape, is written whole or not at all.
            (Escape::None, 0x80..=0xBF) => {}
            (Escape::None, _) => {
                *writes = *left > 0;
                *left = left.saturating_sub(1);
                *escape = if byte == b'\\' { Escape::Begun } else { Escape::None };
            }
            (Escape::Begun, b'u') => *escape = Escape::Digits(4),
            (Escape::Begun | Escape::Digits(..=1), _) => *escape = Escape::None,
            (Escape::Digits(digits), _) => *escape = Escape::Digits(digits - 1),
        }
        if *writes {
            kept.push(byte);
        }
    }

    /// Reads as much as belongs to a value that is not looked into. How much that is.
    fn whole(&mut self, text: &[u8], kept: &mut Vec<u8>) -> usize {
        let State::Whole { depth, in_string, escaped, writes } = &mut self.state else { return 0 };
        let mut is_over = |byte: &u8| {
            match byte {
                _ if *escaped => *escaped = false,
                b'\\' => *escaped = *in_string,
                b'"' => *in_string = !*in_string,
                b'{' | b'[' if !*in_string => *depth += 1,
                b'}' | b']' if !*in_string => *depth -= 1,
                _ => {}
            }
            *depth == 0 && !*in_string
        };
        let end = text.iter().position(&mut is_over);
        let read = end.map_or(text.len(), |last| last + 1);
        if *writes {
            kept.extend_from_slice(&text[..read]);
        }
        if end.is_some() {
            self.end();
        }
        read
    }

    fn close(&mut self, kept: &mut Vec<u8>) {
        if let Some(open) = self.open.pop() {
            kept.push(if open.is_object { b'}' } else { b']' });
        }
        self.end();
    }

    /// A value has ended.
    fn end(&mut self) {
        if self.open.is_empty() {
            self.written = 0;
            self.state = State::Value;
        } else {
            self.state = State::Next;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::OBJECT;

    static SCALAR: Rule = Rule::Scalar(3);
    static SOME: Rule = Rule::Members(
        &[
            ("items", &Rule::Elements(2, &SOME)),
            ("annotations", &Rule::Prefixed(2, &["a/", "b/"], &SCALAR)),
            ("name", &SCALAR),
            ("all", &Rule::Keep),
        ],
        &Rule::Drop,
    );

    static ANSWER: Rule = Rule::Answer(&[("name", &SCALAR), ("metadata", &Rule::Metadata(&[("all", &Rule::Keep)]))]);

    /// Returns what `rule` keeps of `value`, said once more, on values.
    fn expected(rule: &'static Rule, value: &Value) -> Value {
        match (rule, value) {
            (Rule::Keep, value) | (Rule::Members(_, Rule::Keep), value @ Value::Array(_)) => value.clone(),
            (Rule::Scalar(longest), Value::String(text)) => json!(text.chars().take(*longest).collect::<String>()),
            (_, Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => value.clone(),
            (Rule::Elements(most, rule), Value::Array(list)) => {
                list.iter().take(*most).map(|element| expected(rule, element)).collect()
            }
            (Rule::Answer(_), Value::Array(list)) => list.iter().map(|object| expected(rule, object)).collect(),
            (Rule::Members(..) | Rule::Prefixed(..) | Rule::Answer(_) | Rule::Metadata(_), Value::Object(members)) => {
                let mut kept = serde_json::Map::new();
                for (name, value) in members {
                    let rule = rule.member(name.as_bytes(), kept.len());
                    if *rule != Rule::Drop {
                        kept.insert(name.clone(), expected(rule, value));
                    }
                }
                Value::Object(kept)
            }
            (_, _) => Value::Null,
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let names = prop::sample::select(vec![
            "items",
            "object",
            "metadata",
            "kind",
            "annotations",
            "name",
            "all",
            "a/x",
            "b/",
            "c",
            "é\"\\",
        ]);
        let texts =
            prop::sample::select(vec!["", "abc", "abcd", "é€x\u{1f600}", "\"\\\n{}[],:", "\u{1}\u{2}\u{3}\u{4}"]);
        let leaves = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            texts.prop_map(Value::from),
        ];
        leaves.prop_recursive(5, 64, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((names.clone(), inner), 0..5)
                    .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_projection_does_not_depend_on_how_the_text_is_cut(
            value in values(), pretty: bool, cuts in prop::collection::vec(1..9_usize, 1..50),
        ) {
            for rule in [&SOME, &OBJECT, &ANSWER] {
                let text = if pretty { format!("{value:#}") } else { value.to_string() };
                let mut projector = Projector::new(rule, usize::MAX);
                let (mut kept, mut rest, mut cuts) = (Vec::new(), text.as_bytes(), cuts.iter().cycle());
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                    projector.push(piece, &mut kept).unwrap();
                    rest = after;
                }
                prop_assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), expected(rule, &value));
            }
        }

        #[test]
        fn no_text_makes_the_projector_panic(text: Vec<u8>, json in "[\\[\\]{}\",:a\\\\ \n]{0,64}") {
            for text in [&text[..], json.as_bytes()] {
                Projector::project(&SOME, text);
            }
        }
    }

    #[test]
    fn lists_and_watch_events_keep_the_selected_fields_of_each_object() {
        static ANSWER: Rule =
            Rule::Answer(&[("metadata", &Rule::Metadata(&[("uid", &Rule::Keep)])), ("spec", &Rule::Keep)]);
        let object = json!({"metadata": {"name": "web", "uid": "1", "labels": {"a": "b"}}, "spec": {"x": 1}});
        let kept = json!({"metadata": {"name": "web", "uid": "1"}, "spec": {"x": 1}});
        let list = |object| json!({"kind": "PodList", "metadata": {"continue": "2"}, "items": [object]});
        let event = |object| json!({"type": "ADDED", "object": object});
        let status = json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"});
        for (answer, kept) in [
            (object.clone(), kept.clone()),
            (list(object.clone()), list(kept.clone())),
            (event(object), event(kept)),
            (event(status.clone()), event(status)),
        ] {
            let projected = Projector::project(&ANSWER, answer.to_string().as_bytes());
            assert_eq!(serde_json::from_slice::<Value>(&projected).unwrap(), kept);
        }
    }

    #[test]
    fn documents_on_successive_lines_are_projected_one_by_one() {
        let lines = "{\"name\":\"abcdef\",\"x\":[1]}\n {\"x\":{}}\n7\n\n";
        assert_eq!(Projector::project(&SOME, lines.as_bytes()), b"{\"name\":\"abc\"}\n{}\n7\n\n");
    }

    #[test]
    fn each_document_has_the_limit_of_size_for_itself() {
        let mut projector = Projector::new(&SOME, 16);
        let mut kept = Vec::new();
        for _ in 0..10 {
            projector.push(b"{\"name\":\"abc\",\"x\":\"0123456789\"}\n", &mut kept).unwrap();
        }
        assert_eq!(projector.push(b"{\"name\":\"abc\",\"all\":1}\n", &mut kept), Err(TooLarge(16)));
    }

    #[test]
    fn memory_does_not_grow_with_the_length_of_a_name() {
        let mut projector = Projector::new(&OBJECT, usize::MAX);
        let mut kept = Vec::new();
        projector.push(b"{\"", &mut kept).unwrap();
        projector.push(&b"x".repeat(10_000), &mut kept).unwrap();
        let State::InName { name, .. } = &projector.state else { panic!("{projector:?}") };
        assert_eq!(name.len(), LONGEST_NAME + 1);
        projector.push(b"\":1,\"y\":2}", &mut kept).unwrap();
        assert_eq!(kept, b"{\"y\":2}");
    }
}

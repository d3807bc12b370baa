//! Every projection, compared with that of a second implementation on values.

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

/// Returns what `rule` keeps of `value`, by a second implementation.
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
    let texts = prop::sample::select(vec!["", "abc", "abcd", "é€x\u{1f600}", "\"\\\n{}[],:", "\u{1}\u{2}\u{3}\u{4}"]);
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

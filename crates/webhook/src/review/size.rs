//! How much memory an object would take once it is parsed.

/// A parsed value takes up to 300 bytes, and its text two: 3 MiB of `[0]` become 450 MiB. A Deployment of 1 MiB, all
/// variables and their field managers, has some 40,000.
const MOST_VALUES: usize = 100_000;

/// Whether an object in JSON has more values than are worth their memory.
pub(super) fn is_too_large(object: &str) -> bool {
    values(object) > MOST_VALUES
}

/// At least as many as there are in `json`, which is well-formed: each value follows the beginning of an array or object, or a
/// comma, if it is not the outermost.
fn values(json: &str) -> usize {
    let (mut values, mut in_string, mut escaped) = (1, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' | b',' if !in_string => values += 1,
            _ => {}
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_in_strings_is_no_value() {
        for (json, count) in [
            ("1", 1),
            ("[]", 2),
            ("[1,2]", 3),
            (r#"{"a":1,"b":{}}"#, 4),
            (r#"{"a":"[{,,,"}"#, 2),
            (r#"["\",,"]"#, 2),
            (r#"["\\",1]"#, 3),
            (r#"["\\\",,,"]"#, 2),
        ] {
            assert_eq!(values(json), count, "{json}");
        }
    }
}

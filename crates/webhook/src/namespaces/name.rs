//! Valid names of namespaces.

/// The longest label of a DNS name (RFC 1123 §2.1, RFC 1035 §2.3.4).
const LONGEST: usize = 63;

/// Returns whether `text` is a DNS label of RFC 1123 in lower case, which names of namespaces must be.
pub(super) fn is_name(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= LONGEST
        && bytes.iter().all(|byte| alphanumeric(*byte) || *byte == b'-')
        && bytes.first().zip(bytes.last()).is_some_and(|(first, last)| alphanumeric(*first) && alphanumeric(*last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_name_is_a_dns_label() {
        let longest = "a".repeat(63);
        for name in ["a", "0", "kube-system", "a--b", &longest] {
            assert!(is_name(name), "{name}");
        }
        let too_long = "a".repeat(64);
        for text in [
            "",
            "-",
            "-a",
            "a-",
            "A",
            "a.b",
            "a_b",
            "a/b",
            "a\\b",
            "..",
            "a?b",
            "a#b",
            "a%2fb",
            "a b",
            "a\n",
            "a\0",
            "ä",
            "evenkeel/secrets/x",
            "../../api/v1/secrets",
            "a?watch=true",
            &too_long,
        ] {
            assert!(!is_name(text), "{text:?}");
        }
    }
}

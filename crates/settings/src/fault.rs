//! Faults of settings, described for their authors.

use std::fmt;

/// The most characters of a value in a message. Values can be a megabyte long.
const SHOWN_CHARACTERS: usize = 40;
/// The most characters of a key in a message. API servers accept 253 and the prefix; a file can have any number.
const SHOWN_OF_KEY: usize = 100;

/// One setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key as its author wrote it: an annotation, a flag, an environment name.
    pub key: String,
    /// The value that was found; `None` if a required one is missing.
    pub value: Option<String>,
    /// What was expected; it follows the word "expected" in the message.
    pub expected: String,
}

impl Fault {
    /// Returns the fault of a value that does not parse.
    pub fn invalid(key: impl Into<String>, value: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { key: key.into(), value: Some(value.into()), expected: expected.into() }
    }

    /// Returns the fault of a missing required value.
    pub fn missing(key: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { key: key.into(), value: None, expected: expected.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, expected } = self;
        match value {
            None => write!(f, "{} is missing: expected {expected}", named(key)),
            Some(value) => write!(f, "{}: {} is not usable: expected {expected}", named(key), shown(value)),
        }
    }
}

/// Returns the key with control characters escaped, and truncated if it is long.
fn named(key: &str) -> String {
    let shown = key.chars().take(SHOWN_OF_KEY).map(|character| match character {
        control if control.is_control() => control.escape_default().to_string(),
        other => other.to_string(),
    });
    let mut named: String = shown.collect();
    if key.chars().nth(SHOWN_OF_KEY).is_some() {
        named.push('…');
    }
    named
}

/// Returns the value in quotes, with control characters escaped, and truncated if it is long.
fn shown(value: &str) -> String {
    let mut cut: String = value.chars().take(SHOWN_CHARACTERS).collect();
    if cut.len() < value.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}

/// Every fault of one source of settings; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Returns `Ok(())` if there is no fault.
    pub fn none_or(faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }

    /// Returns what was parsed if there was no fault.
    ///
    /// A parser returns no value only together with a fault. If it does without one, that is a fault, too.
    pub fn settle<T>(parsed: Option<T>, faults: Vec<Fault>) -> Result<T, Self> {
        match parsed {
            Some(value) if faults.is_empty() => Ok(value),
            Some(_) | None => Err(Self(faults)),
        }
    }

    /// Returns the faults, in the order in which the settings are parsed.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_key_value_and_expectation() {
        let fault = Fault::invalid("evenkeel.dev/jitter", "90%", "0% to 50%");
        assert_eq!(fault.to_string(), r#"evenkeel.dev/jitter: "90%" is not usable: expected 0% to 50%"#);
        let fault = Fault::missing("--app", "an address");
        assert_eq!(fault.to_string(), "--app is missing: expected an address");
    }

    #[test]
    fn hostile_values_are_truncated_and_escaped() {
        let fault = Fault::invalid("k", format!("a\n\u{1b}[31m{}", "x".repeat(1 << 20)), "y");
        let sentence = fault.to_string();
        assert!(sentence.len() < 120, "{sentence}");
        assert!(!sentence.contains(['\n', '\u{1b}']), "{sentence}");
        let fault = Fault::invalid(format!("evenkeel.dev/\n{}", "é".repeat(1 << 20)), "x", "y");
        assert!(fault.to_string().chars().count() < 160 && !fault.to_string().contains('\n'), "{fault}");
    }

    #[test]
    fn an_empty_list_of_faults_is_ok() {
        assert_eq!(Faults::none_or(vec![]), Ok(()));
    }
}

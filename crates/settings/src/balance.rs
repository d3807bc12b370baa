//! The settings of balancing: the public keys of the balancer, and the workload of the pod.

use std::fmt;
use std::str::FromStr;

use crate::fault::Fault;
use crate::option::{OptionSpec, RawOptions};
use crate::table::ProxyOption;
use crate::value::{InvalidValue, is_label, is_subdomain};

/// The label that injection puts on pod templates whose pods are balanced, with the value [`BALANCE_LABEL_VALUE`].
pub const BALANCE_LABEL: &str = "evenkeel.dev/balance";
/// The value of [`BALANCE_LABEL`].
pub const BALANCE_LABEL_VALUE: &str = "on";

/// The field of a `ConfigMap` in which a balancer publishes its public keys, as [`BalanceKeys`] has them as text.
pub const BALANCE_KEYS_FIELD: &str = "keys";

/// The balancing of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceSettings {
    /// The public keys with which instructions are verified.
    pub keys: BalanceKeys,
    /// The workload of the pod.
    pub workload: WorkloadRef,
    /// Whether `max_requests` is set explicitly. It then applies while balancing is in force, too.
    pub max_requests_is_set: bool,
}

impl BalanceSettings {
    /// Parses the options. Returns `None` if no key is given, and if there is a fault.
    pub(crate) fn parse(
        raw: &RawOptions<ProxyOption>,
        namespace: Option<&NamespaceName>,
        faults: &mut Vec<Fault>,
    ) -> Option<Self> {
        let keys = raw.one(ProxyOption::BalanceKeys, faults);
        let workload = raw.one(ProxyOption::Workload, faults);
        if keys.is_some() {
            for (option, is_missing) in
                [(ProxyOption::Workload, workload.is_none()), (ProxyOption::Namespace, namespace.is_none())]
            {
                if is_missing && !raw.is_given(option) {
                    let expected = format!("a value, since there is --{}", ProxyOption::BalanceKeys.flag());
                    faults.push(Fault::missing(raw.key(option), expected));
                }
            }
        }
        let max_requests_is_set = raw.is_given(ProxyOption::MaxRequests);
        Some(Self { keys: keys?, workload: workload?, max_requests_is_set })
    }
}

/// The Ed25519 public keys of balancers: one, or more while keys are rotated; at most four.
///
/// As text each is the base64 line of its PEM, and commas separate them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceKeys(String);

impl BalanceKeys {
    const MOST: usize = 4;
    /// The base64 of the constant prefix of an Ed25519 public key's DER (`SubjectPublicKeyInfo`, RFC 8410 §4).
    const PREFIX: &str = "MCowBQYDK2VwAyEA";
    /// The characters of a key, the last of which is `=`.
    const LENGTH: usize = 60;

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_key(text: &str) -> bool {
        let Some(digits) = text.strip_suffix('=').filter(|_| text.len() == Self::LENGTH) else { return false };
        let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
        // The last digit has four bits of the key, and two that are zero (RFC 4648 §3.5).
        let is_whole = digits.ends_with(|last: char| "AEIMQUYcgkosw048".contains(last));
        text.starts_with(Self::PREFIX) && digits.bytes().all(is_digit) && is_whole
    }
}

impl FromStr for BalanceKeys {
    type Err = InvalidValue;

    /// Accepts white space between keys, too, as text in a ConfigMap may have it.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let words = text.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let mut keys: Vec<&str> = Vec::new();
        for key in words {
            if !Self::is_key(key) {
                return Err(EXPECTED_KEYS);
            }
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        if (1..=Self::MOST).contains(&keys.len()) { Ok(Self(keys.join(","))) } else { Err(EXPECTED_KEYS) }
    }
}

const EXPECTED_KEYS: InvalidValue = InvalidValue(
    "one to four Ed25519 public keys, each the base64 line of its PEM, which begins with MCowBQYDK2VwAyEA; separated by commas",
);

impl fmt::Display for BalanceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A workload within its namespace: `KIND/NAME`, such as `Deployment/web`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadRef {
    kind: String,
    name: String,
}

impl WorkloadRef {
    const LONGEST_KIND: usize = 63;

    /// Returns the reference; `None` if `kind` is not a word of letters and digits, or `name` is not the name of an
    /// object.
    pub fn new(kind: &str, name: &str) -> Option<Self> {
        let is_kind = (1..=Self::LONGEST_KIND).contains(&kind.len())
            && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && kind.starts_with(|first: char| first.is_ascii_alphabetic());
        (is_kind && is_subdomain(name)).then(|| Self { kind: kind.to_owned(), name: name.to_owned() })
    }

    /// Returns the kind.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for WorkloadRef {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let parsed = text.split_once('/').and_then(|(kind, name)| Self::new(kind, name));
        parsed.ok_or(InvalidValue("KIND/NAME, such as Deployment/web"))
    }
}

impl fmt::Display for WorkloadRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// The name of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceName(String);

impl NamespaceName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NamespaceName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let name = is_label(text).then(|| Self(text.to_owned()));
        name.ok_or(InvalidValue("the name of a namespace: at most 63 of a-z, 0-9 and -"))
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of RFC 8410 §10.1.
    const KEY: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    const OTHER: &str = "MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    #[test]
    fn balance_keys_are_pem_without_armor() {
        for (text, expected) in [
            (KEY.to_owned(), Some(KEY.to_owned())),
            (format!("{KEY}, {OTHER}\n"), Some(format!("{KEY},{OTHER}"))),
            (format!("{KEY}\n{KEY}\n"), Some(KEY.to_owned())),
            (String::new(), None),
            (KEY.replace('=', ""), None),
            (KEY.replace("uE=", "uF="), None),
            (KEY.replacen('M', "m", 1), None),
            (KEY.replace("Gb9", "G$9"), None),
            (format!("{KEY},ssh-ed25519"), None),
            ((1..=5).map(|n| OTHER.replacen("EAAAAA", &format!("EAAAA{n}"), 1)).collect::<Vec<_>>().join(","), None),
        ] {
            assert_eq!(text.parse().ok().map(|keys: BalanceKeys| keys.to_string()), expected, "{text}");
        }
    }

    #[test]
    fn a_workload_is_written_as_kind_and_name() {
        for good in ["Deployment/web", "Rollout/web.v2", "X1/0"] {
            assert_eq!(good.parse::<WorkloadRef>().unwrap().to_string(), good);
        }
        for bad in
            ["", "web", "Deployment/", "/web", "Deployment/Web", "Deployment/a/b", "De ployment/web", "1/a", "A/a..b"]
        {
            assert!(bad.parse::<WorkloadRef>().is_err(), "{bad}");
        }
    }

    fn parsed(values: &[(ProxyOption, &str)], namespace: Option<&str>) -> Result<Option<BalanceSettings>, String> {
        let mut raw = RawOptions::default();
        for (option, value) in values {
            raw.give(*option, format!("--{}", option.flag()), [(*value).to_owned()]);
        }
        let namespace = namespace.map(|name| name.parse().unwrap());
        let mut faults = Vec::new();
        let parsed = BalanceSettings::parse(&raw, namespace.as_ref(), &mut faults);
        if faults.is_empty() { Ok(parsed) } else { Err(faults.iter().map(ToString::to_string).collect()) }
    }

    #[test]
    fn balance_keys_require_a_workload_and_its_namespace() {
        use ProxyOption::{BalanceKeys, MaxRequests, Workload};
        let web = (Workload, "Deployment/web");
        assert_eq!(parsed(&[], None), Ok(None));
        assert_eq!(parsed(&[web], Some("shop")), Ok(None), "without keys there is no balancing");
        let settings = parsed(&[(BalanceKeys, KEY), web], Some("shop")).unwrap().unwrap();
        assert!(!settings.max_requests_is_set);
        let settings = parsed(&[(BalanceKeys, KEY), web, (MaxRequests, "1000")], Some("shop")).unwrap().unwrap();
        assert!(settings.max_requests_is_set);
        let missing = parsed(&[(BalanceKeys, KEY)], None).unwrap_err();
        assert!(missing.contains("--workload") && missing.contains("--namespace"), "{missing}");
        let bad = parsed(&[(BalanceKeys, "x"), (Workload, "web")], None).unwrap_err();
        assert!(bad.contains("--balance-keys") && bad.contains("--workload"), "{bad}");
    }
}

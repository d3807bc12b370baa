//! Values that are one word of a few, and names of ports and sockets.

use std::fmt;
use std::str::FromStr;

use super::{InvalidValue, is_subdomain};

/// Defines an enum whose variants are words of the public interface, each written once.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $expected:literal, { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every value, in the order in which they are documented.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns its text.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl FromStr for $name {
            type Err = InvalidValue;

            fn from_str(text: &str) -> Result<Self, InvalidValue> {
                Self::ALL.iter().copied().find(|value| value.word() == text).ok_or(InvalidValue($expected))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words!(
    /// On or off.
    Switch, "on or off", {
        /// Switched on.
        On = "on",
        /// Switched off.
        Off = "off",
    }
);

words!(
    /// How traffic reaches the proxy.
    Interception, "redirect or named-port", {
        /// nftables rules in the pod's network namespace redirect new inbound connections to the proxy.
        Redirect = "redirect",
        /// The name of a container port is moved to a port of the proxy, which Services target by that name.
        NamedPort = "named-port",
    }
);

words!(
    /// Whether connections to the app begin with a header of the PROXY protocol, and with which.
    ProxyProtocol, "v1, v2 or off", {
        /// A line of text.
        V1 = "v1",
        /// A binary header.
        V2 = "v2",
        /// No header.
        Off = "off",
    }
);

words!(
    /// The log level of the proxy.
    LogLevel, "error, warn, info, debug or trace", {
        /// Errors that need an operator.
        Error = "error",
        /// Conditions that may need one.
        Warn = "warn",
        /// Lifecycle events of the process.
        Info = "info",
        /// Lifecycle events of every connection.
        Debug = "debug",
        /// Everything but request bytes.
        Trace = "trace",
    }
);

impl Switch {
    /// Returns whether it is [`Switch::On`].
    pub const fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}

/// A container port, by number or by the name that the container gives it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortRef {
    /// 1 to 65535.
    Number(u16),
    /// An IANA service name: at most 15 of `a-z`, `0-9` and `-`, with at least one letter.
    Name(String),
}

impl FromStr for PortRef {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let expected = InvalidValue("port numbers from 1 to 65535 or container port names, separated by commas");
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let number = text.parse().ok().filter(|number| *number > 0 && !text.starts_with('0'));
            return number.map(Self::Number).ok_or(expected);
        }
        // RFC 6335 §5.1, as Kubernetes checks it.
        let characters = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let hyphens = !text.starts_with('-') && !text.ends_with('-') && !text.contains("--");
        let letters = text.bytes().any(|b| b.is_ascii_lowercase());
        if characters && hyphens && letters && text.len() <= 15 {
            Ok(Self::Name(text.to_owned()))
        } else {
            Err(expected)
        }
    }
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// A file that is read: any path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath(String);

impl FilePath {
    pub(crate) const fn new(path: String) -> Self {
        Self(path)
    }

    /// Returns the path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FilePath {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let usable = !text.is_empty() && !text.contains('\0');
        usable.then(|| Self(text.to_owned())).ok_or(InvalidValue("the path of a file"))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a Secret: what DNS allows for a name with dots (RFC 1123), as Kubernetes checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretName(String);

impl SecretName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let name = is_subdomain(text).then(|| Self(text.to_owned()));
        name.ok_or(InvalidValue("the name of a Secret, such as web-tls"))
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The Unix socket on which the running proxy takes commands that change its state.
///
/// A path, or `@name` for a socket in the abstract namespace, which needs no writable file system and is private to
/// the network namespace (`unix(7)`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlSocket {
    /// A socket file.
    Path(String),
    /// A name in the abstract namespace.
    Abstract(String),
}

impl FromStr for ControlSocket {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        // sun_path holds 108 bytes, one of which marks the end or the abstract namespace.
        let fits = text.len() <= 107 && !text.contains('\0');
        match text.strip_prefix('@') {
            Some(name) if fits && !name.is_empty() => Ok(Self::Abstract(name.to_owned())),
            None if fits && text.starts_with('/') => Ok(Self::Path(text.to_owned())),
            _ => Err(InvalidValue("an absolute path or @NAME, at most 107 bytes long")),
        }
    }
}

impl fmt::Display for ControlSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.fmt(f),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_settings_survive_a_round_trip() {
        for level in LogLevel::ALL {
            assert_eq!(level.word().parse(), Ok(*level));
        }
        for bad in ["", "ON", "On", "true", "yes", "1", " on"] {
            assert!(bad.parse::<Switch>().is_err(), "{bad:?}");
        }
        assert!("iptables".parse::<Interception>().is_err());
    }

    #[test]
    fn ports_are_numbers_or_names() {
        assert_eq!("8080".parse(), Ok(PortRef::Number(8080)));
        assert_eq!("http-2".parse(), Ok(PortRef::Name("http-2".into())));
        for bad in ["", "0", "080", "65536", "-1", "HTTP", "a--b", "-a", "a-", "a_b", "abcdefghijklmnop", "12-34-", "½"]
        {
            assert!(bad.parse::<PortRef>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_of_secrets_and_paths_of_files_are_checked() {
        for good in ["web-tls", "a", "1", "web.example.com", &"a".repeat(253)] {
            assert_eq!(good.parse::<SecretName>().unwrap().to_string(), good);
        }
        for bad in ["", "-a", "a-", "a..b", ".a", "A", "a_b", "a/b", "../a", "a b", &"a".repeat(254)] {
            assert!(bad.parse::<SecretName>().is_err(), "{bad:?}");
        }
        assert_eq!("/tls/tls.crt".parse::<FilePath>().unwrap().as_str(), "/tls/tls.crt");
        assert!("".parse::<FilePath>().is_err() && "a\0".parse::<FilePath>().is_err());
    }

    #[test]
    fn control_sockets_are_paths_or_abstract_names() {
        for good in ["/run/proxy.sock", "@recycling-proxy"] {
            assert_eq!(good.parse::<ControlSocket>().unwrap().to_string(), good);
        }
        for bad in ["", "@", "run/proxy.sock", "@a\0b"] {
            assert!(bad.parse::<ControlSocket>().is_err(), "{bad:?}");
        }
        assert!(format!("@{}", "a".repeat(106)).parse::<ControlSocket>().is_ok());
        assert!(format!("@{}", "a".repeat(107)).parse::<ControlSocket>().is_err());
    }
}

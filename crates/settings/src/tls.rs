//! The TLS that the proxy terminates.

use crate::fault::Fault;
use crate::option::RawOptions;
use crate::table::ProxyOption;
use crate::value::{FilePath, Switch};

/// The TLS that the proxy terminates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificate chain, in PEM.
    pub certificate: FilePath,
    /// Its private key, in PEM.
    pub key: FilePath,
    /// Whether the proxy re-encrypts to the app.
    pub towards_app: Switch,
}

impl TlsSettings {
    /// With the files of a Secret of the type kubernetes.io/tls that is mounted at `folder`.
    pub fn in_folder(folder: &str, towards_app: Switch) -> Self {
        let file = |name| FilePath::new(format!("{folder}/{name}"));
        Self { certificate: file("tls.crt"), key: file("tls.key"), towards_app }
    }

    /// Returns `None` where no TLS is asked for, and where there was a fault.
    pub(crate) fn parse(raw: &RawOptions<ProxyOption>, faults: &mut Vec<Fault>) -> Option<Self> {
        let before = faults.len();
        let certificate = raw.one(ProxyOption::TlsCert, faults);
        let key = raw.one(ProxyOption::TlsKey, faults);
        let towards_app = raw.one(ProxyOption::TlsToApp, faults);
        if faults.len() > before {
            return None;
        }
        match (certificate, key) {
            (Some(certificate), Some(key)) => return Some(Self { certificate, key, towards_app: towards_app? }),
            (None, None) if towards_app == Some(Switch::On) => {
                let expected = "off, or --tls-cert and --tls-key beside it";
                faults.push(Fault::invalid(raw.key(ProxyOption::TlsToApp), "on", expected));
            }
            (None, None) => {}
            (Some(_), None) => {
                faults.push(Fault::missing(raw.key(ProxyOption::TlsKey), "a file, since there is --tls-cert"));
            }
            (None, Some(_)) => {
                faults.push(Fault::missing(raw.key(ProxyOption::TlsCert), "a file, since there is --tls-key"));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(values: &[(ProxyOption, &str)]) -> Result<Option<TlsSettings>, String> {
        let mut raw = RawOptions::default();
        for (option, value) in values {
            raw.give(*option, format!("--{option:?}"), [(*value).to_owned()]);
        }
        let mut faults = Vec::new();
        let parsed = TlsSettings::parse(&raw, &mut faults);
        if faults.is_empty() { Ok(parsed) } else { Err(faults.iter().map(ToString::to_string).collect()) }
    }

    #[test]
    fn certificate_and_key_must_be_given_together() {
        use ProxyOption::{TlsCert, TlsKey, TlsToApp};
        assert_eq!(parsed(&[]), Ok(None));
        assert_eq!(parsed(&[(TlsToApp, "off")]), Ok(None));
        let both = parsed(&[(TlsCert, "/tls.crt"), (TlsKey, "/tls.key"), (TlsToApp, "on")]).unwrap().unwrap();
        assert_eq!((both.certificate.as_str(), both.key.as_str()), ("/tls.crt", "/tls.key"));
        assert!(both.towards_app.is_on());
        for (given, fault) in [
            (&[(TlsCert, "/tls.crt")][..], "tls-key"),
            (&[(TlsKey, "/tls.key")], "tls-cert"),
            (&[(TlsToApp, "on")], "expected off, or --tls-cert"),
            (&[(TlsCert, "/a"), (TlsKey, "/b"), (TlsToApp, "yes")], "TlsToApp"),
        ] {
            let faults = parsed(given).unwrap_err();
            assert!(faults.contains(fault), "{faults}");
        }
    }
}

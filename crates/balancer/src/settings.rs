//! Parses the arguments of the process into types, and reports all faults at once.

use std::net::SocketAddr;
use std::num::NonZero;
use std::str::FromStr;

use settings::{Fault, Faults, InvalidValue, LogLevel, ObjectName, SocketAddress};

use crate::arguments::{KeyArguments, RunArguments};

/// The settings of `evenkeel-balancer run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address of the admin port.
    pub admin: SocketAddr,
    /// The objects of the keys.
    pub keys: KeySettings,
    /// The name of the Lease.
    pub lease: String,
    /// The name of this replica.
    pub identity: String,
    /// The admin port of proxies.
    pub proxy_port: u16,
    /// The level of the log.
    pub log_level: LogLevel,
}

/// The objects of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// Their namespace, and that of the Lease.
    pub namespace: String,
    /// The Secret with the private key.
    pub secret: String,
    /// The ConfigMap with the public keys.
    pub config_map: String,
}

impl Settings {
    /// Parses arguments. `host` is the hostname, the default of the identity.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn parse(arguments: &RunArguments, host: &str) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        // Every field is parsed before the first `?`, so that no fault hides another.
        let admin = one::<SocketAddress>("admin", &arguments.admin, &mut faults);
        let keys = keys(&arguments.keys, &mut faults);
        let lease = object("lease-name", &arguments.lease_name, &mut faults);
        let identity = identity(arguments.identity.as_deref().unwrap_or(host), &mut faults);
        let proxy_port = port("proxy-port", &arguments.proxy_port, &mut faults);
        let log_level = one("log-level", &arguments.log_level, &mut faults);
        let settings = || {
            Some(Self {
                admin: admin?.get(),
                keys: keys?,
                lease: lease?,
                identity: identity?,
                proxy_port: proxy_port?,
                log_level: log_level?,
            })
        };
        Faults::settle(settings(), faults)
    }
}

impl KeySettings {
    /// Parses arguments.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn parse(arguments: &KeyArguments) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let parsed = keys(arguments, &mut faults);
        Faults::settle(parsed, faults)
    }
}

fn keys(arguments: &KeyArguments, faults: &mut Vec<Fault>) -> Option<KeySettings> {
    let namespace = object("namespace", &arguments.namespace, faults);
    let secret = object("secret-name", &arguments.secret_name, faults);
    let config_map = object("config-map-name", &arguments.config_map_name, faults);
    Some(KeySettings { namespace: namespace?, secret: secret?, config_map: config_map? })
}

fn key(flag: &str) -> String {
    format!("--{flag} ({})", RunArguments::env(flag))
}

fn one<T: FromStr<Err = InvalidValue>>(flag: &str, text: &str, faults: &mut Vec<Fault>) -> Option<T> {
    text.trim().parse().map_err(|InvalidValue(expected)| faults.push(Fault::invalid(key(flag), text, expected))).ok()
}

fn object(flag: &str, text: &str, faults: &mut Vec<Fault>) -> Option<String> {
    one::<ObjectName>(flag, text, faults).map(String::from)
}

fn port(flag: &str, text: &str, faults: &mut Vec<Fault>) -> Option<u16> {
    let port = text.trim().parse::<NonZero<u16>>().map(NonZero::get);
    port.map_err(|_| faults.push(Fault::invalid(key(flag), text, "1 to 65535"))).ok()
}

fn identity(text: &str, faults: &mut Vec<Fault>) -> Option<String> {
    if (1..=253).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic()) {
        return Some(text.to_owned());
    }
    faults.push(Fault::invalid(key("identity"), text, "1 to 253 visible ASCII characters, another for each replica"));
    None
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn parse(flags: &[&str]) -> Result<Settings, Faults> {
        let line = ["evenkeel-balancer", "run"].iter().chain(flags);
        match Arguments::try_parse_from(line).unwrap().command {
            Command::Run(arguments) => Settings::parse(&arguments, "host-1"),
            Command::Rotate(_) | Command::Completions { .. } => panic!("expected run"),
        }
    }

    #[test]
    fn the_defaults_are_the_charts_names() {
        let settings = parse(&[]).unwrap();
        assert_eq!(settings.proxy_port, settings::ADMIN_PORT);
        assert_eq!((&*settings.lease, &*settings.identity), ("evenkeel-balancer", "host-1"));
        let KeySettings { namespace, secret, config_map } = settings.keys;
        assert_eq!(
            [&*namespace, &*secret, &*config_map],
            ["evenkeel", "evenkeel-balancer-key", "evenkeel-balancer-keys"]
        );
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let flags = [
            "--admin=8081",
            "--namespace=a/b",
            "--secret-name=",
            "--config-map-name=..",
            "--lease-name=A",
            "--identity=a b",
            "--proxy-port=0",
            "--log-level=loud",
        ];
        let faults = parse(&flags).unwrap_err();
        let keys: Vec<&str> = faults.iter().map(|fault| fault.key.split(' ').next().unwrap()).collect();
        let given: Vec<&str> = flags.iter().map(|flag| flag.split('=').next().unwrap()).collect();
        assert_eq!(keys, given, "{faults}");
        assert!(
            faults.to_string().contains("--proxy-port (EVENKEEL_BALANCER_PROXY_PORT): \"0\" is not usable"),
            "{faults}"
        );
    }
}

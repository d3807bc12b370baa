//! The settings of the init container that leads inbound connections to the proxy.

use std::collections::BTreeSet;

use crate::fault::{Fault, Faults};
use crate::option::{OptionSpec, RawOptions, RedirectOption};
use crate::proxy::PortNumber;

/// Everything that `recycling-proxy redirect` can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectSettings {
    /// The app ports that are taken; never empty, never the proxy's own.
    pub ports: BTreeSet<u16>,
    /// The proxy's port.
    pub to: u16,
}

impl RedirectSettings {
    /// Parses raw options; on failure every fault is there.
    pub fn from_raw(raw: &RawOptions<RedirectOption>) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let ports = raw.list::<PortNumber>(RedirectOption::Ports, &mut faults);
        let to = raw.one::<PortNumber>(RedirectOption::To, &mut faults).map_or(0, |PortNumber(port)| port);
        let ports: BTreeSet<u16> = ports.into_iter().map(|PortNumber(port)| port).collect();
        if ports.is_empty() && faults.is_empty() {
            faults.push(Fault::missing(raw.key(RedirectOption::Ports), "at least one port number"));
        }
        if ports.contains(&to) {
            let expected = format!("ports other than the proxy's own ({to}): its connections would come back to it");
            faults.push(Fault::invalid(raw.key(RedirectOption::Ports), to.to_string(), expected));
        }
        Faults::none_or(faults)?;
        Ok(Self { ports, to })
    }

    /// The environment that gives these settings back.
    pub fn to_env(&self) -> Vec<(&'static str, String)> {
        let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        let mut env = vec![(RedirectOption::Ports.env(), ports.join(","))];
        let to = self.to.to_string();
        if RedirectOption::To.default() != Some(&*to) {
            env.push((RedirectOption::To.env(), to));
        }
        env
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(env: &[(&str, &str)]) -> Result<RedirectSettings, Faults> {
        let lookup = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        RedirectSettings::from_raw(&RawOptions::from_env(lookup))
    }

    #[test]
    fn parses_and_gives_back() {
        let settings = parse(&[("EVENKEEL_PORTS", "9090,8080,8080")]).unwrap();
        assert_eq!((settings.ports.iter().copied().collect::<Vec<_>>(), settings.to), (vec![8080, 9090], 15210));
        assert_eq!(settings.to_env(), [("EVENKEEL_PORTS", "8080,9090".into())]);
    }

    #[test]
    fn refuses_none_and_the_proxys_own() {
        assert!(parse(&[]).unwrap_err().to_string().contains("at least one port"));
        assert!(parse(&[("EVENKEEL_PORTS", "80,15210")]).unwrap_err().to_string().contains("proxy's own"));
        assert_eq!(parse(&[("EVENKEEL_PORTS", "x"), ("EVENKEEL_REDIRECT_TO", "y")]).unwrap_err().iter().count(), 2);
    }
}

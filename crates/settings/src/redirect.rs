//! The settings of the init container that redirects inbound connections to the proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use crate::fault::{Fault, Faults};
use crate::option::{OptionSpec, RawOptions};
use crate::pod_network::{Ip, PodNetwork};
use crate::table::RedirectOption;
use crate::value::{InvalidValue, PortNumber};

/// The settings of `recycling-proxy redirect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectSettings {
    /// The app ports that are redirected; never empty, never the proxy's own.
    pub ports: BTreeSet<u16>,
    /// The proxy's port.
    pub to: u16,
    /// Ports that bypass the proxy to the app, for probes that only connect, each with the app's port.
    pub probes: BTreeMap<u16, u16>,
    /// The addresses of the pod and its node.
    pub network: PodNetwork,
}

impl RedirectSettings {
    /// Parses raw options.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_raw(raw: &RawOptions<RedirectOption>) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let ports = raw.list::<PortNumber>(RedirectOption::Ports, &mut faults);
        let to = raw.one::<PortNumber>(RedirectOption::To, &mut faults).map_or(0, |PortNumber(port)| port);
        let probes = raw.list::<Probe>(RedirectOption::Probes, &mut faults);
        let network = PodNetwork {
            pod_ip: raw.one(RedirectOption::PodIp, &mut faults).map(|Ip(address)| address),
            host_ip: raw.one(RedirectOption::HostIp, &mut faults).map(|Ip(address)| address),
        };
        let ports: BTreeSet<u16> = ports.into_iter().map(|PortNumber(port)| port).collect();
        if ports.is_empty() && faults.is_empty() {
            faults.push(Fault::missing(raw.key(RedirectOption::Ports), "at least one port number"));
        }
        if ports.contains(&to) {
            let expected = format!("ports other than the proxy's own ({to}): its connections would come back to it");
            faults.push(Fault::invalid(raw.key(RedirectOption::Ports), to.to_string(), expected));
        }
        let probes = pairs(probes);
        let is_used = |port: &&u16| ports.contains(port) || **port == to || probes.values().any(|app| app == *port);
        for port in probes.keys().filter(is_used) {
            let expected = "ports that neither the proxy nor the app has";
            faults.push(Fault::invalid(raw.key(RedirectOption::Probes), port.to_string(), expected));
        }
        Faults::none_or(faults)?;
        Ok(Self { ports, to, probes, network })
    }

    /// Returns the environment from which these settings are parsed.
    pub fn to_env(&self) -> Vec<(&'static str, String)> {
        let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        let mut env = vec![(RedirectOption::Ports.env(), ports.join(","))];
        let to = self.to.to_string();
        if RedirectOption::To.default() != Some(&*to) {
            env.push((RedirectOption::To.env(), to));
        }
        if !self.probes.is_empty() {
            env.push((RedirectOption::Probes.env(), written(&self.probes)));
        }
        let addresses = [(RedirectOption::PodIp, self.network.pod_ip), (RedirectOption::HostIp, self.network.host_ip)];
        env.extend(addresses.into_iter().filter_map(|(option, address)| Some((option.env(), address?.to_string()))));
        env
    }
}

/// Returns the ports of probes, each with the app's port.
pub(crate) fn pairs(probes: Vec<Probe>) -> BTreeMap<u16, u16> {
    probes.into_iter().map(|Probe { port, app }| (port, app)).collect()
}

/// Returns the text from which the pairs are parsed.
pub(crate) fn written(probes: &BTreeMap<u16, u16>) -> String {
    let probes: Vec<String> = probes.iter().map(|(port, app)| format!("{port}={app}")).collect();
    probes.join(",")
}

/// A port, and the app's port that it is translated to.
pub(crate) struct Probe {
    port: u16,
    app: u16,
}

impl FromStr for Probe {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let expected = InvalidValue("pairs such as 15220=8080, separated by commas");
        let port = |text: &str| text.parse().map(|PortNumber(port)| port).ok();
        let pair = text.split_once('=').and_then(|(from, to)| Some(Self { port: port(from)?, app: port(to)? }));
        pair.ok_or(expected)
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
    fn redirect_settings_survive_a_round_trip() {
        let settings = parse(&[("EVENKEEL_PORTS", "9090,8080,8080")]).unwrap();
        assert_eq!((settings.ports.iter().copied().collect::<Vec<_>>(), settings.to), (vec![8080, 9090], 15210));
        assert_eq!(settings.to_env(), [("EVENKEEL_PORTS", "8080,9090".into())]);
    }

    #[test]
    fn probe_ports_survive_a_round_trip() {
        let env = [
            ("EVENKEEL_PORTS", "8080"),
            ("EVENKEEL_PROBES", "15220=8080,15221=9090"),
            ("EVENKEEL_POD_IP", "10.0.0.7"),
            ("EVENKEEL_HOST_IP", "fd00::1"),
        ];
        let settings = parse(&env).unwrap();
        assert_eq!(settings.probes, BTreeMap::from([(15_220, 8080), (15_221, 9090)]));
        assert_eq!(settings.to_env(), env.map(|(key, value)| (key, value.to_owned())));
    }

    #[test]
    fn a_probe_port_must_have_no_other_use() {
        for (probes, word) in [
            ("15220", "pairs such as"),
            ("15220=http", "pairs such as"),
            ("0=8080", "pairs such as"),
            ("8080=9090", "\"8080\" is not usable"),
            ("15210=8080", "\"15210\" is not usable"),
            ("15220=15221,15221=8080", "\"15221\" is not usable"),
        ] {
            let said = parse(&[("EVENKEEL_PORTS", "8080"), ("EVENKEEL_PROBES", probes)]).unwrap_err().to_string();
            assert!(said.contains("EVENKEEL_PROBES") && said.contains(word), "{probes}: {said}");
        }
    }

    #[test]
    fn no_port_and_the_proxys_own_port_are_refused() {
        assert!(parse(&[]).unwrap_err().to_string().contains("at least one port"));
        assert!(parse(&[("EVENKEEL_PORTS", "80,15210")]).unwrap_err().to_string().contains("proxy's own"));
        assert_eq!(parse(&[("EVENKEEL_PORTS", "x"), ("EVENKEEL_REDIRECT_TO", "y")]).unwrap_err().iter().count(), 2);
    }
}

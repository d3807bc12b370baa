//! The ports by which TCP probes bypass the proxy under interception redirect.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use settings::{PROBE_PORTS, RawOptions, RedirectSettings};

use crate::json::named;
use crate::outcome::skip::SkipReason;

/// Ports of the proxy, each with the app's port that the redirect forwards it to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProbePorts(BTreeMap<u16, u16>);

impl FromIterator<(u16, u16)> for ProbePorts {
    fn from_iter<I: IntoIterator<Item = (u16, u16)>>(ports: I) -> Self {
        Self(ports.into_iter().collect())
    }
}

impl ProbePorts {
    /// Returns a port of the proxy for each `probed` port of the app, in their order, that is not `used` in the pod.
    pub(crate) fn choose(probed: &BTreeSet<u16>, used: &BTreeSet<u16>) -> Result<Self, SkipReason> {
        let free = PROBE_PORTS.filter(|port| !used.contains(port));
        let ports: Self = free.zip(probed.iter().copied()).collect();
        if ports.0.len() == probed.len() { Ok(ports) } else { Err(SkipReason::PortClash) }
    }

    /// Returns the ports in the settings of the injected redirect container.
    pub(crate) fn of_redirect(container: &Value) -> Self {
        let variable = |name: &str| named::variable(container, name).map(str::to_owned);
        RedirectSettings::from_raw(&RawOptions::from_env(variable))
            .map_or_else(|_| Self::default(), |it| Self(it.probes))
    }

    /// Returns each port of the proxy with the app's.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, u16)> {
        self.0.iter().map(|(port, app)| (*port, *app))
    }

    pub(crate) fn into_inner(self) -> BTreeMap<u16, u16> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_probed_port_gets_an_unused_port_of_the_proxy() {
        let probed = BTreeSet::from([80, 8080, 9090]);
        for (used, expected) in [
            (&[][..], [(15_220, 80), (15_221, 8080), (15_222, 9090)]),
            (&[15_221, 8080], [(15_220, 80), (15_222, 8080), (15_223, 9090)]),
        ] {
            let used = used.iter().copied().collect();
            assert_eq!(ProbePorts::choose(&probed, &used), Ok(expected.into_iter().collect()));
        }
        let many = (1..=81).collect();
        assert_eq!(ProbePorts::choose(&many, &BTreeSet::new()), Err(SkipReason::PortClash));
    }

    #[test]
    fn probe_ports_are_read_from_the_redirect_container() {
        let container = json!({"env": [
            {"name": "EVENKEEL_PORTS", "value": "8080"},
            {"name": "EVENKEEL_PROBES", "value": "15220=8080"},
        ]});
        assert_eq!(ProbePorts::of_redirect(&container), [(15_220, 8080)].into_iter().collect());
        for nothing in [json!(null), json!({}), json!({"env": [{"name": "EVENKEEL_PROBES", "value": "x"}]})] {
            assert_eq!(ProbePorts::of_redirect(&nothing), ProbePorts::default());
        }
    }
}

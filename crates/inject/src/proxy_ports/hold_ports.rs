//! The proxy's ports for the `preStop` hooks that hold app containers until the drain has ended.

use std::collections::BTreeSet;

use settings::{HOLD_PORTS, HoldPort, Liveness};

use crate::outcome::skip::SkipReason;

/// A held container, and the port that its hook calls.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) container: String,
    pub(crate) port: u16,
    /// Whether no other container uses the port.
    is_dedicated: bool,
}

/// Returns a port that is not `used` in the pod for each container that is `held`.
///
/// A container whose liveness probe the proxy can run needs a dedicated port, which identifies the container whose hook
/// calls. All others share one port, as do those for which no dedicated port is free.
pub(crate) fn choose(
    held: &BTreeSet<String>,
    liveness: &Liveness,
    used: &BTreeSet<u16>,
) -> Result<Vec<Hold>, SkipReason> {
    let free: Vec<u16> = HOLD_PORTS.filter(|port| !used.contains(port)).collect();
    let Some(((shared, own), _)) = free.split_last().zip(held.first()) else {
        return if held.is_empty() { Ok(Vec::new()) } else { Err(SkipReason::PortClash) };
    };
    let mut own = own.iter();
    let place = |container: &String| {
        let own = liveness.of(container).and_then(|_| own.next());
        Hold { container: container.clone(), port: *own.unwrap_or(shared), is_dedicated: own.is_some() }
    };
    Ok(held.iter().map(place).collect())
}

/// Returns the ports as settings of the proxy.
pub(crate) fn to_settings(holds: &[Hold]) -> Vec<HoldPort> {
    let own = holds.iter().filter(|hold| hold.is_dedicated);
    let own = own.map(|hold| HoldPort { port: hold.port, container: Some(hold.container.clone()) });
    let shared = holds.iter().find(|hold| !hold.is_dedicated);
    own.chain(shared.map(|hold| HoldPort { port: hold.port, container: None })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the settings for these containers; the proxy can send the liveness probe of those in capitals.
    fn told_of(containers: &[&str], used: &[u16]) -> Result<Vec<String>, SkipReason> {
        let held: BTreeSet<String> = containers.iter().map(|name| (*name).to_owned()).collect();
        let known = held.iter().filter(|name| name.starts_with(char::is_uppercase));
        let probe = serde_json::from_str::<settings::LivenessProbe>(r#"{"tcpSocket":{"port":80}}"#).unwrap();
        let liveness = known.map(|name| (name.clone(), probe.clone())).collect();
        let holds = choose(&held, &liveness, &used.iter().copied().collect())?;
        let allocations = |hold: &Hold| hold.is_dedicated || to_settings(&holds).iter().any(|it| it.port == hold.port);
        assert!(holds.iter().all(allocations) && holds.len() == held.len());
        Ok(to_settings(&holds).iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_container_with_a_known_probe_has_a_hold_port_of_its_own() {
        let many: Vec<String> = (0..9).map(|number| format!("A{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (containers, used, to_settings) in [
            (&[][..], &[][..], &[][..]),
            (&["a"], &[], &["15219"]),
            (&["A"], &[], &["15212=A"]),
            (&["A", "B", "a", "b"], &[15_212, 15_219], &["15213=A", "15214=B", "15218"]),
            (
                &many,
                &[],
                &["15212=A0", "15213=A1", "15214=A2", "15215=A3", "15216=A4", "15217=A5", "15218=A6", "15219"],
            ),
        ] {
            assert_eq!(told_of(containers, used).unwrap(), to_settings);
        }
        let all: Vec<u16> = HOLD_PORTS.collect();
        assert_eq!(told_of(&["a"], &all), Err(SkipReason::PortClash));
        assert_eq!(told_of(&[], &all), Ok(Vec::new()));
    }
}

//! The addresses from which the kubelet of this node probes a pod.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use settings::PodNetwork;

/// The IPv4 routing table of this network namespace.
const ROUTES: &str = "/proc/net/route";

/// Returns the node's address if the settings have it, and the pod's gateways: with many CNI plugins (bridges, Cilium)
/// the kubelet's connections come from the gateway. Connections of clients of a Service of type `NodePort` may come
/// from there, too.
pub(crate) fn addresses(network: PodNetwork) -> BTreeSet<IpAddr> {
    let routes = fs::read_to_string(ROUTES).unwrap_or_default();
    gateways(&routes).map(IpAddr::from).chain(network.host_ip).map(|address| address.to_canonical()).collect()
}

/// Returns the gateways of default routes, from a table in which addresses are hexadecimal in the machine's order of
/// bytes.
fn gateways(routes: &str) -> impl Iterator<Item = Ipv4Addr> {
    let address = |field: Option<&str>| u32::from_str_radix(field?, 16).ok().map(u32::to_ne_bytes).map(Ipv4Addr::from);
    routes.lines().filter_map(move |line| {
        let mut fields = line.split_whitespace().skip(1);
        let (to, by) = (address(fields.next())?, address(fields.next())?);
        (to.is_unspecified() && !by.is_unspecified()).then_some(by)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_read_from_default_routes() {
        let hex = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let (none, gateway, other) = (hex([0; 4]), hex([10, 244, 0, 1]), hex([10, 244, 0, 0]));
        let routes = format!(
            "Iface\tDestination\tGateway\tFlags\neth0\t{none}\t{gateway}\t0003\neth0\t{other}\t{none}\t0001\neth0\t{other}\t{gateway}\t0003\n"
        );
        assert_eq!(gateways(&routes).collect::<Vec<_>>(), [Ipv4Addr::new(10, 244, 0, 1)]);
        assert_eq!(gateways("").count(), 0);
    }

    #[test]
    fn the_nodes_address_is_known() {
        let network = PodNetwork { pod_ip: None, host_ip: Some("::ffff:10.0.0.1".parse().unwrap()) };
        assert!(addresses(network).contains(&IpAddr::from([10, 0, 0, 1])));
    }
}

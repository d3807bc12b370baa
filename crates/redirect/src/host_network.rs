//! Whether a network namespace is the node's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use settings::PodNetwork;

/// The discard service (RFC 863). Nothing is sent there: `connect` on a UDP socket only looks a route up.
const ANY_PORT: u16 = 9;

/// Returns whether the calling thread is in the network namespace of its node, by one of two conditions:
///
/// - The pod's address is that of its node, according to the kubelet's variables. That is so for pods with
///   `hostNetwork`.
/// - The kernel has the node's address in this namespace. This also detects a pod that has a former address of its node.
///
/// Neither needs a privilege. On platforms where a pod has a node of its own, with one address for both (EKS on
/// Fargate), the result is true, too.
pub fn is_host_network(network: PodNetwork) -> bool {
    shares_address(network) || network.host_ip.is_some_and(|address| is_local(address.to_canonical()))
}

fn shares_address(network: PodNetwork) -> bool {
    let canonical = |address: Option<IpAddr>| address.map(|address| address.to_canonical());
    network.pod_ip.is_some() && canonical(network.pod_ip) == canonical(network.host_ip)
}

/// Returns whether the address is one of this network namespace's. The kernel reaches such an address from itself. A
/// bind is no proof, because `ip_nonlocal_bind` may allow any address.
fn is_local(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = || {
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.connect(SocketAddr::new(address, ANY_PORT))?;
        socket.local_addr()
    };
    source().is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_pod_and_host_address_means_the_host_network() {
        let ip = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        for (pod_ip, host_ip, expected) in [
            ("", "", false),
            ("192.0.2.1", "", false),
            ("", "192.0.2.1", false),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("2001:db8::1", "2001:db8:0::1", true),
        ] {
            let network = PodNetwork { pod_ip: ip(pod_ip), host_ip: ip(host_ip) };
            assert_eq!(shares_address(network), expected, "{network:?}");
        }
    }

    #[test]
    fn a_host_address_in_this_namespace_means_the_host_network() {
        let network = PodNetwork { pod_ip: None, host_ip: "127.0.0.1".parse().ok() };
        assert!(is_host_network(network));
        assert!(!is_host_network(PodNetwork::default()));
    }
}

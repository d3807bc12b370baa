//! Whether a network namespace is the node's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use settings::PodNetwork;

/// The discard service (RFC 863). Nothing is sent there: `connect` on a UDP socket only looks a route up.
const ANY_PORT: u16 = 9;

/// Returns whether the calling thread is in the network namespace of its node, by two signs of which each is enough:
///
/// - The pod's address is the node's, as the kubelet says of pods with `hostNetwork`.
/// - The node's address is one of this namespace's, as the kernel says. This finds also a pod that keeps the address
///   which its node had before.
///
/// Neither needs a privilege. On platforms where a pod has a node of its own, with one address for both (EKS on
/// Fargate), the answer is yes, too.
pub fn is_host_network(told: PodNetwork) -> bool {
    shares_address(told) || told.host_ip.is_some_and(|address| is_local(address.to_canonical()))
}

fn shares_address(told: PodNetwork) -> bool {
    let canonical = |address: Option<IpAddr>| address.map(|address| address.to_canonical());
    told.pod_ip.is_some() && canonical(told.pod_ip) == canonical(told.host_ip)
}

/// Returns whether the address is one of this network namespace's. The kernel reaches such an address from itself; to
/// bind it would tell less, as that is a matter of `ip_nonlocal_bind`.
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
            let told = PodNetwork { pod_ip: ip(pod_ip), host_ip: ip(host_ip) };
            assert_eq!(shares_address(told), expected, "{told:?}");
        }
    }

    #[test]
    fn a_host_address_in_this_namespace_means_the_host_network() {
        let told = PodNetwork { pod_ip: None, host_ip: "127.0.0.1".parse().ok() };
        assert!(is_host_network(told));
        assert!(!is_host_network(PodNetwork::default()));
    }
}

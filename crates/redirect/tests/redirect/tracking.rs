//! What connection tracking could do to connections that are in order.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use redirect::{Destination, keep_tracked, original_destination};
use settings::{PodNetwork, RedirectSettings};

use super::namespace::as_root;
use super::pod::{Client, IPV4, PROXY, Pod, connect, wait_until};
use super::segment::{Numbers, Wire};

/// So far beyond what was sent that no window reaches there.
const NOWHERE_NEAR: u32 = 50_000_000;

fn local_ipv4(stream: &TcpStream) -> SocketAddrV4 {
    match stream.local_addr().unwrap() {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(address) => panic!("{address} is no IPv4 address"),
    }
}

fn pod_at(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(IPV4.parse().unwrap(), port)
}

#[test]
fn an_invalid_segment_from_the_client_resets_no_connection() {
    as_root(|| {
        let pod = Pod::new();
        pod.redirect(&[8080]).unwrap();
        let mut wire = Wire::tap(&pod.outside);
        let mut client = Client::connect(&pod.outside, &format!("{IPV4}:8080"));
        client.ask("before").unwrap();
        let address = local_ipv4(client.stream());
        let Numbers { ours, theirs } = wire.numbers(address.port());
        wire.send(address, pod_at(8080), Numbers { ours: ours.wrapping_add(NOWHERE_NEAR), theirs }).unwrap();
        for _ in 0..20 {
            client.ask("after").expect("the app has not seen the segment, or it would have reset the connection");
        }
    });
}

#[test]
fn an_invalid_segment_from_the_proxy_resets_no_connection() {
    as_root(|| {
        let pod = Pod::new();
        pod.redirect(&[8080]).unwrap();
        let (mut wire, pods_wire) = (Wire::tap(&pod.outside), Wire::tap(&pod.inside));
        let mut client = Client::connect(&pod.outside, &format!("{IPV4}:8080"));
        client.ask("before").unwrap();
        let address = local_ipv4(client.stream());
        let Numbers { ours, theirs } = wire.numbers(address.port());
        let proxys = Numbers { ours: theirs.wrapping_add(NOWHERE_NEAR), theirs: ours };
        let dropped = pods_wire.send(pod_at(PROXY), address, proxys).unwrap_err();
        assert_eq!(dropped.kind(), std::io::ErrorKind::PermissionDenied, "the rule has dropped it");
        for _ in 0..20 {
            client.ask("after").expect("the client has not seen the segment, or it would have reset the connection");
        }
    });
}

#[test]
fn a_connection_dropped_from_conntrack_reaches_the_proxy_again() {
    as_root(|| {
        let pod = Pod::new();
        pod.inside.set("net/netfilter/nf_conntrack_tcp_timeout_established", "1");
        let proxy = accept_redirected(&pod);
        let mut client = connect(&pod.outside, &format!("{IPV4}:8080"));
        let (mut accepted, _) = proxy.accept().unwrap();
        assert_eq!(original_destination(&accepted).unwrap(), Destination::Redirected(pod_at(8080).into()));
        wait_until_forgotten(&accepted);
        client.write_all(b"request").unwrap();
        accepted.read_exact(&mut [0; 7]).unwrap();
        accepted.write_all(b"answer").unwrap();
        client.read_exact(&mut [0; 6]).unwrap();
    });
}

#[test]
fn a_half_closed_client_gets_a_late_response() {
    as_root(|| {
        let pod = Pod::new();
        for state in ["close_wait", "fin_wait"] {
            pod.inside.set(&format!("net/netfilter/nf_conntrack_tcp_timeout_{state}"), "3");
        }
        let proxy = accept_redirected(&pod);
        let half_closed = || {
            let client = connect(&pod.outside, &format!("{IPV4}:8080"));
            let (mut accepted, _) = proxy.accept().unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(accepted.read(&mut [0]).unwrap(), 0);
            (client, accepted)
        };
        let (mut client, mut kept) = half_closed();
        keep_tracked(&kept, Duration::from_secs(1)).unwrap();
        let (_other, later) = half_closed();
        // By then the time of the earlier one would be up too.
        wait_until_forgotten(&later);
        kept.write_all(b"answer").unwrap();
        client.read_exact(&mut [0; 6]).unwrap();
    });
}

/// Returns where the pod's connections to port 8080 arrive.
fn accept_redirected(pod: &Pod) -> TcpListener {
    let proxy = pod.inside.run(|| TcpListener::bind("[::]:0")).unwrap();
    let settings = RedirectSettings {
        ports: [8080].into(),
        to: proxy.local_addr().unwrap().port(),
        probes: BTreeMap::new(),
        network: PodNetwork::default(),
    };
    pod.inside.run(|| redirect::apply(&settings)).unwrap();
    proxy
}

fn wait_until_forgotten(accepted: &TcpStream) {
    wait_until("the kernel has forgotten the connection", || {
        original_destination(accepted).unwrap() == Destination::Direct
    });
}

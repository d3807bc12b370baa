//! Probes that only connect: they reach the app past the proxy, and nothing else does.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};

use super::documented;
use super::namespace::as_root;
use super::pod::{Client, IPV4, IPV6, PROBE, Pod, connect};
use super::segment::Wire;

/// A port that nobody else in a [`Pod`] has.
const APP: u16 = 6060;

fn refused(pod: &Pod, to: &str) -> bool {
    let to: SocketAddr = to.parse().unwrap();
    let error = pod.outside.run(|| TcpStream::connect(to)).err();
    error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[test]
fn probe_ports_reach_the_app_and_not_the_proxy() {
    as_root(|| {
        let pod = Pod::new();
        pod.redirect_with_probe(8080);
        for address in [IPV4, IPV6, "[fd77::3]"] {
            assert_eq!(Client::connect(&pod.outside, &format!("{address}:{PROBE}")).reached, "app 8080");
            let clients = Client::connect(&pod.outside, &format!("{address}:8080")).reached;
            assert_eq!(clients, format!("proxy for {address}:8080"));
        }
        let alone = Pod::with_ipv4_alone();
        alone.redirect_with_probe(8080);
        assert_eq!(Client::connect(&alone.outside, &format!("{IPV4}:{PROBE}")).reached, "app 8080");
    });
}

/// As it would without the proxy: of an app on loopback the kubelet learns nothing, and of one on an address of the pod
/// what is asked at that address.
#[test]
fn a_probe_port_fails_if_the_app_does_not_listen() {
    as_root(|| {
        for (listens, found) in [
            (None, None),
            (Some("127.0.0.1"), None),
            (Some("[::1]"), None),
            (Some(IPV4), Some(IPV4)),
            (Some("[fd77::3]"), Some("[fd77::3]")),
        ] {
            let pod = Pod::new();
            let _app = listens.map(|at| pod.inside.run(|| TcpListener::bind(format!("{at}:{APP}"))).unwrap());
            pod.redirect_with_probe(APP);
            for address in [IPV4, IPV6, "[fd77::3]"] {
                let is_refused = refused(&pod, &format!("{address}:{PROBE}"));
                assert_eq!(is_refused, found != Some(address), "the app at {listens:?}, the probe at {address}");
            }
        }
    });
}

#[test]
fn no_data_reaches_the_app_through_a_probe_port() {
    as_root(|| {
        let pod = Pod::with_ipv4_alone();
        // Without timestamps a segment that was written by hand is as good as the kernel's.
        pod.outside.set("net/ipv4/tcp_timestamps", "0");
        let app = pod.inside.run(|| TcpListener::bind(("::", APP))).unwrap();
        pod.redirect_with_probe(APP);
        let heard = |port: u16, words: u8| {
            let mut wire = Wire::tap(&pod.outside);
            let client = connect(&pod.outside, &format!("{IPV4}:{port}"));
            let (mut accepted, _) = app.accept().unwrap();
            let SocketAddr::V4(from) = client.local_addr().unwrap() else { panic!("an IPv4 address was dialled") };
            let numbers = wire.numbers(from.port());
            let to = SocketAddrV4::new(IPV4.parse().unwrap(), port);
            wire.send_behind_header_of(words, from, to, numbers).unwrap();
            // What was said comes before the end, which follows it on the same way.
            client.shutdown(Shutdown::Write).unwrap();
            accepted.read(&mut [0; 16]).unwrap()
        };
        for words in 5..=15 {
            assert_eq!(heard(PROBE, words), 0, "behind a header of {words} words");
        }
        // The same is heard where there is no such rule.
        pod.redirect(&[7070]).unwrap();
        for words in 5..=15 {
            assert_eq!(heard(APP, words), 3, "behind a header of {words} words");
        }
    });
}

#[test]
fn the_rules_are_those_of_the_documentation() {
    as_root(|| {
        let pod = Pod::new();
        pod.redirect_with_probe(8080);
        let shown = pod.inside.rules().split_whitespace().collect::<Vec<_>>().join(" ");
        let parts: Vec<String> = documented(2).split('…').map(|part| part.trim().to_owned()).collect();
        let [set, rules, _] = &parts[..] else { panic!("{parts:?}") };
        let (set, chain) = set.split_once(" chain redirect {").unwrap();
        assert!(shown.contains(set) && chain.is_empty(), "{set}\n{shown}");
        let (redirect, silence) = rules.split_once(" } chain silence { ").unwrap();
        assert!(shown.contains(&format!("redirect to :15210 {redirect} }}")), "{redirect}\n{shown}");
        let (head, rule) = silence.split_once("accept; ").unwrap();
        let of_words = |words: u32| {
            rule.replace("doff 5", &format!("doff {words}")).replace("@th,160", &format!("@th,{}", words * 32))
        };
        let rules: Vec<String> = (5..=15).map(of_words).collect();
        let expected = format!("chain silence {{ {head}accept; {} }}", rules.join(" "));
        assert!(shown.contains(&expected), "{expected}\n{shown}");
    });
}

//! Redirection on the kernel itself: the rules, who they lead where, and what they leave alone.
//!
//! Each test has network namespaces of its own, as root or in a user namespace; `ip`, `nft` and `unshare` must be
//! there.

#[path = "redirect/namespace.rs"]
mod namespace;
#[path = "redirect/pod.rs"]
mod pod;
#[path = "redirect/probes.rs"]
mod probes;
#[path = "redirect/segment.rs"]
mod segment;
#[path = "redirect/tracking.rs"]
mod tracking;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use namespace::as_root;
use pod::{Client, IPV4, IPV6, PROXY, Pod};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Returns who answers a connection from outside.
fn from_outside(pod: &Pod, address: &str, port: u16) -> String {
    Client::connect(&pod.outside, &format!("{address}:{port}")).reached
}

#[test]
fn new_connections_from_outside_reach_the_proxy_with_their_original_destination() {
    as_root(|| {
        let pod = Pod::new();
        pod.redirect(&[8080, 9090]).unwrap();
        // A pod may have several addresses of a family; the one that was meant must come out.
        for address in [IPV4, IPV6, "[fd77::3]"] {
            for port in [8080, 9090] {
                assert_eq!(from_outside(&pod, address, port), format!("proxy for {address}:{port}"));
            }
            assert_eq!(from_outside(&pod, address, 7070), "app 7070", "a port that is not taken");
        }
    });
}

#[test]
fn connections_from_inside_reach_the_app() {
    as_root(|| {
        let pod = Pod::new();
        pod.redirect(&[8080]).unwrap();
        for address in ["127.0.0.1", "[::1]", IPV4, IPV6] {
            let reached = Client::connect(&pod.inside, &format!("{address}:8080")).reached;
            assert_eq!(reached, "app 8080", "{address}");
        }
    });
}

#[test]
fn a_connection_to_the_proxys_own_port_is_direct() {
    as_root(|| {
        let pod = Pod::new();
        for _ in ["before the kernel tracks connections", "and after"] {
            for address in [IPV4, IPV6] {
                assert_eq!(from_outside(&pod, address, PROXY), "proxy");
                assert_eq!(Client::connect(&pod.inside, &format!("{address}:{PROXY}")).reached, "proxy");
            }
            pod.redirect(&[8080]).unwrap();
        }
    });
}

#[test]
fn a_pod_without_ipv6_is_redirected_too() {
    as_root(|| {
        let pod = Pod::with_ipv4_alone();
        pod.redirect(&[8080]).unwrap();
        assert_eq!(from_outside(&pod, IPV4, 8080), format!("proxy for {IPV4}:8080"));
    });
}

#[test]
fn applying_the_rules_twice_changes_nothing() {
    as_root(|| {
        let pod = Pod::new();
        pod.redirect(&[8080, 9090]).unwrap();
        let once = pod.inside.rules();
        let shown: Vec<&str> = once.split_whitespace().collect();
        assert_eq!(shown.join(" "), documented(1), "the module's documentation");
        pod.redirect(&[8080, 9090]).unwrap();
        assert_eq!(pod.inside.rules(), once);
    });
}

/// Returns the words of a block of the documentation of the module `redirect`.
fn documented(block: usize) -> String {
    let text = include_str!("../src/lib.rs").split("```").nth(block * 2 - 1).unwrap().replace("//!", "");
    text.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn new_settings_replace_our_rules_and_no_others() {
    as_root(|| {
        let pod = Pod::new();
        pod.inside.command("nftables", "nft add table inet others");
        pod.redirect(&[7070, 8080]).unwrap();
        pod.redirect(&[8080, 9090]).unwrap();
        let reached = [7070, 8080, 9090].map(|port| from_outside(&pod, IPV4, port));
        assert_eq!(reached, ["app 7070", "proxy for 10.77.0.2:8080", "proxy for 10.77.0.2:9090"]);
        assert!(pod.inside.rules().contains("table inet others"));
    });
}

#[test]
fn thousands_of_ports_are_redirected() {
    as_root(|| {
        let pod = Pod::new();
        let ports: Vec<u16> = (5000..10_000).collect();
        pod.redirect(&ports).unwrap();
        assert_eq!(from_outside(&pod, IPV4, 5000), "proxy for 10.77.0.2:5000");
        assert_eq!(from_outside(&pod, IPV6, 9999), "proxy for [fd77::2]:9999");
    });
}

#[test]
fn established_connections_survive() {
    as_root(|| {
        let pod = Pod::new();
        pod.redirect(&[8080]).unwrap();
        let mut clients: Vec<Client> = [(IPV4, 8080), (IPV6, 8080), (IPV4, 9090), (IPV6, 9090)]
            .map(|(address, port)| Client::connect(&pod.outside, &format!("{address}:{port}")))
            .into();
        clients.push(Client::connect(&pod.inside, "127.0.0.1:8080"));
        for ports in [&[8080][..], &[8080, 9090], &[9090]] {
            pod.redirect(ports).unwrap();
            for client in &mut clients {
                client.ask("still there?").unwrap_or_else(|error| panic!("{}: {error}", client.reached));
            }
        }
    });
}

#[test]
fn replacing_the_rules_leaves_no_gap() {
    as_root(|| {
        let pod = Pod::new();
        pod.redirect(&[8080]).unwrap();
        let done = AtomicBool::new(false);
        let connected = thread::scope(|scope| {
            let client = scope.spawn(|| {
                let mut connected = 0;
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(from_outside(&pod, IPV4, 8080), "proxy for 10.77.0.2:8080");
                    connected += 1;
                }
                connected
            });
            for _ in 0..200 {
                pod.redirect(&[8080]).unwrap();
            }
            done.store(true, Ordering::Relaxed);
            client.join().unwrap()
        });
        assert!(connected > 20, "only {connected} connections were tried meanwhile");
    });
}

#[test]
fn without_net_admin_the_error_names_the_capability() {
    as_root(|| {
        let pod = Pod::new();
        let refused = pod.inside.run(|| {
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::NET_ADMIN);
            set_capabilities(None, sets).unwrap();
            redirect::apply(&pod::to_proxy(&[8080]))
        });
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("NET_ADMIN"), "{said}");
        assert_eq!(pod.inside.rules(), "");
    });
}

//! The addresses where an app may listen, and the number of connections to it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::namespace::as_root;
use super::pod::{Pod, connect};
use super::running::Running;

/// A port that nothing else in a [`Pod`] uses.
const APP: u16 = 6060;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: app\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An app that answers one request on each connection; its thread ends with the test process.
fn serve(pod: &Pod, at: &str) {
    let listener = pod.inside.run(|| TcpListener::bind(format!("{at}:{APP}"))).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            thread::spawn(move || {
                // The client checks how its connection ends.
                let _ = client.read_exact(&mut [0; REQUEST.len()]);
                let _ = client.write_all(RESPONSE);
                let _ = client.read(&mut [0]);
            });
        }
    });
}

/// Sends one request. Returns everything that comes until the connection ends.
fn response(mut client: TcpStream) -> String {
    let mut received = String::new();
    let answered = client.write_all(REQUEST).and_then(|()| client.read_to_string(&mut received));
    answered.map_or_else(|error| error.to_string(), |_| received)
}

#[test]
fn an_app_is_found_at_any_address_of_the_pod() {
    as_root(|| {
        let addresses = ["127.0.0.1", "[::1]", "10.77.0.2", "[fd77::2]", "0.0.0.0", "[::]"];
        for app in addresses {
            let pod = Pod::new();
            serve(&pod, app);
            let _proxy = Running::start(&pod, APP, &["--max-requests", "1", "--control", "@evenkeel-apps"]);
            // An app on one address of the pod is reached only by clients that connect to this address.
            let destination = if app.starts_with("[fd") { "[fd77::2]" } else { "10.77.0.2" };
            for _ in 0..2 {
                let received = response(connect(&pod.outside, &format!("{destination}:{APP}")));
                assert!(received.starts_with("HTTP/1.1 200 OK\r\n") && received.ends_with("ok"), "{app}: {received}");
            }
        }
    });
}

/// The kernel keeps a local port in `TIME_WAIT` for a minute. It has 28,232 by default, and 100 here. Between loopback
/// addresses it reuses one after a second. An app that listens only on the pod's address must be reached, too.
#[test]
fn the_proxy_serves_more_connections_than_there_are_local_ports() {
    as_root(|| {
        let pod = Pod::with_ipv4_alone();
        serve(&pod, "10.77.0.2");
        let _proxy = Running::start(&pod, APP, &["--max-requests", "1", "--control", "@evenkeel-ports"]);
        pod.inside.set("net/ipv4/ip_local_port_range", "32768 32867");
        for number in 1..=300 {
            let received = response(connect(&pod.outside, &format!("10.77.0.2:{APP}")));
            assert!(received.ends_with("ok"), "recycle {number}: {received:?}");
        }
    });
}

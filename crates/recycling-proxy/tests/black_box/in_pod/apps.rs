//! Where an app may listen, and how often it may be connected to.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::namespace::as_root;
use super::pod::{Pod, connect};
use super::running::Running;

/// A port that nobody else in a [`Pod`] has.
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
                // A connection that has ended early is the client's to judge.
                let _ = client.read_exact(&mut [0; REQUEST.len()]);
                let _ = client.write_all(RESPONSE);
                let _ = client.read(&mut [0]);
            });
        }
    });
}

/// Returns a connection with one request, which is announced to be its last.
fn ask(mut client: TcpStream) -> String {
    let mut answer = String::new();
    let answered = client.write_all(REQUEST).and_then(|()| client.read_to_string(&mut answer));
    answered.map_or_else(|error| error.to_string(), |_| answer)
}

#[test]
fn an_app_is_found_at_any_address_of_the_pod() {
    as_root(|| {
        let addresses = ["127.0.0.1", "[::1]", "10.77.0.2", "[fd77::2]", "0.0.0.0", "[::]"];
        for app in addresses {
            let pod = Pod::new();
            serve(&pod, app);
            let _proxy = Running::start(&pod, APP, &["--max-requests", "1", "--control", "@evenkeel-apps"]);
            // What is neither loopback nor everywhere is found only by who meant that address.
            let meant = if app.starts_with("[fd") { "[fd77::2]" } else { "10.77.0.2" };
            for _ in 0..2 {
                let answer = ask(connect(&pod.outside, &format!("{meant}:{APP}")));
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok"), "{app}: {answer}");
            }
        }
    });
}

/// The kernel keeps a port for a minute after its connection's end, and has 28,232 by default, here 100. Between
/// loopback addresses it uses one again after a second; an app that listens on the pod's address alone has to be
/// reached all the same.
#[test]
fn the_proxy_serves_more_connections_than_there_are_local_ports() {
    as_root(|| {
        let pod = Pod::with_ipv4_alone();
        serve(&pod, "10.77.0.2");
        let _proxy = Running::start(&pod, APP, &["--max-requests", "1", "--control", "@evenkeel-ports"]);
        pod.inside.set("net/ipv4/ip_local_port_range", "32768 32867");
        for number in 1..=300 {
            let answer = ask(connect(&pod.outside, &format!("10.77.0.2:{APP}")));
            assert!(answer.ends_with("ok"), "recycle {number}: {answer:?}");
        }
    });
}

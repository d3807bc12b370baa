//! The PROXY protocol header of redirected connections.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;

use super::namespace::as_root;
use super::pod::{Pod, connect};
use super::running::Running;

/// A port that nothing else in a [`Pod`](super::pod::Pod) uses.
const APP: u16 = 6060;

#[test]
fn the_proxy_header_has_the_pods_address_that_the_client_used() {
    as_root(|| {
        let pod = Pod::new();
        let app = pod.inside.run(|| TcpListener::bind(("::", APP))).unwrap();
        let _proxy = Running::start(&pod, APP, &["--proxy-protocol", "v1"]);
        for (family, source, destination) in
            [("TCP4", "10.77.0.1", "10.77.0.2"), ("TCP6", "fd77::1", "fd77::2"), ("TCP6", "fd77::1", "fd77::3")]
        {
            let to = if family == "TCP6" { format!("[{destination}]:{APP}") } else { format!("{destination}:{APP}") };
            let client = connect(&pod.outside, &to);
            let port = client.local_addr().unwrap().port();
            let (accepted, _) = app.accept().unwrap();
            let mut line = String::new();
            BufReader::new(accepted).read_line(&mut line).unwrap();
            assert_eq!(line, format!("PROXY {family} {source} {destination} {port} {APP}\r\n"));
        }
    });
}

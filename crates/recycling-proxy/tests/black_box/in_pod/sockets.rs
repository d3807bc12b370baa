//! What `recycling-proxy status` and the metrics show of the sockets of a pod.

use std::net::TcpListener;
use std::process::Command;

use super::namespace::as_root;
use super::pod::{APPS, Client, IPV4, Pod, connect};
use super::running::Running;

/// A port that nothing else in a [`Pod`] uses.
const APP: u16 = 6060;
const CONTROL: &str = "@evenkeel-sockets";

/// Returns the section of the report about a port.
fn status(pod: &Pod, port: u16) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recycling-proxy"));
    command.args(["status", "--control", CONTROL]);
    let output = pod.inside.run(|| command.output()).unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = String::from_utf8(output.stdout).unwrap();
    let mut parts = report.split("\n\n");
    let about = parts.find(|part| part.starts_with(&format!("port {port}\n")));
    about.unwrap_or_else(|| panic!("nothing about {port}: {report}")).to_owned() + report.rsplit("\n\n").next().unwrap()
}

#[test]
fn metrics_show_where_the_app_listens_and_which_connections_bypass_the_proxy() {
    as_root(|| {
        let pod = Pod::new();
        let [past, ..] = APPS;
        let ports = format!("{APP},{past}");
        // Only connections to one of the two are redirected.
        let _proxy = Running::start(&pod, APP, &["--ports", &ports, "--control", CONTROL]);
        let report = status(&pod, APP);
        assert!(report.contains("nothing listens on the port"), "{report}");
        let others = APPS.iter().filter(|port| **port != past).map(u16::to_string);
        assert!(others.into_iter().all(|port| report.contains(&port)) && report.contains("other ports"), "{report}");

        let _app = pod.inside.run(|| TcpListener::bind(("::1", APP)).unwrap());
        let _through = connect(&pod.outside, &format!("{IPV4}:{APP}"));
        let report = status(&pod, APP);
        assert!(report.contains("listens at the IPv6 loopback address alone"), "{report}");
        assert!(!report.contains("NOT pass") && !report.contains("other ports"), "{report}");

        let _past = Client::connect(&pod.outside, &format!("{IPV4}:{past}"));
        let _of_the_pod = Client::connect(&pod.inside, &format!("127.0.0.1:{past}"));
        let report = status(&pod, past);
        assert!(report.contains("0 open; 1 more do NOT pass through the proxy"), "{report}");
    });
}

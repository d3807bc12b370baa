//! A pod with `hostNetwork`: if an author sets it while the webhook does not answer, the merge keeps what was injected.
//! Here the network namespace of a [`Pod`] stands for the node's, and its address is both the node's and the pod's.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use super::namespace::as_root;
use super::pod::{APPS, Client, IPV4, PROBE, Pod, wait_until};

/// The admin port, which the kubelet probes.
const ADMIN: u16 = 15_211;
const HOLD: u16 = 15_212;
/// A port on which no app listens.
const UNUSED: u16 = 6060;
const OTHER_PROBE: u16 = 15_221;

/// Returns `recycling-proxy COMMAND` with the variables that the kubelet sets from `status.podIP` and `status.hostIP`.
fn command(arguments: &[&str], pod_ip: &str, host_ip: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recycling-proxy"));
    command.args(arguments).env("EVENKEEL_POD_IP", pod_ip).env("EVENKEEL_HOST_IP", host_ip);
    command
}

fn redirect(pod: &Pod, pod_ip: &str, host_ip: &str) -> Output {
    let mut command = command(&["redirect", "--ports", "8080"], pod_ip, host_ip);
    pod.inside.run(|| command.output()).unwrap()
}

#[test]
fn redirect_writes_no_rules_into_the_nodes_network() {
    as_root(|| {
        let pod = Pod::new();
        for (pod_ip, host_ip) in [
            (IPV4, IPV4),
            ("fd77::2", "fd77::2"),
            // On a node with several addresses, and on one whose address has changed since the pod was created.
            ("10.77.0.2", "fd77::2"),
            ("10.77.0.9", "10.77.0.2"),
            ("", "10.77.0.2"),
            // On a node behind NAT.
            ("203.0.113.7", "203.0.113.7"),
        ] {
            let output = redirect(&pod, pod_ip, host_ip);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{pod_ip} on {host_ip}: {stderr}");
            assert!(stderr.contains("hostNetwork"), "{pod_ip} on {host_ip}: {stderr}");
            assert_eq!(pod.inside.rules(), "", "{pod_ip} on {host_ip}");
        }
    });
}

#[test]
fn a_pod_with_a_network_of_its_own_is_redirected() {
    as_root(|| {
        for (pod_ip, host_ip) in [
            (IPV4, "10.77.0.1"),
            (IPV4, "fd77::1"),
            // An address without a route.
            (IPV4, "192.0.2.1"),
            (IPV4, ""),
            ("", ""),
        ] {
            let pod = Pod::new();
            // The pod could bind any address.
            pod.inside.set("net/ipv4/ip_nonlocal_bind", "1");
            assert!(redirect(&pod, pod_ip, host_ip).status.success());
            let reached = Client::connect(&pod.outside, &format!("{IPV4}:8080")).reached;
            assert_eq!(reached, format!("proxy for {IPV4}:8080"), "{pod_ip} on {host_ip}");
        }
    });
}

/// A proxy, which is killed when this value is dropped.
struct Standby(Child);

impl Standby {
    fn start(pod: &Pod) -> Self {
        let probes = format!("{PROBE}=8080,{OTHER_PROBE}={UNUSED}");
        let hold = HOLD.to_string();
        let arguments = ["run", "--probes", &probes, "--hold", &hold];
        let mut command = command(&arguments, IPV4, IPV4);
        Self(pod.inside.run(|| command.stdout(Stdio::null()).spawn()).unwrap())
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(pod: &Pod, port: u16, path: &str) -> io::Result<String> {
    use std::io::{Read, Write};
    pod.inside.run(|| {
        let mut stream = TcpStream::connect((IPV4, port))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })
}

fn accepts(pod: &Pod, port: u16) -> bool {
    let address = SocketAddr::new(IPV4.parse::<IpAddr>().unwrap(), port);
    pod.inside.run(|| TcpStream::connect(address)).is_ok()
}

/// The merge keeps the rewritten probes and hooks, too. If the proxy did not answer them, the pod would never be ready.
#[test]
fn a_pod_in_the_nodes_network_starts_and_terminates() {
    as_root(|| {
        let pod = Pod::new();
        // A node can have pods of several workloads.
        let mut both = [Standby::start(&pod), Standby::start(&pod)];
        wait_until("the kubelet's probe is answered", || {
            get(&pod, ADMIN, "/readyz").is_ok_and(|text| text.starts_with("HTTP/1.1 200"))
        });
        wait_until("a probe that only connects finds its app", || accepts(&pod, PROBE));
        assert!(!accepts(&pod, OTHER_PROBE), "and does not find one that is not there");
        for path in ["/", "/drained"] {
            let port = if path == "/" { HOLD } else { ADMIN };
            wait_until("an app's hook is answered", || get(&pod, port, path).is_ok_and(|text| text.contains("200 OK")));
        }
        assert_eq!(Client::connect(&pod.outside, &format!("{IPV4}:{}", APPS[1])).reached, "app 8080");
        let drained = pod.inside.run(|| command(&["drain"], IPV4, IPV4).output()).unwrap();
        assert!(drained.status.success(), "{}", String::from_utf8_lossy(&drained.stderr));
        for Standby(proxy) in &mut both {
            let pid = rustix::process::Pid::from_child(proxy);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            assert!(proxy.wait().unwrap().success());
        }
    });
}

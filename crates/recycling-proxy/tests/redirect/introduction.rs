//! What the proxy itself tells the app of a redirected connection.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command};

use recycling_proxy::redirect;
use settings::RedirectSettings;

use crate::namespace::as_root;
use crate::pod::{Pod, connect, wait_until};

/// Ports that nobody else in a [`Pod`] has.
const APP: u16 = 6060;
const OWN: u16 = 15_310;
const ADMIN: u16 = 15_311;

/// The proxy; it ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where it has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(pod: &Pod) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recycling-proxy"));
    command.args(["run", "--listen", &format!("[::]:{OWN}"), "--admin", &format!("127.0.0.1:{ADMIN}")]);
    command.args(["--proxy-protocol", "v1"]);
    let running = Running(pod.inside.run(|| command.spawn()).unwrap());
    wait_until("the proxy is ready", || pod.inside.run(|| std::net::TcpStream::connect(("127.0.0.1", ADMIN))).is_ok());
    running
}

#[test]
fn the_app_learns_which_of_the_pods_addresses_its_client_meant() {
    as_root(|| {
        let pod = Pod::new();
        let app = pod.inside.run(|| TcpListener::bind(("::", APP))).unwrap();
        let _proxy = start(&pod);
        let redirect = RedirectSettings { ports: [APP].into(), to: OWN };
        pod.inside.run(|| redirect::apply(&redirect)).unwrap();
        for (family, from, meant) in
            [("TCP4", "10.77.0.1", "10.77.0.2"), ("TCP6", "fd77::1", "fd77::2"), ("TCP6", "fd77::1", "fd77::3")]
        {
            let to = if family == "TCP6" { format!("[{meant}]:{APP}") } else { format!("{meant}:{APP}") };
            let client = connect(&pod.outside, &to);
            let port = client.local_addr().unwrap().port();
            let (accepted, _) = app.accept().unwrap();
            let mut line = String::new();
            BufReader::new(accepted).read_line(&mut line).unwrap();
            assert_eq!(line, format!("PROXY {family} {from} {meant} {port} {APP}\r\n"));
        }
    });
}

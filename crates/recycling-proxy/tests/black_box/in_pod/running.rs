//! The proxy in a pod.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::process::{Child, Command};

use settings::{PodNetwork, RedirectSettings};

use super::pod::{Pod, wait_until};

/// Ports that nothing else in a [`Pod`] uses.
const OWN: u16 = 15_310;
const ADMIN: u16 = 15_311;

/// A proxy, which is killed when this value is dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Starts it with these further options, and redirects the connections to the port `app` to it.
    pub(crate) fn start(pod: &Pod, app: u16, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_recycling-proxy"));
        command.args(["run", "--listen", &format!("[::]:{OWN}"), "--admin", &format!("127.0.0.1:{ADMIN}")]);
        command.args(options);
        let running = Self(pod.inside.run(|| command.spawn()).unwrap());
        wait_until("the proxy is ready", || pod.inside.run(|| TcpStream::connect(("127.0.0.1", ADMIN))).is_ok());
        let redirect =
            RedirectSettings { ports: [app].into(), to: OWN, probes: BTreeMap::new(), network: PodNetwork::default() };
        pod.inside.run(|| redirect::apply(&redirect)).unwrap();
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

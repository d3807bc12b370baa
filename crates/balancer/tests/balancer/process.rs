//! The program as a process.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

/// A running balancer. Dropped, it is killed.
pub(crate) struct Balancer {
    pub(crate) child: Child,
    pub(crate) admin: SocketAddr,
}

impl Balancer {
    pub(crate) fn start(kubeconfig: &Path, identity: &str, proxy_port: u16) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_evenkeel-balancer"))
            .args(["run", "--admin=127.0.0.1:0", "--log-level=info"])
            .arg(format!("--identity={identity}"))
            .arg(format!("--proxy-port={proxy_port}"))
            .env("KUBECONFIG", kubeconfig)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.by_ref().inspect(|line| eprintln!("{line}")).find(|line| line.contains("listening")).unwrap();
        let admin = line.split_whitespace().find_map(|word| word.strip_prefix("address=")).unwrap().parse().unwrap();
        // For the log of a test that fails, and so that the program never waits for us.
        let identity = identity.to_owned();
        thread::spawn(move || lines.for_each(|line| eprintln!("{identity}: {line}")));
        Self { child, admin }
    }

    /// Returns the most memory that it has had so far, in KiB (`VmHWM` of `/proc/PID/status`).
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it is running");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits for its exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

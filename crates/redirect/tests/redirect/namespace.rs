//! Network namespaces of a test's own, joined by a cable.

use std::any::type_name;
use std::env;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs a test as root: as it is where we are root, else this one test again in a user namespace, where we are.
///
/// The test must be a closure written in the function that bears the test's name: so the name is found.
pub(crate) fn as_root<T: FnOnce()>(test: T) {
    if geteuid().is_root() {
        return test();
    }
    // CRATE::MODULE::TEST::{{closure}}
    let (_, path) = type_name::<T>().split_once("::").expect("a closure has a path");
    let name = path.trim_end_matches("::{{closure}}");
    let again = env::current_exe().expect("a test knows its own path");
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .arg(again)
        .args([name, "--exact", "--nocapture"])
        .output()
        .unwrap_or_else(|error| panic!("unshare does not start ({error}): apt-get install util-linux"));
    let said = text(&output);
    // Without a test of that name the harness would report success.
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{name} failed in a user namespace; where those are forbidden it must be run as root:\n{said}"
    );
}

/// A network namespace; it ends with this value and the sockets that were opened in it.
pub(crate) struct Namespace {
    holder: Child,
    entrance: File,
}

impl Namespace {
    /// One with nothing but a loopback device that is down.
    pub(crate) fn new() -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("unshare does not start ({error}): apt-get install util-linux"));
        // What cat echoes comes from inside: by then the namespace is there.
        let mut echo = [0];
        holder.stdin.as_mut().unwrap().write_all(b"?").unwrap();
        holder.stdout.as_mut().unwrap().read_exact(&mut echo).expect("a network namespace: CAP_SYS_ADMIN is needed");
        let entrance = File::open(format!("/proc/{}/ns/net", holder.id())).unwrap();
        Self { holder, entrance }
    }

    /// Does the job inside, on a thread of its own: a thread can be elsewhere than its process.
    pub(crate) fn run<T: Send>(&self, job: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            move_into_link_name_space(self.entrance.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            job()
        };
        thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs a command inside and gives what it printed; panics where it fails or is not there.
    pub(crate) fn command(&self, package: &str, line: &str) -> String {
        let mut words = line.split_whitespace();
        let program = words.next().unwrap();
        let output = self.run(|| Command::new(program).args(words).output());
        let output =
            output.unwrap_or_else(|error| panic!("{program} does not start ({error}): apt-get install {package}"));
        assert!(output.status.success(), "{line}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `ip` for each line.
    pub(crate) fn ip(&self, lines: &[&str]) {
        for line in lines {
            self.command("iproute2", &format!("ip {line}"));
        }
    }

    /// Sets a kernel parameter of this namespace, such as `net/ipv4/tcp_retries2`.
    pub(crate) fn set(&self, parameter: &str, value: &str) {
        let path = format!("/proc/sys/{parameter}");
        self.run(|| std::fs::write(&path, value)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Returns all nftables rules, as `nft` shows them.
    pub(crate) fn rules(&self) -> String {
        self.command("nftables", "nft list ruleset")
    }

    /// Lays a cable from the device `eth0` here to the device `eth0` there; both are down.
    pub(crate) fn connect(&self, there: &Self) {
        let pid = there.holder.id();
        self.ip(&[&format!("link add eth0 type veth peer name eth0 netns {pid}")]);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Both fail only where it has already ended.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

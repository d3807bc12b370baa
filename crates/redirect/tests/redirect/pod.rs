//! A pod as the rules see it: apps and a proxy in a network namespace, and clients at the other end of a cable.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use redirect::{Applied, Destination, RedirectError, original_destination};
use settings::{PodNetwork, RedirectSettings};

use super::namespace::Namespace;

/// The pod's addresses.
pub(crate) const IPV4: &str = "10.77.0.2";
pub(crate) const IPV6: &str = "[fd77::2]";
/// Where the proxy listens.
pub(crate) const PROXY: u16 = 15_210;
/// Where probes go that only connect.
pub(crate) const PROBE: u16 = 15_220;
/// Where apps listen.
pub(crate) const APPS: [u16; 3] = [7070, 8080, 9090];

/// No answer takes this long.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The pod, and the world outside of it.
pub(crate) struct Pod {
    pub(crate) inside: Namespace,
    pub(crate) outside: Namespace,
}

impl Pod {
    /// Returns a pod with both address families.
    pub(crate) fn new() -> Self {
        let pod = Self::with_ipv4_alone();
        pod.inside.set("net/ipv6/conf/all/disable_ipv6", "0");
        pod.outside.set("net/ipv6/conf/all/disable_ipv6", "0");
        pod.inside.ip(&["address add fd77::2/64 dev eth0 nodad", "address add fd77::3/64 dev eth0 nodad"]);
        pod.outside.ip(&["address add fd77::1/64 dev eth0 nodad"]);
        pod
    }

    /// Returns a pod in which IPv6 is switched off, as some nodes have it.
    pub(crate) fn with_ipv4_alone() -> Self {
        let pod = Self { inside: Namespace::new(), outside: Namespace::new() };
        pod.inside.connect(&pod.outside);
        for (namespace, address) in [(&pod.inside, IPV4), (&pod.outside, "10.77.0.1")] {
            namespace.set("net/ipv6/conf/all/disable_ipv6", "1");
            let address = format!("address add {address}/24 dev eth0");
            namespace.ip(&["link set lo up", &address, "link set eth0 up"]);
        }
        for port in APPS {
            pod.serve(port, move |_| format!("app {port}"));
        }
        pod.serve(PROXY, |client| match original_destination(client).unwrap() {
            Destination::Redirected(meant) => format!("proxy for {meant}"),
            Destination::Direct => "proxy".to_owned(),
        });
        pod
    }

    /// Answers every connection with a line, then sends back every line. The threads end with the test process.
    fn serve(&self, port: u16, greeting: impl Fn(&TcpStream) -> String + Send + 'static) {
        let listener = self.inside.run(|| TcpListener::bind(("::", port)).unwrap());
        thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let greeting = greeting(&client);
                thread::spawn(move || -> io::Result<()> {
                    writeln!(client, "{greeting}")?;
                    io::copy(&mut client.try_clone()?, &mut client)?;
                    Ok(())
                });
            }
        });
    }

    /// Has the connections to this port redirected to the proxy, and probes of it led to the app from the port
    /// [`PROBE`].
    pub(crate) fn redirect_with_probe(&self, app: u16) {
        let settings = RedirectSettings { probes: [(PROBE, app)].into(), ..to_proxy(&[app]) };
        self.inside.run(|| redirect::apply(&settings)).unwrap();
    }

    /// Has the connections to these ports redirected to the proxy.
    pub(crate) fn redirect(&self, ports: &[u16]) -> Result<(), RedirectError> {
        self.inside.run(|| redirect::apply(&to_proxy(ports))).map(|applied| assert_eq!(applied, Applied::Redirected))
    }
}

/// Settings that lead these ports to the proxy.
pub(crate) fn to_proxy(ports: &[u16]) -> RedirectSettings {
    RedirectSettings {
        ports: ports.iter().copied().collect(),
        to: PROXY,
        probes: BTreeMap::new(),
        network: PodNetwork::default(),
    }
}

/// Connects from that namespace. Reads time out.
pub(crate) fn connect(from: &Namespace, to: &str) -> TcpStream {
    let to: SocketAddr = to.parse().unwrap();
    let stream = from.run(|| TcpStream::connect_timeout(&to, TIMEOUT)).unwrap_or_else(|e| panic!("{to}: {e}"));
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Tries until it is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let pause = Duration::from_millis(50);
    for _ in 0..TIMEOUT.as_millis() / pause.as_millis() {
        if is_so() {
            return;
        }
        thread::sleep(pause);
    }
    panic!("not within {TIMEOUT:?}: {what}");
}

/// A client's connection to a [`Pod`], from wherever it was opened.
pub(crate) struct Client {
    lines: BufReader<TcpStream>,
    /// Who has answered: `app PORT`, `proxy` or `proxy for ADDRESS`.
    pub(crate) reached: String,
}

impl Client {
    /// Connects from that namespace and reads who is there.
    pub(crate) fn connect(from: &Namespace, to: &str) -> Self {
        let mut client = Self { lines: BufReader::new(connect(from, to)), reached: String::new() };
        client.reached = client.line().unwrap();
        client
    }

    /// Returns the connection itself.
    pub(crate) fn stream(&self) -> &TcpStream {
        self.lines.get_ref()
    }

    /// Sends a line and reads it back.
    pub(crate) fn ask(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.lines.get_ref(), "{line}")?;
        let answer = self.line()?;
        if answer == line { Ok(()) } else { Err(io::Error::other(format!("{answer:?} came back for {line:?}"))) }
    }

    /// Reads a line.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

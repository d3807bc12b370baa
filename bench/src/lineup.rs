//! The peers of one scenario, which run in front of the same app and are measured in turn.
//!
//! Rounds are interleaved (A B C A B C …), so that other work of the machine affects all peers alike. Ratios are taken
//! within a round.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::bench::Bench;
use crate::peer::{Peer, Protocol, Setup};
use crate::process::Running;

/// The peers in front of one app.
#[derive(Debug)]
pub(crate) struct Lineup {
    members: Vec<(Peer, Result<Running, String>)>,
}

/// The figures of one peer, round by round, or the reason why there are none.
pub(crate) type Outcome<T> = Result<Vec<T>, String>;

impl Lineup {
    /// Starts these peers in front of the app at a port. One that cannot be started is kept with the reason.
    pub(crate) fn start(bench: &Bench, peers: &[Peer], app: u16, max_requests: Option<u32>) -> Self {
        Self::speaking(bench, Protocol::Http1, peers, app, max_requests)
    }

    /// Does the same in front of an HTTP/2 app.
    pub(crate) fn start_http2(bench: &Bench, peers: &[Peer], app: u16) -> Self {
        Self::speaking(bench, Protocol::Http2, peers, app, None)
    }

    fn speaking(bench: &Bench, protocol: Protocol, peers: &[Peer], app: u16, max_requests: Option<u32>) -> Self {
        let start = |peer: Peer| {
            let running =
                start_speaking(bench, protocol, peer, app, max_requests).map_err(|error| format!("{error:#}"));
            if let Err(reason) = &running {
                eprintln!("\n*** {peer} IS NOT MEASURED: {reason}\n");
            }
            (peer, running)
        };
        Self { members: peers.iter().copied().map(start).collect() }
    }

    /// Measures every peer once a round. A peer that fails is not measured again: its error is its result.
    pub(crate) fn rounds<T>(
        &self,
        rounds: usize,
        mut visit: impl FnMut(Peer, &Running) -> Result<T>,
    ) -> Vec<(Peer, Outcome<T>)> {
        let mut outcomes: Vec<(Peer, Outcome<T>)> = self
            .members
            .iter()
            .map(|(peer, running)| (*peer, running.as_ref().map(|_| Vec::new()).map_err(Clone::clone)))
            .collect();
        for _ in 0..rounds {
            for ((peer, running), (_, outcome)) in self.members.iter().zip(&mut outcomes) {
                let (Ok(running), Ok(values)) = (running, &mut *outcome) else { continue };
                match visit(*peer, running) {
                    Ok(value) => values.push(value),
                    Err(error) => {
                        eprintln!("\n*** {peer} FAILED: {error:#}\n");
                        *outcome = Err(format!("{error:#}"));
                    }
                }
            }
        }
        outcomes
    }
}

/// Starts one peer on the proxies' core.
pub(crate) fn start(bench: &Bench, peer: Peer, app: u16, max_requests: Option<u32>) -> Result<Running> {
    start_speaking(bench, Protocol::Http1, peer, app, max_requests)
}

/// Starts one peer on the proxies' core, in front of an HTTP/2 app.
pub(crate) fn start_in_http2(bench: &Bench, peer: Peer, app: u16) -> Result<Running> {
    start_speaking(bench, Protocol::Http2, peer, app, None)
}

fn start_speaking(
    bench: &Bench,
    protocol: Protocol,
    peer: Peer,
    app: u16,
    max_requests: Option<u32>,
) -> Result<Running> {
    let dir = bench.fresh_dir(&peer.to_string())?;
    let setup = Setup { listen: free_port()?, app, admin: 0, protocol, max_requests, dir };
    let command = peer.command(bench.tools.path_of(peer)?, &setup)?;
    let mut command = match bench.cores.proxy {
        Some(core) => pinned(core, &command),
        None => command,
    };
    Running::start(&mut command, protocol, setup.listen, &setup.dir.join("output.log"))
}

/// Starts evenkeel's proxy with further options on the proxies' core. Its admin port is on loopback, 0 for any.
pub(crate) fn start_ours(bench: &Bench, [app, admin]: [u16; 2], options: &[&str]) -> Result<Running> {
    let mut command = ours(bench, [app, admin], options)?;
    if let Some(core) = bench.cores.proxy {
        command.command = pinned(core, &command.command);
    }
    command.start()
}

/// Does the same on all cores.
pub(crate) fn start_ours_on_all_cores(bench: &Bench, app: u16, options: &[&str]) -> Result<Running> {
    let mut command = ours(bench, [app, 0], options)?;
    command.command = taskset(&bench.cores.all(), &command.command);
    command.start()
}

/// A command that is ready to be started, with its port and its log.
struct Ours {
    command: Command,
    listen: u16,
    log: PathBuf,
}

fn ours(bench: &Bench, [app, admin]: [u16; 2], options: &[&str]) -> Result<Ours> {
    let dir = bench.fresh_dir(&Peer::Evenkeel.to_string())?;
    let log = dir.join("output.log");
    let setup = Setup { listen: free_port()?, app, admin, protocol: Protocol::Http1, max_requests: None, dir };
    let mut command = Peer::Evenkeel.command(bench.tools.path_of(Peer::Evenkeel)?, &setup)?;
    command.args(options);
    Ok(Ours { command, listen: setup.listen, log })
}

impl Ours {
    fn start(mut self) -> Result<Running> {
        Running::start(&mut self.command, Protocol::Http1, self.listen, &self.log)
    }
}

/// Returns the command under `taskset`, which becomes the program by `exec`, so that the process id stays the same.
pub(crate) fn pinned(core: usize, command: &Command) -> Command {
    taskset(&[core], command)
}

fn taskset(cores: &[usize], command: &Command) -> Command {
    let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", &cores.join(",")]).arg(command.get_program()).args(command.get_args());
    pinned
}

/// Starts nginx as the app behind the peers.
pub(crate) fn start_app(bench: &Bench) -> Result<Running> {
    let dir = bench.fresh_dir("app")?;
    let bodies = dir.join("bodies");
    fs::create_dir(&bodies).context("making the bodies that the app serves")?;
    for size in [64 * 1024, 1024 * 1024] {
        fs::write(bodies.join(size.to_string()), vec![b'x'; size])?;
    }
    let setup = Setup { listen: free_port()?, app: 0, admin: 0, protocol: Protocol::Http1, max_requests: None, dir };
    let path = setup.write("nginx.conf", include_str!("../peers/app.nginx.conf"))?;
    let mut command = Command::new(&bench.tools.nginx);
    command.arg("-p").arg(&setup.dir).arg("-c").arg(path);
    Running::start(&mut command, Protocol::Http1, setup.listen, &setup.dir.join("output.log"))
        .context("the app (nginx)")
}

/// Starts nghttpd as the HTTP/2 app. It writes the responses of a connection together, so that the cost of a segment
/// for each response does not hide the cost of a proxy.
pub(crate) fn start_http2_app(bench: &Bench) -> Result<Running> {
    let dir = bench.fresh_dir("http2-app")?;
    fs::write(dir.join("index.html"), vec![b'x'; 128])?;
    fs::write(dir.join("long"), vec![b'x'; 1024 * 1024])?;
    let port = free_port()?;
    let mut command = Command::new(&bench.tools.nghttpd);
    command.args(["--no-tls", "--address", "127.0.0.1", "--htdocs"]).arg(&dir).arg(port.to_string());
    Running::start(&mut command, Protocol::Http2, port, &dir.join("output.log")).context("the app (nghttpd)")
}

/// Returns a port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?.local_addr()?.port())
}

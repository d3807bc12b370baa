//! The recycling proxy as a process.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use settings::{ADMIN_PORT, OptionSpec as _, PROXY_PORT, ProxyOption};
use tokio::time::{Instant, sleep};

use crate::head::Head;
use crate::loopback::LoopbackHost;
use crate::peer::Peer;
use crate::process::Process;
use crate::unexpected::{Excerpt, TIMEOUT, Unexpected};

/// The interval at which a proxy that is starting is asked whether it is ready.
const POLL: Duration = Duration::from_millis(5);

/// A running recycling proxy with a host of its own, so that its ports are always the same and always free.
///
/// Its jitter is 0 % unless set: limits are exact.
#[derive(Debug)]
pub struct RecyclingProxy {
    binary: PathBuf,
    host: LoopbackHost,
    control: String,
    process: Process,
}

impl RecyclingProxy {
    /// Starts the binary in front of `app` and waits until it is ready.
    pub async fn start(
        binary: impl Into<PathBuf>,
        app: SocketAddr,
        options: &[(ProxyOption, &str)],
    ) -> Result<Self, Unexpected> {
        let binary = binary.into();
        let command = Command::new(&binary);
        Self::start_by(command, binary, app, options).await
    }

    /// Starts it with this limit of open descriptors (`RLIMIT_NOFILE`).
    pub async fn start_with_descriptors(
        binary: impl Into<PathBuf>,
        app: SocketAddr,
        options: &[(ProxyOption, &str)],
        descriptors: u32,
    ) -> Result<Self, Unexpected> {
        let binary = binary.into();
        let mut command = Command::new("sh");
        // The hard limit too: the proxy raises the soft one to it.
        command.args(["-c", &format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"")]).arg(&binary);
        Self::start_by(command, binary, app, options).await
    }

    async fn start_by(
        mut command: Command,
        binary: PathBuf,
        app: SocketAddr,
        options: &[(ProxyOption, &str)],
    ) -> Result<Self, Unexpected> {
        let host = LoopbackHost::reserve().map_err(reservation)?;
        command.arg("run").args(arguments(&host, app, options));
        let process = Process::spawn("recycling-proxy", command)?.repeating_its_output();
        let given = options.iter().find(|(option, _)| *option == ProxyOption::Control);
        let control = given.map_or_else(|| control(&host), |(_, socket)| (*socket).to_owned());
        let mut proxy = Self { binary, host, control, process };
        proxy.ready().await?;
        Ok(proxy)
    }

    /// Returns where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.host.port(PROXY_PORT)
    }

    /// Returns where the read-only endpoints are.
    pub fn admin_address(&self) -> SocketAddr {
        self.host.port(ADMIN_PORT)
    }

    /// Connects a client.
    pub async fn connect(&self) -> Result<Peer, Unexpected> {
        Peer::connect(self.address()).await
    }

    /// Sends `GET path` to the admin port. Returns the status and the body.
    pub async fn admin(&self, path: &str) -> Result<(u16, String), Unexpected> {
        Self::get(self.admin_address(), path).await
    }

    /// Sends `GET path` to one of its ports for hooks (`--hold`). Returns the status and the body.
    pub async fn hook(&self, port: u16, path: &str) -> Result<(u16, String), Unexpected> {
        Self::get(SocketAddr::new(self.admin_address().ip(), port), path).await
    }

    async fn get(host: SocketAddr, path: &str) -> Result<(u16, String), Unexpected> {
        let mut client = Peer::connect(host).await?;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await?;
        let head = client.read_head().await?;
        let (body, _) = client.read_to_end().await?;
        let status = head.status().ok_or_else(|| Unexpected::Other(format!("no status in {:?}", head.start_line())))?;
        Ok((status, body_of(&head, body)?))
    }

    /// Starts `recycling-proxy drain` against this proxy.
    pub fn drain(&self) -> Result<Process, Unexpected> {
        self.control(&["drain"])
    }

    /// Starts a command of `recycling-proxy` that uses this proxy's control socket.
    pub fn control(&self, words: &[&str]) -> Result<Process, Unexpected> {
        let mut command = Command::new(&self.binary);
        command.args(words).args(["--control", &self.control]);
        Ok(Process::spawn(format!("recycling-proxy {}", words.join(" ")), command)?.repeating_its_output())
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) -> Result<(), Unexpected> {
        self.process.signal(Signal::TERM)
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    async fn ready(&mut self) -> Result<(), Unexpected> {
        let start = Instant::now();
        while start.elapsed() < TIMEOUT {
            if !self.process.is_running() {
                let (status, output) = self.process.end().await?;
                return Err(Unexpected::Other(format!("recycling-proxy ended at its start ({status}): {output}")));
            }
            match self.admin("/readyz").await {
                Ok((200, _)) => return Ok(()),
                Ok(_) | Err(_) => sleep(POLL).await,
            }
        }
        let had = Excerpt::new(self.process.output().as_bytes());
        Err(Unexpected::Silence { who: "recycling-proxy".to_owned(), what: "readiness".to_owned(), had })
    }
}

fn arguments(host: &LoopbackHost, app: SocketAddr, options: &[(ProxyOption, &str)]) -> Vec<OsString> {
    let own = [
        (ProxyOption::Listen, host.port(PROXY_PORT).to_string()),
        (ProxyOption::App, app.to_string()),
        (ProxyOption::Admin, host.port(ADMIN_PORT).to_string()),
        (ProxyOption::Control, control(host)),
        (ProxyOption::Jitter, "0%".to_owned()),
    ];
    let own = own.into_iter().filter(|(option, _)| options.iter().all(|(given, _)| given != option));
    let given = options.iter().map(|(option, value)| (*option, (*value).to_owned()));
    own.chain(given).flat_map(|(option, value)| [format!("--{}", option.flag()).into(), value.into()]).collect()
}

fn control(host: &LoopbackHost) -> String {
    format!("@evenkeel-test-{}", host.port(0).ip())
}

fn reservation(source: io::Error) -> Unexpected {
    Unexpected::Io { who: "test".to_owned(), what: "reserve a loopback address", source }
}

/// Returns a body as text, chunks joined.
fn body_of(head: &Head, body: Vec<u8>) -> Result<String, Unexpected> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if !head.tokens("transfer-encoding").contains(&"chunked".to_owned()) {
        return Ok(text(body));
    }
    let mut joined = Vec::new();
    let mut rest = body.as_slice();
    loop {
        let chunk = next_chunk(rest);
        match chunk.ok_or_else(|| Unexpected::Other(format!("not chunked: {}", Excerpt::new(rest))))? {
            (b"", _) => return Ok(text(joined)),
            (chunk, after) => {
                joined.extend_from_slice(chunk);
                rest = after;
            }
        }
    }
}

/// Returns the first chunk and what follows it.
fn next_chunk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = bytes.windows(2).position(|window| window == b"\r\n")?;
    let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).ok()?, 16).ok()?;
    let chunk = bytes.get(line + 2..line + 2 + size)?;
    Some((chunk, bytes.get(line + 2 + size + 2..)?))
}

//! The control socket: the Unix socket on which the running proxy accepts commands.
//!
//! A client connects and sends one line: `drain`, to which the proxy responds with a line when the drain is over,
//! `log-level LEVEL`, or `metrics`. Only processes of the proxy's own user, or root, are served. In a pod, the socket
//! is in the abstract namespace, and only processes of the proxy's own container are served, because the app may run as
//! either user.

use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use daemon::Log;
use settings::{ControlSocket, LogLevel};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::process::admin::Admin;
use crate::retire::connections::Connections;
use crate::retire::drain::Drain;

const LONGEST_COMMAND: u64 = 64;
const PAUSE: Duration = Duration::from_millis(100);
/// The time in which a client must send the command.
const COMMAND_WITHIN: Duration = Duration::from_secs(5);
/// The most connections that are served at once; further ones wait.
const MOST_CLIENTS: usize = 16;

/// A command to a running proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Begin the drain, and respond when it is over.
    Drain,
    /// Change the log level.
    LogLevel(LogLevel),
    /// Respond with the metrics.
    Metrics,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain => f.write_str("drain"),
            Self::LogLevel(level) => write!(f, "log-level {level}"),
            Self::Metrics => f.write_str("metrics"),
        }
    }
}

/// A line that is not a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownCommand;

impl FromStr for Command {
    type Err = UnknownCommand;

    fn from_str(line: &str) -> Result<Self, UnknownCommand> {
        match line.split_once(' ') {
            None if line == "drain" => Ok(Self::Drain),
            None if line == "metrics" => Ok(Self::Metrics),
            Some(("log-level", level)) => level.parse().map(Self::LogLevel).map_err(|_| UnknownCommand),
            _ => Err(UnknownCommand),
        }
    }
}

/// The parts of the process that commands use.
#[derive(Debug)]
pub(crate) struct Controlled {
    pub(crate) drain: Arc<Drain>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) endpoints: Arc<Admin>,
    pub(crate) log: Log,
}

/// Listens on the socket. A socket file of an earlier process is replaced.
pub(crate) fn bind(socket: &ControlSocket) -> io::Result<UnixListener> {
    let listener = match socket {
        ControlSocket::Abstract(name) => {
            std::os::unix::net::UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?
        }
        ControlSocket::Path(path) => {
            if std::os::unix::net::UnixStream::connect(path).is_err() {
                remove_if_there(path)?;
            }
            std::os::unix::net::UnixListener::bind(path)?
        }
    };
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

fn remove_if_there(path: &str) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Serves until the process ends.
pub(crate) async fn run(listener: UnixListener, controlled: Controlled) {
    let controlled = Arc::new(controlled);
    let in_pod = listener.local_addr().is_ok_and(|address| address.as_abstract_name().is_some());
    let slots = Arc::new(Semaphore::new(MOST_CLIENTS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let controlled = Arc::clone(&controlled);
        tokio::spawn(async move {
            let _slot = slot;
            if let Err(error) = serve(stream, &controlled, in_pod).await {
                tracing::debug!(%error, "a control connection has ended early");
            }
        });
    }
}

/// The process at the other end of a connection (`SO_PEERCRED`, unix(7)).
#[derive(Clone, Copy, Debug)]
struct Peer {
    user: u32,
    /// Whether it has a process ID in the proxy's PID namespace. Processes of the pod's other containers have none,
    /// unless the pod shares the namespace (`shareProcessNamespace`).
    is_in_pid_namespace: bool,
}

impl Peer {
    fn of(credentials: &UCred) -> Self {
        Self { user: credentials.uid(), is_in_pid_namespace: credentials.pid().is_some_and(|number| number != 0) }
    }

    /// Returns the refusal for it from a proxy with the user `own`; `None` if it may send commands.
    fn refused(self, own: u32, in_pod: bool) -> Option<&'static str> {
        if self.user != 0 && self.user != own {
            Some("refused: not the proxy's user\n")
        } else if in_pod && !self.is_in_pid_namespace {
            Some("refused: not a process of the proxy's container\n")
        } else {
            None
        }
    }
}

async fn serve(stream: UnixStream, controlled: &Controlled, in_pod: bool) -> io::Result<()> {
    let peer = Peer::of(&stream.peer_cred()?);
    let (reader, mut writer) = stream.into_split();
    if let Some(refusal) = peer.refused(rustix::process::geteuid().as_raw(), in_pod) {
        return writer.write_all(refusal.as_bytes()).await;
    }
    let mut line = String::new();
    timeout(COMMAND_WITHIN, BufReader::new(reader.take(LONGEST_COMMAND)).read_line(&mut line)).await??;
    let answer = match line.trim_end_matches('\n').parse() {
        Ok(Command::Drain) => controlled.drained().await,
        Ok(Command::LogLevel(level)) => {
            controlled.log.set_level(level);
            tracing::info!(%level, "the log level was changed");
            format!("log level: {level}\n")
        }
        Ok(Command::Metrics) => match controlled.endpoints.exposition(None).await {
            Ok(exposition) => exposition.text,
            Err(_) => "refused: the metrics could not be written\n".to_owned(),
        },
        Err(UnknownCommand) => "refused: expected drain, log-level LEVEL or metrics\n".to_owned(),
    };
    writer.write_all(answer.as_bytes()).await
}

impl Controlled {
    async fn drained(&self) -> String {
        self.drain.begin();
        self.drain.done().await;
        match self.connections.count() {
            0 => "drained: no connection is left\n".to_owned(),
            left => format!("drained: the time is up, {left} connections are left\n"),
        }
    }
}

/// Sends a command to the running proxy. Returns its response.
pub(crate) async fn ask(socket: &ControlSocket, command: Command) -> io::Result<String> {
    let stream = match socket {
        ControlSocket::Abstract(name) => {
            std::os::unix::net::UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?
        }
        ControlSocket::Path(path) => std::os::unix::net::UnixStream::connect(path)?,
    };
    stream.set_nonblocking(true)?;
    let mut stream = UnixStream::from_std(stream)?;
    stream.write_all(format!("{command}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    if answer.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_commands_survive_a_round_trip() {
        for command in
            [Command::Drain, Command::Metrics, Command::LogLevel(LogLevel::Debug), Command::LogLevel(LogLevel::Error)]
        {
            assert_eq!(command.to_string().parse(), Ok(command));
        }
        for line in ["", "drain ", "drain now", "log-level", "log-level ", "log-level loud", "walk"] {
            assert_eq!(line.parse::<Command>(), Err(UnknownCommand), "{line:?}");
        }
    }

    #[test]
    fn control_commands_are_accepted_only_from_permitted_peers() {
        const OWN: u32 = 15_210;
        for (user, is_in_pid_namespace, in_pod, heard) in [
            (OWN, true, true, true),
            (0, true, true, true),
            (1000, true, true, false),
            // An app that runs as root or as the proxy's user does.
            (0, false, true, false),
            (OWN, false, true, false),
            // Without Kubernetes, the host of a container may.
            (0, false, false, true),
            (1000, false, false, false),
        ] {
            let peer = Peer { user, is_in_pid_namespace };
            assert_eq!(peer.refused(OWN, in_pod).is_none(), heard, "{peer:?}, in a pod: {in_pod}");
        }
    }

    #[tokio::test]
    async fn a_peer_of_the_same_pid_namespace_is_recognized() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = Peer::of(&one.peer_cred().unwrap());
        assert!(peer.is_in_pid_namespace && peer.user == rustix::process::geteuid().as_raw(), "{peer:?}");
    }
}

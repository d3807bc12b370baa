//! The Unix socket on which the running proxy takes the one command that changes its state.
//!
//! A client connects and sends `drain\n`; the answer comes when the drain is over, as one line. Only a process of
//! the proxy's own user, or root, is heard.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use settings::ControlSocket;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::sleep;

use crate::proxy::Proxy;

const DRAIN: &str = "drain\n";
const LONGEST_COMMAND: u64 = 64;
const PAUSE: Duration = Duration::from_millis(100);

/// Begins to listen. A socket file that an earlier process has left behind is replaced.
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

/// Serves for as long as the process lives.
pub(crate) async fn run(listener: UnixListener, proxy: Arc<Proxy>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let proxy = Arc::clone(&proxy);
        tokio::spawn(async move {
            if let Err(error) = serve(stream, &proxy).await {
                tracing::debug!(%error, "a control connection has ended early");
            }
        });
    }
}

async fn serve(stream: UnixStream, proxy: &Proxy) -> io::Result<()> {
    let peer = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.into_split();
    if peer != 0 && peer != rustix::process::geteuid().as_raw() {
        return writer.write_all(b"refused: not the proxy's user\n").await;
    }
    let mut command = String::new();
    BufReader::new(reader.take(LONGEST_COMMAND)).read_line(&mut command).await?;
    if command != DRAIN {
        return writer.write_all(b"refused: the only command is drain\n").await;
    }
    proxy.drain.begin();
    proxy.drain.done().await;
    let answer = match proxy.connections.count() {
        0 => "drained: no connection is left\n".to_owned(),
        left => format!("drained: the time is up, {left} connections are left\n"),
    };
    writer.write_all(answer.as_bytes()).await
}

/// Asks the running proxy to drain, and waits for its answer.
pub(crate) async fn drain(socket: &ControlSocket) -> io::Result<String> {
    let stream = match socket {
        ControlSocket::Abstract(name) => {
            std::os::unix::net::UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?
        }
        ControlSocket::Path(path) => std::os::unix::net::UnixStream::connect(path)?,
    };
    stream.set_nonblocking(true)?;
    let mut stream = UnixStream::from_std(stream)?;
    stream.write_all(DRAIN.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    if answer.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
}

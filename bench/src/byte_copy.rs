//! The lower bound with which every proxy is compared: it copies bytes from one socket to the other without parsing
//! them.
//!
//! One thread, edge-triggered epoll, one shared buffer, no allocation per event. No relay in user space can make fewer
//! system calls: two receives, two sends and a share of the waits for each response.

use std::convert::Infallible;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

/// The most bytes of one receive.
const BUFFER: usize = 64 * 1024;
/// The most events of one wait.
const BATCH: usize = 256;
/// The token of the listener; those of connections are `pair * 2 + side`.
const LISTENER: u64 = u64::MAX;

/// Copies between the clients of `listen` and `app` until the process is killed.
pub(crate) fn run(listen: SocketAddr, app: SocketAddr) -> io::Result<Infallible> {
    let listener = TcpListener::bind(listen)?;
    // The standard library's backlog of 128 is too short for a thousand clients that connect at once.
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    Copier::new(listener, app)?.serve()
}

struct Copier {
    epoll: OwnedFd,
    listener: TcpListener,
    app: SocketAddr,
    pairs: Vec<Option<Pair>>,
    free: Vec<usize>,
    buffer: Box<[u8]>,
}

/// A client connection (end 0) and its app connection (end 1).
struct Pair {
    ends: [End; 2],
}

struct End {
    stream: TcpStream,
    /// Bytes for this end that its socket did not accept yet.
    pending: Vec<u8>,
    /// Whether the peer may still send.
    open: bool,
}

/// What to do with a pair after an event.
enum Verdict {
    Keep,
    Close,
}

impl Copier {
    fn new(listener: TcpListener, app: SocketAddr) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        Ok(Self { epoll, listener, app, pairs: Vec::new(), free: Vec::new(), buffer: vec![0; BUFFER].into() })
    }

    fn serve(mut self) -> io::Result<Infallible> {
        let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; BATCH];
        loop {
            let count = match epoll::wait(&self.epoll, &mut events[..], None) {
                Ok(count) => count,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for event in &events[..count] {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    token => self.ready(token, event.flags),
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let client = match self.listener.accept() {
                Ok((client, _)) => client,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            client.set_nonblocking(true)?;
            let ends = [client, dial(self.app)?].map(|stream| End { stream, pending: Vec::new(), open: true });
            let index = self.free.pop().unwrap_or_else(|| {
                self.pairs.push(None);
                self.pairs.len() - 1
            });
            for (side, end) in ends.iter().enumerate() {
                end.stream.set_nodelay(true)?;
                let data = EventData::new_u64(u64::try_from(index * 2 + side).expect("an index fits"));
                let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
                epoll::add(&self.epoll, &end.stream, data, flags)?;
            }
            self.pairs[index] = Some(Pair { ends });
        }
    }

    fn ready(&mut self, token: u64, flags: EventFlags) {
        let token = usize::try_from(token).expect("tokens are made of indices");
        let (index, side) = (token / 2, token % 2);
        // An earlier event of the same batch may have closed the pair.
        let Some(pair) = &mut self.pairs[index] else { return };
        if matches!(pair.ready(side, flags, &mut self.buffer), Verdict::Close) {
            self.pairs[index] = None;
            self.free.push(index);
        }
    }
}

impl Pair {
    fn ready(&mut self, side: usize, flags: EventFlags, buffer: &mut [u8]) -> Verdict {
        let [client, app] = &mut self.ends;
        let (this, other) = if side == 0 { (client, app) } else { (app, client) };
        let ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        if flags.contains(EventFlags::OUT) && !this.pending.is_empty() {
            match this.flush() {
                // Bytes that the other end has sent meanwhile raise no further edge.
                Ok(()) if this.pending.is_empty() => {
                    if copy(other, this, true, buffer).is_err() {
                        return Verdict::Close;
                    }
                }
                Ok(()) => {}
                Err(_) => return Verdict::Close,
            }
        }
        if (ended || flags.contains(EventFlags::IN)) && copy(this, other, ended, buffer).is_err() {
            return Verdict::Close;
        }
        if !this.open && !other.open && this.pending.is_empty() && other.pending.is_empty() {
            return Verdict::Close;
        }
        Verdict::Keep
    }
}

impl End {
    fn flush(&mut self) -> rustix::io::Result<()> {
        let sent = send(&self.stream, &self.pending)?;
        self.pending.drain(..sent);
        Ok(())
    }
}

/// Copies what is there from one end to the other: with `exhaust` until the socket is empty, otherwise until a receive
/// is short, which shows the same without another system call.
fn copy(from: &mut End, to: &mut End, exhaust: bool, buffer: &mut [u8]) -> rustix::io::Result<()> {
    while from.open && to.pending.is_empty() {
        let received = match rustix::net::recv(&from.stream, &mut *buffer, RecvFlags::empty()) {
            Ok((received, _)) => received,
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error),
        };
        if received == 0 {
            from.open = false;
            // The socket may have been closed by the other end.
            _ = to.stream.shutdown(Shutdown::Write);
            return Ok(());
        }
        let sent = send(&to.stream, &buffer[..received])?;
        to.pending.extend_from_slice(&buffer[sent..received]);
        if received < buffer.len() && !exhaust {
            return Ok(());
        }
    }
    Ok(())
}

fn send(stream: &TcpStream, bytes: &[u8]) -> rustix::io::Result<usize> {
    match rustix::net::send(stream, bytes, SendFlags::NOSIGNAL) {
        Err(Errno::AGAIN) => Ok(0),
        result => result,
    }
}

/// Begins to connect. What is sent before the connection is established is kept as pending.
fn dial(app: SocketAddr) -> io::Result<TcpStream> {
    let family = if app.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(socket.as_fd(), true)?;
    match rustix::net::connect(&socket, &app) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::thread;

    use super::*;

    /// Longer than the socket buffers, so that both directions have to wait.
    const LONG: usize = 32 << 20;

    #[test]
    fn bytes_and_half_closes_pass_both_ways() {
        let app = TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let copier = Copier::new(listener, app.local_addr().unwrap()).unwrap();
        thread::spawn(move || copier.serve());
        let app = thread::spawn(move || {
            let (mut stream, _) = app.accept().unwrap();
            let mut request = Vec::new();
            stream.read_to_end(&mut request).unwrap();
            stream.write_all(&request).unwrap();
        });

        let mut client = TcpStream::connect(address).unwrap();
        let request: Vec<u8> = (0..LONG).map(|index| u8::try_from(index % 251).unwrap()).collect();
        client.write_all(&request).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert!(answer == request, "{} of {LONG} bytes came back", answer.len());
        app.join().unwrap();
    }
}

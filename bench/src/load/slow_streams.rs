//! HTTP/2 clients that read long responses in many small pieces.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::load::{exchange, http2};

const CONNECTIONS: u16 = 10;
/// The number of concurrent streams that servers usually allow.
const STREAMS: u16 = 100;
/// The bytes of each `WINDOW_UPDATE` of a stream.
const PIECE: u32 = 64;
/// The time between two pieces of a stream. All streams together get 10,000 pieces per second.
const PAUSE: Duration = Duration::from_millis(100);

/// A thousand streams, which last until [`end`](SlowStreams::end).
#[derive(Debug)]
pub(crate) struct SlowStreams(Vec<Connection>);

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    granting: JoinHandle<()>,
    /// The thread that reads; it returns the number of bytes.
    reading: JoinHandle<u64>,
}

impl SlowStreams {
    /// Requests `path` on each stream.
    pub(crate) fn start(port: u16, path: &str) -> Result<Self> {
        let connect = |number: u16| {
            // So that the pieces of the connections are spread over the pause.
            thread::sleep(PAUSE / u32::from(CONNECTIONS));
            Connection::start(port, path).with_context(|| format!("slow connection {number}"))
        };
        (1..=CONNECTIONS).map(connect).collect::<Result<_>>().map(Self)
    }

    /// Ends the streams, and returns the number of bytes that were read. Fails if the other side has closed a
    /// connection before.
    pub(crate) fn end(self) -> Result<u64> {
        self.0.into_iter().map(Connection::end).sum()
    }
}

impl Connection {
    fn start(port: u16, path: &str) -> Result<Self> {
        let mut stream = exchange::connect(port)?;
        stream.set_read_timeout(None)?;
        let streams = || (0..u32::from(STREAMS)).map(|number| 2 * number + 1);
        let begin = [http2::PREFACE, http2::NO_WINDOW, http2::SETTINGS_ACK, &http2::window_update(0, 1 << 30)].concat();
        let requests: Vec<u8> = streams().flat_map(|number| http2::get(number, path)).collect();
        stream.write_all(&[begin, requests].concat())?;
        let (mut writer, mut reader) = (stream.try_clone()?, stream.try_clone()?);
        let grants: Vec<u8> = streams().flat_map(|number| http2::window_update(number, PIECE)).collect();
        let granting = thread::spawn(move || {
            while writer.write_all(&grants).is_ok() {
                thread::sleep(PAUSE);
            }
        });
        let reading = thread::spawn(move || {
            let (mut buffer, mut bytes) = ([0; 16 * 1024], 0);
            loop {
                match reader.read(&mut buffer) {
                    Ok(0) => return bytes,
                    Ok(count) => bytes += count as u64,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return bytes,
                }
            }
        });
        Ok(Self { stream, granting, reading })
    }

    fn end(self) -> Result<u64> {
        ensure!(!self.reading.is_finished(), "connections of slow streams ended, so that they were no load");
        self.stream.shutdown(Shutdown::Both).context("ending slow streams")?;
        self.granting.join().expect("grants do not panic");
        let bytes = self.reading.join().expect("reads do not panic");
        ensure!(bytes > u64::from(STREAMS) * u64::from(PIECE), "slow streams received only {bytes} bytes");
        Ok(bytes)
    }
}

//! One client that sends small HTTP/2 frames as fast as they are accepted.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, ensure};

use crate::load::{exchange, http2};

/// The frames of one write: about 64 KiB.
const AT_ONCE: usize = 7281;

/// A flood on a connection of its own, which lasts until [`end`](Flood::end).
#[derive(Debug)]
pub(crate) struct Flood {
    stream: TcpStream,
    flooding: JoinHandle<u64>,
}

impl Flood {
    pub(crate) fn start(port: u16) -> Result<Self> {
        let mut stream = exchange::connect(port)?;
        stream.write_all(&[http2::PREFACE, http2::SETTINGS, http2::SETTINGS_ACK].concat())?;
        let mut writer = stream.try_clone()?;
        let flooding = thread::spawn(move || {
            let frames = http2::UNKNOWN.repeat(AT_ONCE);
            let mut written = 0;
            while writer.write_all(&frames).is_ok() {
                written += AT_ONCE as u64;
            }
            written
        });
        Ok(Self { stream, flooding })
    }

    /// Ends the flood, and returns the number of its frames. Fails if the other side has closed the connection before.
    pub(crate) fn end(self) -> Result<u64> {
        ensure!(!self.flooding.is_finished(), "the connection of the flood ended, so that it was no load");
        self.stream.shutdown(Shutdown::Both).context("ending the flood")?;
        Ok(self.flooding.join().expect("the flood does not panic"))
    }
}

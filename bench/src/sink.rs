//! The app of the upload rows: it reads whole request bodies and then answers. (nginx answers before it has read them,
//! which wrk does not support, and discards them in pieces of 4 KiB.)

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context as _, Result, ensure};

use crate::load::http2;

/// The most bytes of one read.
const BUFFER: usize = 256 * 1024;

/// Serves on a loopback port until this process ends, with a thread for each connection. Returns the port.
pub(crate) fn start() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("binding the sink")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that closes early reports that itself.
            thread::spawn(move || serve(stream).ok());
        }
    });
    Ok(port)
}

/// Starts an HTTP/2 app that reads every frame and sends nothing but SETTINGS. Returns the port.
pub(crate) fn start_http2() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("binding the sink of frames")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || swallow(stream).ok());
        }
    });
    Ok(port)
}

fn swallow(mut stream: TcpStream) -> Result<()> {
    stream.write_all(&[http2::SETTINGS, http2::SETTINGS_ACK].concat())?;
    std::io::copy(&mut stream, &mut std::io::sink())?;
    Ok(())
}

fn serve(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(BUFFER, stream.try_clone()?);
    while let Some(length) = head(&mut reader)? {
        discard(&mut reader, length)?;
        // The response of every other row: 128 bytes.
        let body = [b'x'; 128];
        stream.write_all(&[b"HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\n".as_slice(), &body].concat())?;
    }
    Ok(())
}

/// Reads a request head and returns the length of the body; `None` at the end of the connection.
fn head(reader: &mut BufReader<TcpStream>) -> Result<Option<usize>> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            return Ok(Some(length));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
}

fn discard(reader: &mut BufReader<TcpStream>, mut length: usize) -> Result<()> {
    while length > 0 {
        let there = reader.fill_buf()?.len().min(length);
        ensure!(there > 0, "the connection ended within a body");
        reader.consume(there);
        length -= there;
    }
    Ok(())
}

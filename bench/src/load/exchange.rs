//! One exchange with a response of 128 bytes, for the benchmark's own clients.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::load::http2;
use crate::peer::Protocol;

/// The request of the benchmark's own clients.
pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
/// The length of the app's response body, in bytes.
const BODY: usize = 128;
/// Longer than a response with all fields that proxies add, in bytes.
pub(crate) const ANSWER_LIMIT: usize = 4096;

/// Connects to a port of loopback.
pub(crate) fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// Sends one request on a blocking connection, and reads the whole response.
pub(crate) fn exchange(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(REQUEST)?;
    let mut answer = [0; ANSWER_LIMIT];
    let mut length = 0;
    while !is_complete(&answer[..length])? {
        match stream.read(&mut answer[length..])? {
            0 => bail!("the connection ended within the response"),
            more => length += more,
        }
    }
    Ok(())
}

/// Connects and plays one exchange. Returns the connection, which can carry more of them in HTTP/1.1.
pub(crate) fn once(protocol: Protocol, port: u16) -> Result<TcpStream> {
    let mut stream = connect(port)?;
    match protocol {
        Protocol::Http1 => exchange(&mut stream)?,
        Protocol::Http2 => exchange_http2(&mut stream)?,
    }
    Ok(stream)
}

/// Sends a request on a new connection, and reads up to the first fields of the response.
fn exchange_http2(stream: &mut TcpStream) -> Result<()> {
    // GET, http, /, and an authority, with END_STREAM on stream 1.
    const HEADERS: &[u8] = b"\x00\x00\x0a\x01\x05\x00\x00\x00\x01\x82\x86\x84\x41\x05bench";
    // The indexed field `:status: 200`.
    const OK: u8 = 0x88;
    stream.write_all(&[http2::PREFACE, http2::SETTINGS, HEADERS].concat())?;
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header)?;
        let mut payload = vec![0; usize::from(u16::from_be_bytes([header[1], header[2]]))];
        stream.read_exact(&mut payload)?;
        match (header[3], payload.first()) {
            (1, Some(&OK)) => return Ok(()),
            (1 | 3 | 7, _) => bail!("a response other than 200: {header:?} {}", payload.escape_ascii()),
            _ => {}
        }
    }
}

/// Returns whether these bytes are a whole response, or an error if its status is not 200.
pub(crate) fn is_complete(answer: &[u8]) -> Result<bool> {
    const GOOD: &[u8] = b"HTTP/1.1 200 ";
    let compared = answer.len().min(GOOD.len());
    if answer[..compared] != GOOD[..compared] {
        bail!("a response other than 200: {}", answer.escape_ascii());
    }
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").map(|position| position + 4);
    match head.map(|head| answer.len() - head) {
        Some(body) if body > BODY => bail!("a response longer than {BODY} bytes: {}", answer.escape_ascii()),
        Some(body) => Ok(body == BODY),
        None if answer.len() == ANSWER_LIMIT => bail!("a response head without an end: {}", answer.escape_ascii()),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_complete_only_at_its_last_byte() {
        let answer = [b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n".as_slice(), &[b'x'; BODY]].concat();
        for cut in 0..answer.len() {
            assert!(!is_complete(&answer[..cut]).unwrap(), "cut at {cut}");
        }
        assert!(is_complete(&answer).unwrap());
        assert!(is_complete(&[&answer[..], b"y"].concat()).is_err());
    }

    #[test]
    fn a_status_other_than_200_is_an_error() {
        assert!(is_complete(b"HTTP/1.1 5").is_err());
        assert!(is_complete(b"HTTP/1.1 400 Bad Request\r\n\r\n").is_err());
    }
}

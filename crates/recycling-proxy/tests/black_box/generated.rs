//! Valid messages, generated from a seed: the same seed yields the same messages.

use std::fmt::Write as _;

use crate::exchange::{Exchange, interim};

/// A source of exchanges.
pub(crate) struct Generator {
    random: fastrand::Rng,
}

/// The body of a message.
enum Body {
    None,
    Length(Vec<u8>),
    Chunked(Vec<u8>),
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed) }
    }

    /// Returns an exchange after which the connection stays open.
    pub(crate) fn exchange(&mut self) -> Exchange {
        let method = self.one_of(&["GET", "POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "x"]);
        let mut request = format!("{method} /{} HTTP/1.1\r\n", self.word(40)).into_bytes();
        let host = self.one_of(&["Host: a\r\n", "host:a:80\r\n", "HOST: \t[::1]\r\n"]);
        self.fields(&mut request);
        request.extend_from_slice(host.as_bytes());
        let body = self.body();
        self.finish(&mut request, body);

        let interim = interim(self.random.usize(..4));
        let status = self.random.u16(200..600);
        let reason = self.word(20);
        let mut response = format!("{interim}HTTP/1.1 {status} {reason}\r\n").into_bytes();
        self.fields(&mut response);
        let body = match status {
            204 | 304 => Body::None,
            _ => match self.body() {
                Body::None => Body::Length(Vec::new()),
                body => body,
            },
        };
        self.finish(&mut response, body);
        Exchange::new("generated", request, response)
    }

    /// Splits the bytes into pieces: few if they are long, because each costs a pause.
    pub(crate) fn pieces<'a>(&mut self, message: &'a [u8]) -> Vec<&'a [u8]> {
        let mut cuts: Vec<usize> = (0..self.random.usize(..6)).map(|_| self.random.usize(..message.len())).collect();
        cuts.extend([0, message.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|cut| &message[cut[0]..cut[1]]).filter(|piece| !piece.is_empty()).collect()
    }

    fn fields(&mut self, head: &mut Vec<u8>) {
        for _ in 0..self.random.usize(..12) {
            let name = self.one_of(&[
                "X-A",
                "x-b",
                "Accept",
                "COOKIE",
                "Set-Cookie",
                "Keep-Alive",
                "x!#$%&'*+-.^_`|~",
                "Connection",
            ]);
            head.extend_from_slice(name.as_bytes());
            head.push(b':');
            let space = self.one_of(&["", " ", "\t", "  \t "]);
            head.extend_from_slice(space.as_bytes());
            // Made-up options only: `close` would end the connection.
            let value = if name == "Connection" { "x-option".into() } else { self.value() };
            head.extend_from_slice(&value);
            head.extend_from_slice(space.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
    }

    /// Returns a field value of visible characters, spaces and obs-text (RFC 9110 §5.5).
    fn value(&mut self) -> Vec<u8> {
        let length = if self.random.u8(..20) == 0 { 9_000 } else { self.random.usize(..60) };
        let random = std::iter::repeat_with(|| self.random.u8(..));
        random.filter(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..)).take(length).collect()
    }

    fn body(&mut self) -> Body {
        let length = self.one_of(&[0, 1, 2, 17, 300, 5_000, 70_000]);
        let bytes: Vec<u8> = std::iter::repeat_with(|| self.random.u8(..)).take(length).collect();
        match self.random.u8(..3) {
            0 => Body::None,
            1 => Body::Length(bytes),
            _ => Body::Chunked(bytes),
        }
    }

    /// Ends the head and adds the body.
    fn finish(&mut self, message: &mut Vec<u8>, body: Body) {
        match body {
            Body::None => message.extend_from_slice(b"\r\n"),
            Body::Length(bytes) => {
                message.extend_from_slice(format!("Content-Length: {}\r\n\r\n", bytes.len()).as_bytes());
                message.extend_from_slice(&bytes);
            }
            Body::Chunked(bytes) => {
                message.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                self.chunks(message, &bytes);
            }
        }
    }

    fn chunks(&mut self, message: &mut Vec<u8>, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (chunk, rest) = bytes.split_at(self.random.usize(1..=bytes.len()));
            let extension = self.one_of(&["", "", ";a", ";a=b", ";a=\"b;\\\"c\""]);
            let size = if self.random.bool() { format!("{:X}", chunk.len()) } else { format!("{:04x}", chunk.len()) };
            message.extend_from_slice(format!("{size}{extension}\r\n").as_bytes());
            message.extend_from_slice(chunk);
            message.extend_from_slice(b"\r\n");
            bytes = rest;
        }
        let trailers = (0..self.random.usize(..3)).fold(String::new(), |mut all, n| {
            let _ = write!(all, "X-Trailer-{n}: {}\r\n", self.word(10));
            all
        });
        message.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    }

    fn word(&mut self, longest: usize) -> String {
        let length = self.random.usize(..longest);
        std::iter::repeat_with(|| self.random.alphanumeric()).take(length).collect()
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.usize(..choices.len())]
    }
}

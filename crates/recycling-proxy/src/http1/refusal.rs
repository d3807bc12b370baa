//! The proxy's own responses, for messages that are not forwarded.

use super::fault::Fault;

/// Why the proxy responds instead of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The client's message has a fault.
    Client(Fault),
    /// The app's message has a fault.
    App(Fault),
    /// The request is incomplete, and the connection is evicted.
    NoRoom,
}

impl Refusal {
    /// Returns the complete response, which has `Connection: close` and says whose fault it was.
    pub(crate) fn response(self) -> Vec<u8> {
        let (status, whose, what) = match self {
            Self::Client(fault @ Fault::HeadTooLong) => {
                ("431 Request Header Fields Too Large", "the request was not forwarded", fault.sentence())
            }
            Self::Client(fault @ Fault::SlowHead) => {
                ("408 Request Timeout", "the request was not forwarded", fault.sentence())
            }
            Self::NoRoom => (
                "503 Service Unavailable",
                "the request was not forwarded",
                "The proxy is at its limit of memory or connections, and the request was not complete.",
            ),
            Self::Client(fault) => ("400 Bad Request", "the request was not forwarded", fault.sentence()),
            Self::App(fault) => ("502 Bad Gateway", "the app's response was not forwarded", fault.sentence()),
        };
        let body = format!("recycling-proxy: {whose}. {what}\n");
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n");
        format!("{head}Connection: close\r\n\r\n{body}").into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::head::{Method, ResponseHead};

    #[test]
    fn refusals_are_well_formed_and_say_whose_fault() {
        for (refusal, status, whose) in [
            (Refusal::Client(Fault::BadChunk), "400", "the request"),
            (Refusal::Client(Fault::HeadTooLong), "431", "the request"),
            (Refusal::App(Fault::BadChunk), "502", "the app's response"),
            (Refusal::Client(Fault::SlowHead), "408", "the request"),
            (Refusal::NoRoom, "503", "the request"),
        ] {
            let text = String::from_utf8(refusal.response()).unwrap();
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")) && text.contains(whose), "{text}");
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let parsed = ResponseHead::parse(format!("{head}\r\n\r\n").as_bytes(), Method::Other).unwrap();
            let mut length = super::super::body::Body::length(body.len() as u64);
            assert_eq!(parsed, ResponseHead::Final { persistent: false, body: length });
            assert_eq!(length.advance(body.as_bytes()), Ok(body.len()));
        }
    }
}

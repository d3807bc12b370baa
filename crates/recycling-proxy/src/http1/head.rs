//! Message heads: parsed by httparse, and then checked more strictly.

use httparse::{EMPTY_HEADER, Header, ParserConfig, Status};

use super::body::Body;
use super::fault::Fault;
use super::fields::{Fields, is_token};
use crate::relay::source::Source;

/// The number of fields that are parsed without an allocation. A head may have any number.
const USUAL_FIELDS: usize = 64;

/// The parts of a request head that the relay needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The effect of the method on the response's framing.
    pub method: Method,
    /// Whether the client's side of the connection persists after this request (RFC 9112 §9.3).
    pub persistent: bool,
    /// The body that follows.
    pub body: Body,
    /// Whether the request has an Upgrade field.
    pub offers_upgrade: bool,
    /// The source of the request.
    pub source: Source,
}

/// The methods that change the framing of responses (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// No response has a body.
    Head,
    /// A 2xx response begins a tunnel.
    Connect,
    /// All others.
    Other,
}

/// The parts of a response head that the relay needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseHead {
    /// 1xx except 101; the final response follows.
    Interim,
    /// 101, or 2xx to CONNECT; the connection becomes a tunnel.
    Tunnel,
    /// The final response.
    Final {
        /// Whether the app's side of the connection persists after this response (RFC 9112 §9.3).
        persistent: bool,
        /// The body that follows.
        body: Body,
    },
}

impl RequestHead {
    /// Parses a complete head, its empty line included.
    pub fn parse(head: &[u8]) -> Result<Self, Fault> {
        match in_ascii(head) {
            Some(ascii) => Self::parse_ascii(&ascii),
            None => Self::parse_ascii(head),
        }
    }

    /// Parses a head whose request line is ASCII.
    fn parse_ascii(head: &[u8]) -> Result<Self, Fault> {
        with_fields(|fields| {
            let mut request = httparse::Request::new(&mut []);
            let parsed = ParserConfig::default().parse_request_with_uninit_headers(&mut request, head, fields);
            if !is_complete(parsed)? {
                return Ok(None);
            }
            let target = request.path.unwrap_or_default();
            if !target.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(Fault::BadTarget);
            }
            let fields = Fields::read(request.headers)?;
            let version_11 = request.version == Some(1);
            fields.check_host(version_11)?;
            let body = match (fields.chunked, fields.length) {
                (true, _) if !version_11 => return Err(Fault::BadTransferEncoding),
                (true, _) => Body::chunked(),
                (false, Some(length)) => Body::length(length),
                (false, None) => Body::none(),
            };
            let method = match request.method {
                Some("HEAD") => Method::Head,
                Some("CONNECT") => Method::Connect,
                Some(_) | None => Method::Other,
            };
            let persistent = persists(fields, version_11);
            Ok(Some(Self { method, persistent, body, offers_upgrade: fields.upgrades > 0, source: fields.source }))
        })
    }
}

/// Returns the head with ASCII characters in place of the others in its target; `None` if the target is ASCII.
///
/// A URI is ASCII, and a server should reject others (RFC 9112 §3.2). But clients send targets in UTF-8 and Latin-1,
/// and servers accept them. Such characters delimit neither words nor messages, so they cannot be used for request
/// smuggling.
fn in_ascii(head: &[u8]) -> Option<Vec<u8>> {
    let start = head.iter().position(|b| !matches!(b, b'\r' | b'\n'))?;
    let line = head.get(start..)?.split(|b| *b == b'\r').next()?;
    if line.is_ascii() {
        return None;
    }
    // The method stays as it is: it must be ASCII.
    let target = start.saturating_add(line.iter().position(|b| *b == b' ')?);
    let mut ascii = head.to_vec();
    for byte in ascii.get_mut(target..start.saturating_add(line.len()))?.iter_mut().filter(|byte| !byte.is_ascii()) {
        *byte = b'_';
    }
    Some(ascii)
}

impl ResponseHead {
    /// Parses a complete head, its empty line included, as the response to a request with `method`.
    pub fn parse(head: &[u8], method: Method) -> Result<Self, Fault> {
        with_fields(|fields| {
            let mut response = httparse::Response::new(&mut []);
            let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, head, fields);
            if !is_complete(parsed)? {
                return Ok(None);
            }
            let version_11 = response.version == Some(1);
            let code = response.code.unwrap_or_default();
            let bodiless = method == Method::Head || matches!(code, 100..=199 | 204 | 304);
            let fields =
                if bodiless { Fields::without_framing(response.headers) } else { Fields::read(response.headers)? };
            if fields.chunked && !version_11 {
                return Err(Fault::BadTransferEncoding);
            }
            let read = match (method, code) {
                (_, 101) | (Method::Connect, 200..=299) => Self::Tunnel,
                (_, 100..=199) => Self::Interim,
                // Recipients differ in whether these are interim or final.
                (_, 0..=99) => return Err(Fault::MalformedHead),
                (method, code) => {
                    Self::Final { persistent: persists(fields, version_11), body: response_body(method, code, fields) }
                }
            };
            Ok(Some(match read {
                // No response can follow a body that is delimited by the end of the connection.
                Self::Final { body, .. } if body.ends_with_connection() => Self::Final { persistent: false, body },
                Self::Interim | Self::Tunnel | Self::Final { .. } => read,
            }))
        })
    }
}

/// Returns the head without white space between field names and colons, which a proxy must remove from a response (RFC
/// 9112 §5.1); `None` if there is none.
pub(super) fn without_space_before_colons(head: &[u8]) -> Option<Vec<u8>> {
    let mut edited = Vec::with_capacity(head.len());
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let name = line.iter().take_while(|byte| is_token(**byte)).count();
        let (name, rest) = line.split_at_checked(name)?;
        let space = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        // Empty and folded lines have no name, and the status line has no colon after its first word.
        let behind = rest.get(space..).filter(|behind| !name.is_empty() && behind.starts_with(b":"));
        edited.extend_from_slice(name);
        edited.extend_from_slice(behind.unwrap_or(rest));
    }
    (edited.len() < head.len()).then_some(edited)
}

/// Returns the body of a final response (RFC 9112 §6.3).
fn response_body(method: Method, code: u16, fields: Fields) -> Body {
    match (method, code, fields.chunked, fields.length) {
        (Method::Head, ..) | (_, 204 | 304, ..) => Body::none(),
        (_, _, true, _) => Body::chunked_response(),
        (_, _, false, Some(length)) => Body::length(length),
        (_, _, false, None) => Body::until_end_of_connection(),
    }
}

/// Returns whether the connection persists (RFC 9112 §9.3).
fn persists(fields: Fields, version_11: bool) -> bool {
    !fields.close && (version_11 || fields.keep_alive)
}

/// Calls `parse` with room for fields, and with more until it does not return `None`, which means that there was too
/// little.
fn with_fields<'h, T>(
    mut parse: impl FnMut(&mut [std::mem::MaybeUninit<Header<'h>>]) -> Result<Option<T>, Fault>,
) -> Result<T, Fault> {
    let mut usual = [const { std::mem::MaybeUninit::uninit() }; USUAL_FIELDS];
    if let Some(parsed) = parse(&mut usual)? {
        return Ok(parsed);
    }
    let mut room = USUAL_FIELDS;
    loop {
        room = room.saturating_mul(8);
        let mut many = vec![std::mem::MaybeUninit::new(EMPTY_HEADER); room];
        if let Some(parsed) = parse(&mut many)? {
            return Ok(parsed);
        }
    }
}

/// Returns whether the parse is complete; `false` if the head has more fields than there was room for.
fn is_complete(parsed: httparse::Result<usize>) -> Result<bool, Fault> {
    match parsed {
        Ok(Status::Complete(_)) => Ok(true),
        Err(httparse::Error::TooManyHeaders) => Ok(false),
        // The end of the head was found before, so "partial" means that a line is incomplete.
        Ok(Status::Partial) | Err(_) => Err(Fault::MalformedHead),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(head: &str) -> Result<RequestHead, Fault> {
        RequestHead::parse(head.replace('\n', "\r\n").as_bytes())
    }

    fn response(head: &str, method: Method) -> Result<ResponseHead, Fault> {
        ResponseHead::parse(head.replace('\n', "\r\n").as_bytes(), method)
    }

    fn last(body: Body) -> ResponseHead {
        ResponseHead::Final { persistent: false, body }
    }

    fn more(body: Body) -> ResponseHead {
        ResponseHead::Final { persistent: true, body }
    }

    #[test]
    fn request_heads_determine_method_persistence_and_body() {
        for (head, method, persistent, body) in [
            ("GET / HTTP/1.1\nHost: a\n\n", Method::Other, true, Body::none()),
            ("\nGET / HTTP/1.1\nHost: a\n\n", Method::Other, true, Body::none()),
            ("HEAD / HTTP/1.1\nHost: a\nConnection: x, close\n\n", Method::Head, false, Body::none()),
            ("head / HTTP/1.0\nConnection: keep-alive\n\n", Method::Other, true, Body::none()),
            ("CONNECT a:1 HTTP/1.0\n\n", Method::Connect, false, Body::none()),
            ("POST * HTTP/1.1\nHost:\nContent-Length: 3\n\n", Method::Other, true, Body::length(3)),
            ("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n", Method::Other, true, Body::chunked()),
        ] {
            assert_eq!(
                request(head),
                Ok(RequestHead { method, persistent, body, offers_upgrade: false, source: Source::Client }),
                "{head}"
            );
        }
    }

    #[test]
    fn targets_beyond_ascii_are_accepted() {
        for target in [&b"/caf\xc3\xa9"[..], b"/caf\xe9", b"http://a/\xff?\x85\xa0", b"\xe2\x82\xac"] {
            for empty_line in [&b""[..], b"\r\n"] {
                let head = [empty_line, b"GET ", target, b" HTTP/1.1\r\nHost: a\r\nX: \xe9\r\n\r\n"].concat();
                assert!(RequestHead::parse(&head).is_ok(), "{}", head.escape_ascii());
            }
        }
    }

    #[test]
    fn an_upgrade_field_is_an_offer() {
        assert!(request("GET / HTTP/1.1\nHost: a\nuPGRADE: a\n\n").unwrap().offers_upgrade);
        assert!(!request("GET / HTTP/1.1\nHost: a\nConnection: Upgrade\n\n").unwrap().offers_upgrade);
    }

    #[test]
    fn malformed_request_heads_are_refused() {
        for (head, fault) in [
            ("GET /\n\n", Fault::MalformedHead),
            ("GET / HTTP/1.1 \n\n", Fault::MalformedHead),
            ("GET  / HTTP/1.1\n\n", Fault::MalformedHead),
            ("GET / HTTP/2.0\n\n", Fault::MalformedHead),
            ("GET / HTTP/1.2\n\n", Fault::MalformedHead),
            ("GET / http/1.1\n\n", Fault::MalformedHead),
            ("G(T / HTTP/1.1\n\n", Fault::MalformedHead),
            ("GET / HTTP/1.1\nHost : a\n\n", Fault::MalformedHead),
            ("GET / HTTP/1.1\nHost: a\n b\n\n", Fault::MalformedHead),
            ("GET / HTTP/1.1\n Host: a\n\n", Fault::MalformedHead),
            ("GET / HTTP/1.1\nHost\n\n", Fault::MalformedHead),
            ("GET / HTTP/1.1\n: a\n\n", Fault::MalformedHead),
            ("GET / HTTP/1.1\nX: a\0b\n\n", Fault::MalformedHead),
            ("G\u{e9}T / HTTP/1.1\nHost: a\n\n", Fault::MalformedHead),
            ("GET / HTTP/1.\u{661}\nHost: a\n\n", Fault::MalformedHead),
            ("GET /\u{7f} HTTP/1.1\nHost: a\n\n", Fault::MalformedHead),
            ("GET / HTTP/1.1\nHost: a\nHost: b\n\n", Fault::BadHost),
            ("GET / HTTP/1.0\nTransfer-Encoding: chunked\n\n", Fault::BadTransferEncoding),
            ("GET / HTTP/1.1\nX: y\n\n", Fault::BadHost),
            ("\n\n", Fault::MalformedHead),
        ] {
            assert_eq!(request(head), Err(fault), "{head:?}");
        }
    }

    #[test]
    fn response_heads_determine_what_follows() {
        let other = Method::Other;
        assert_eq!(response("HTTP/1.1 200 OK\nContent-Length: 2\n\n", other), Ok(more(Body::length(2))));
        assert_eq!(response("HTTP/1.1 200\nContent-Length: 2\n\n", other), Ok(more(Body::length(2))));
        let chunked = Body::chunked_response();
        assert_eq!(response("HTTP/1.1 200 \nTransfer-Encoding: chunked\n\n", other), Ok(more(chunked)));
        assert_eq!(
            response("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\n", other),
            Ok(last(Body::length(2)))
        );
        assert_eq!(response("HTTP/1.0 200 OK\nContent-Length: 2\n\n", other), Ok(last(Body::length(2))));
        assert_eq!(response("HTTP/1.1 200 OK\n\n", other), Ok(last(Body::until_end_of_connection())));
        assert_eq!(response("HTTP/1.1 204 No Content\nContent-Length: 2\n\n", other), Ok(more(Body::none())));
        assert_eq!(response("HTTP/1.1 304 Not Modified\nContent-Length: 2\n\n", other), Ok(more(Body::none())));
        assert_eq!(response("HTTP/1.1 200 OK\nContent-Length: 2\n\n", Method::Head), Ok(more(Body::none())));
        assert_eq!(response("HTTP/1.1 200 OK\n\n", Method::Head), Ok(more(Body::none())));
    }

    #[test]
    fn interim_responses_and_tunnels_are_recognized_by_status_and_method() {
        for code in [100, 102, 103, 199] {
            assert_eq!(response(&format!("HTTP/1.1 {code} x\n\n"), Method::Other), Ok(ResponseHead::Interim));
        }
        assert_eq!(response("HTTP/1.1 101 Switching Protocols\n\n", Method::Other), Ok(ResponseHead::Tunnel));
        assert_eq!(response("HTTP/1.1 200 OK\nContent-Length: 5\n\n", Method::Connect), Ok(ResponseHead::Tunnel));
        assert_eq!(response("HTTP/1.1 403 No\nContent-Length: 0\n\n", Method::Connect), Ok(more(Body::length(0))));
    }

    #[test]
    fn malformed_response_heads_are_refused() {
        for (head, fault) in [
            ("HTTP/1.1 20 OK\n\n", Fault::MalformedHead),
            ("HTTP/1.1 2000 OK\n\n", Fault::MalformedHead),
            ("HTTP/1.1 099 OK\n\n", Fault::MalformedHead),
            ("ICY 200 OK\n\n", Fault::MalformedHead),
            ("HTTP/1.1 200 OK\nX : y\n\n", Fault::MalformedHead),
            ("HTTP/1.1 200 OK\nX: y\n z : z\n\n", Fault::MalformedHead),
            ("HTTP/1.1 200 OK\nTransfer-Encoding: identity\n\n", Fault::BadTransferEncoding),
            ("HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n", Fault::BadTransferEncoding),
        ] {
            assert_eq!(response(head, Method::Other), Err(fault), "{head:?}");
        }
    }

    /// Every recipient ends them with their head.
    #[test]
    fn framing_fields_of_a_response_without_a_body_are_not_checked() {
        for fields in [
            "Content-Length: 5\nTransfer-Encoding: chunked\n",
            "Content-Length: 5\nContent-Length: 6\n",
            "Content-Length: x\n",
            "Transfer-Encoding: identity\n",
        ] {
            for (code, method) in [(200, Method::Head), (404, Method::Head), (204, Method::Other), (304, Method::Other)]
            {
                let head = format!("HTTP/1.1 {code} x\n{fields}\n");
                assert_eq!(response(&head, method), Ok(more(Body::none())), "{head}");
                let head = format!("HTTP/1.1 {code} x\nConnection: close\n{fields}\n");
                assert_eq!(response(&head, method), Ok(last(Body::none())), "{head}");
            }
            assert_eq!(response(&format!("HTTP/1.1 103 x\n{fields}\n"), Method::Other), Ok(ResponseHead::Interim));
            assert!(response(&format!("HTTP/1.1 200 x\n{fields}\n"), Method::Other).is_err(), "{fields}");
        }
    }

    #[test]
    fn only_space_before_colons_is_removed() {
        let edit =
            |head: &str| without_space_before_colons(head.as_bytes()).map(|head| String::from_utf8(head).unwrap());
        for (head, edited) in [
            (
                "HTTP/1.1 200 a : b\r\nX-A : b : c\r\nY\t \t:\r\nZ: z :\r\n\r\n",
                "HTTP/1.1 200 a : b\r\nX-A: b : c\r\nY:\r\nZ: z :\r\n\r\n",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
        ] {
            assert_eq!(edit(head).as_deref(), Some(edited));
        }
        for head in [
            "HTTP/1.1 200 OK\r\nX: y\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: y\r\n Z : z\r\n\r\n",
            "HTTP/1.1 200 OK\r\n : z\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX Y : z\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX\u{b}: z\r\n\r\n",
        ] {
            assert_eq!(edit(head), None, "{head:?}");
        }
    }

    #[test]
    fn heads_may_have_any_number_of_fields() {
        for count in [63, 64, 65, 512, 513, 10_000] {
            let fields = "x: y\n".repeat(count - 2);
            let head = format!("POST / HTTP/1.1\nHost: a\n{fields}Content-Length: 9\n\n");
            assert_eq!(request(&head).unwrap().body, Body::length(9), "{count}");
        }
    }
}

//! Whole exchanges, against a second opinion: hyper, which frames by code of its own.
//!
//! Input: one byte that says who is heard and, for an app, what method it answers; then the bytes of that side.

mod hyper_client;
mod hyper_server;
mod wire;

use recycling_proxy::fuzzing::Buffer;
use recycling_proxy::fuzzing::http1::Body;
use recycling_proxy::fuzzing::http1::Conversation;
use recycling_proxy::fuzzing::http1::HeadEnd;
use recycling_proxy::fuzzing::http1::{Method, RequestHead, ResponseHead};
use retirement::{ConnectionState, Limits};
use settings::{Jitter, MaxRequests};
use std::time::Duration;

use crate::wire::{pass, put};

/// Longer than any head or body that a fuzzer makes.
const LONGEST: usize = 64 * 1024;
/// The answer to every request.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A message as a reader has understood it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The method of a request, the status of a response.
    pub(crate) what: String,
    /// How many field lines its head has.
    pub(crate) fields: usize,
    pub(crate) body: Content,
}

/// The body of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// All of it, its coding undone.
    Whole(Vec<u8>),
    /// More must come.
    Begun,
    /// It is not accepted; of hyper, also that more must come.
    Refused,
}

/// Where both accept a message, it has the same method or status, as many fields and the same body, so that it ends at
/// the same byte; and so have all messages before it on the connection. That holds of what a client sends, and of what
/// an app sees of it where that is not the same; in which there is nothing left to edit.
///
/// # Panics
/// Where that does not hold.
pub fn check(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    if bytes.len() > LONGEST {
        return;
    }
    match choice % 3 {
        0 => {
            let passed = compare(bytes);
            if !bytes.starts_with(&passed) {
                assert_eq!(compare(&passed), passed, "edited a second time: {}", bytes.escape_ascii());
            }
        }
        choice => {
            let (name, method) = if choice == 1 { ("GET", Method::Other) } else { ("HEAD", Method::Head) };
            if let (Some(ours), Some(theirs)) = (response(name, method, bytes), hyper_client::response(name, bytes)) {
                ours.agrees_with(&theirs, bytes);
            }
        }
    }
}

/// Compares the requests, and returns what passes of them.
fn compare(bytes: &[u8]) -> Vec<u8> {
    let (ours, passed) = requests(bytes);
    agree(&ours, &hyper_server::requests(bytes), bytes);
    passed
}

fn agree(ours: &[Message], theirs: &[Message], bytes: &[u8]) {
    for (ours, theirs) in ours.iter().zip(theirs) {
        ours.agrees_with(theirs, bytes);
    }
}

impl Message {
    fn agrees_with(&self, theirs: &Self, bytes: &[u8]) {
        let same_head = (&self.what, self.fields) == (&theirs.what, theirs.fields);
        let same_body = match (&self.body, &theirs.body) {
            (Content::Refused, _) | (_, Content::Refused) => true,
            (ours, theirs) => ours == theirs,
        };
        assert!(same_head && same_body, "{self:?}, but {theirs:?} to hyper: {}", bytes.escape_ascii());
    }
}

/// Returns the requests that pass, with as many fields as were sent, and their bytes; up to one that ends the
/// connection, is a CONNECT or does not come to its end.
fn requests(bytes: &[u8]) -> (Vec<Message>, Vec<u8>) {
    let mut conversation = conversation();
    let (mut from_client, mut from_app) = (Buffer::default(), Buffer::default());
    put(&mut from_client, bytes);
    let (mut messages, mut to_app) = (Vec::new(), Vec::new());
    loop {
        let sent_fields = fields_of_next(from_client.unexamined());
        let (start, started) = (to_app.len(), conversation.requests_started());
        let examined = conversation.examine_request(&mut from_client);
        pass(&mut from_client, &mut to_app);
        if conversation.requests_started() == started {
            return (messages, to_app);
        }
        let request = &to_app[start..];
        let length = HeadEnd::new().find(request).ok().flatten().expect("what has passed has a whole head");
        let (head, body) = request.split_at(length);
        let parsed = RequestHead::parse(head).expect("what has passed parses");
        if parsed.method == Method::Connect {
            return (messages, to_app);
        }
        let whole = conversation.request_is_done();
        let body = content(examined.is_err(), whole, || decoded(parsed.body, body));
        messages.push(Message {
            what: word(head, 0),
            fields: sent_fields.expect("what has passed was sent whole"),
            body,
        });
        if !whole {
            return (messages, to_app);
        }
        put(&mut from_app, ANSWER);
        conversation.examine_response(&mut from_app, !from_client.is_empty(), state).expect("a plain answer");
        pass(&mut from_app, &mut Vec::new());
        conversation.exchange_done(&from_app).expect("nothing else came from the app");
        if conversation.phase().is_final() {
            return (messages, to_app);
        }
    }
}

/// Returns the final response, if there is one and it begins no tunnel.
fn response(request: &str, method: Method, bytes: &[u8]) -> Option<Message> {
    let mut conversation = conversation();
    let (mut from_client, mut from_app) = (Buffer::default(), Buffer::default());
    put(&mut from_client, format!("{request} / HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    conversation.examine_request(&mut from_client).expect("a plain request");
    pass(&mut from_client, &mut Vec::new());
    put(&mut from_app, bytes);
    let mut passed = Vec::new();
    let examined = conversation.examine_response(&mut from_app, false, state);
    pass(&mut from_app, &mut passed);
    let mut rest = passed.as_slice();
    loop {
        let length = HeadEnd::new().find(rest).ok().flatten()?;
        let (head, body) = rest.split_at(length);
        match ResponseHead::parse(head, method).expect("what has passed parses") {
            ResponseHead::Interim => rest = body,
            ResponseHead::Tunnel => return None,
            ResponseHead::Final { body: framing, .. } => {
                let whole = conversation.end_response();
                let body = content(examined.is_err(), whole, || decoded(framing, body));
                return Some(Message { what: word(head, 1), fields: fields(head), body });
            }
        }
    }
}

fn content(refused: bool, whole: bool, body: impl FnOnce() -> Vec<u8>) -> Content {
    match (refused, whole) {
        (true, _) => Content::Refused,
        (false, true) => Content::Whole(body()),
        (false, false) => Content::Begun,
    }
}

fn conversation() -> Conversation {
    let max_requests: MaxRequests = "4294967295".parse().expect("a limit");
    let jitter: Jitter = "0%".parse().expect("a jitter");
    Conversation::new(Limits::draw(max_requests, None, jitter, 0), LONGEST)
}

fn state() -> ConnectionState {
    ConnectionState { age: Duration::ZERO, draining: false, marked: false, uncounted: 0 }
}

/// Returns a word of the start line.
fn word(head: &[u8], number: usize) -> String {
    let line = String::from_utf8_lossy(head);
    line.split([' ', '\r']).nth(number).unwrap_or_default().to_owned()
}

fn fields(head: &[u8]) -> usize {
    // Neither the start line nor the empty line is one.
    head.iter().filter(|byte| **byte == b'\n').count() - 2
}

/// Returns how many the next request has, as it was sent.
fn fields_of_next(mut sent: &[u8]) -> Option<usize> {
    while let [b'\r', b'\n', rest @ ..] = sent {
        sent = rest;
    }
    let length = HeadEnd::new().find(sent).ok()??;
    Some(fields(&sent[..length]))
}

/// Returns a body that has been found whole, without its coding.
fn decoded(framing: Body, body: &[u8]) -> Vec<u8> {
    if framing != Body::chunked() && framing != Body::chunked_response() {
        return body.to_vec();
    }
    let (mut rest, mut data) = (body, Vec::new());
    loop {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = std::str::from_utf8(&rest[..digits]).expect("digits");
        let size = usize::from_str_radix(size, 16).expect("a size that was all there");
        let line = rest.iter().position(|byte| *byte == b'\n').expect("the end of the size's line") + 1;
        if size == 0 {
            return data;
        }
        data.extend_from_slice(&rest[line..line + size]);
        rest = &rest[line + size + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_and_hyper_read_the_same_messages() {
        let request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n";
        let all = [&request[..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        let seen = |what: &str, fields, body: &[u8]| Message {
            what: what.to_owned(),
            fields,
            body: Content::Whole(body.to_vec()),
        };
        let expected = [seen("POST", 2, b"abc"), seen("GET", 1, b"")];
        assert_eq!(requests(&all).0, expected);
        assert_eq!(hyper_server::requests(&all), expected);

        let answer = b"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let expected = Some(seen("200", 1, b"ok"));
        assert_eq!(response("GET", Method::Other, answer), expected);
        assert_eq!(hyper_client::response("GET", answer), expected);
    }

    #[test]
    #[should_panic(expected = "to hyper")]
    fn a_different_reading_is_noticed() {
        let (mut seen, _) = requests(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        seen[0].fields += 1;
        agree(&seen, &hyper_server::requests(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), b"");
    }
}

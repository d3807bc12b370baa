//! Adds the client's address to a request head (`X-Forwarded-For`).

use super::announce::name_and_value;
use super::fault::Fault;
use super::fields::list;
use crate::relay::forwarded_for::{ForwardedFor, NAME};

/// Returns the text to insert into a complete, well-formed request head, and the offset at which it is inserted.
///
/// The address is appended to the last `X-Forwarded-For` line, or added as the last line; all other bytes stay. Lines
/// with the same name are one list (RFC 9110 §5.3), whose last element recipients trust.
///
/// # Errors
/// [`Fault::HiddenAddress`] if some program would read another field instead, or not get this one.
pub(super) fn addition(head: &[u8], client: ForwardedFor) -> Result<(usize, String), Fault> {
    let mut found = None;
    let mut before: usize = 0;
    for line in head.split_inclusive(|b| *b == b'\n') {
        // A request line never has such a name before its first colon.
        let (name, value) = name_and_value(line);
        if name.eq_ignore_ascii_case(NAME.as_bytes()) {
            found = Some((before.saturating_add(name.len()).saturating_add(1), value));
        } else if is_read_as_forwarded_for(name)
            || (name.eq_ignore_ascii_case(b"connection") && list(value).any(is_read_as_forwarded_for))
        {
            return Err(Fault::HiddenAddress);
        }
        before = before.saturating_add(line.len());
    }
    Ok(match found {
        Some((start, value)) => {
            let (at, separator) = behind(value);
            (start.saturating_add(at), format!("{separator}{client}"))
        }
        // Before the empty line.
        None => (head.len().saturating_sub(2), format!("{NAME}: {client}\r\n")),
    })
}

/// Returns whether the name is `X-Forwarded-For`, or some program reads it as that. CGI, WSGI, PHP and Rack turn names
/// into variables: they replace `-` by `_`, PHP also `.`, and some every character that is not a letter.
///
/// `Connection` must not list such a name either, because proxies behind this one would remove the field (RFC 9110
/// §7.6.1).
pub(super) fn is_read_as_forwarded_for(name: &[u8]) -> bool {
    let same = |(byte, ours): (&u8, u8)| is_read_as_byte(*byte, ours);
    name.len() == NAME.len() && name.iter().zip(NAME.bytes()).all(same)
}

/// Returns whether some program reads `byte` of a name as this byte of `X-Forwarded-For`.
pub(super) const fn is_read_as_byte(byte: u8, ours: u8) -> bool {
    match ours {
        b'-' => !byte.is_ascii_alphanumeric(),
        ours => byte.eq_ignore_ascii_case(&ours),
    }
}

/// Returns the offset after the last element of a list, and the separator to insert there, so that the list gets no
/// empty element.
fn behind(value: &[u8]) -> (usize, &'static str) {
    let end = value.iter().rposition(|b| !matches!(b, b' ' | b'\t'));
    match end.and_then(|end| Some((end.saturating_add(1), value.get(end)?))) {
        Some((at, b',')) => (at, " "),
        Some((at, _)) => (at, ", "),
        None if value.is_empty() => (0, " "),
        None => (value.len(), ""),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use settings::{Jitter, MaxRequests};

    use super::*;
    use crate::http1::conversation::Conversation;
    use crate::http1::head::RequestHead;
    use crate::transport::buffer::Buffer;
    use retirement::{ConnectionState, Limits};

    fn told(head: &str, client: &str) -> String {
        let mut head = head.replace('\n', "\r\n");
        let (at, addition) = addition(head.as_bytes(), ForwardedFor::new(client.parse().unwrap())).unwrap();
        head.insert_str(at, &addition);
        RequestHead::parse(head.as_bytes()).unwrap();
        head.replace("\r\n", "\n")
    }

    #[test]
    fn the_clients_address_is_appended_and_nothing_else_changes() {
        for (head, expected) in [
            ("GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 10.0.0.1\n\n"),
            ("\nGET / HTTP/1.0\n\n", "\nGET / HTTP/1.0\nX-Forwarded-For: 10.0.0.1\n\n"),
            (
                "GET / HTTP/1.1\nx-forwarded-FOR:192.0.2.1\nHost: a\n\n",
                "GET / HTTP/1.1\nx-forwarded-FOR:192.0.2.1, 10.0.0.1\nHost: a\n\n",
            ),
            (
                "GET / HTTP/1.1\nX-Forwarded-For: a\nHost: a\nX-Forwarded-For: b, c \t\nZ: z\n\n",
                "GET / HTTP/1.1\nX-Forwarded-For: a\nHost: a\nX-Forwarded-For: b, c, 10.0.0.1 \t\nZ: z\n\n",
            ),
            (
                "GET http://x-forwarded-for:1/ HTTP/1.1\nHost: x-forwarded-for:1\nForwarded: for=b\nXForwardedFor: x\n\n",
                "GET http://x-forwarded-for:1/ HTTP/1.1\nHost: x-forwarded-for:1\nForwarded: for=b\nXForwardedFor: x\nX-Forwarded-For: 10.0.0.1\n\n",
            ),
        ] {
            assert_eq!(told(head, "10.0.0.1"), expected);
        }
    }

    #[test]
    fn the_appended_list_has_no_empty_element() {
        for (value, expected) in [
            ("", " fd00::1"),
            (" ", " fd00::1"),
            ("\t ", "\t fd00::1"),
            (" a,", " a, fd00::1"),
            (" a, ", " a, fd00::1 "),
            (" ,", " , fd00::1"),
        ] {
            let head = |value| format!("GET / HTTP/1.1\nHost: a\nX-Forwarded-For:{value}\n\n");
            assert_eq!(told(&head(value), "fd00::1"), head(expected), "{value:?}");
        }
    }

    #[test]
    fn fields_that_some_program_reads_as_x_forwarded_for_are_refused() {
        let client = ForwardedFor::new("10.0.0.1".parse().unwrap());
        for field in [
            "X_Forwarded_For: a",
            "x-forwarded_FOR: a",
            "X.Forwarded.For: a",
            "X~Forwarded-For: a",
            "Connection: x-forwarded-for",
            "connection: close,\tX-FORWARDED-FOR",
            "Connection: X_Forwarded_For",
        ] {
            for (before, behind) in [("", ""), ("X-Forwarded-For: b\r\n", ""), ("", "X-Forwarded-For: b\r\n")] {
                let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{before}{field}\r\n{behind}\r\n");
                assert_eq!(addition(head.as_bytes(), client), Err(Fault::HiddenAddress), "{head:?}");
            }
        }
        for field in ["X-Forwarded-Foo: a", "XX-Forwarded-For: a", "X0Forwarded-For: a", "Connection: X-Forwarded-Port"]
        {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
            assert!(addition(head.as_bytes(), client).is_ok(), "{head:?}");
        }
    }

    /// Returns the bytes that the app gets if two requests arrive in these pieces, and it responds at once.
    fn passed(pieces: &[&[u8]]) -> Vec<u8> {
        let limits = Limits::draw(MaxRequests::new(9).unwrap(), None, Jitter::NONE, 0);
        let client = ForwardedFor::new("10.0.0.1".parse().unwrap());
        let mut conversation = Conversation::new(limits, 1024).forwarding(Some(client));
        let (mut from_client, mut from_app, mut passed) = (Buffer::default(), Buffer::default(), Vec::new());
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            from_client.receive(piece);
            loop {
                conversation.examine_request(&mut from_client).unwrap();
                passed.extend(from_client.send());
                if !conversation.request_is_done() {
                    break;
                }
                from_app.receive(b"HTTP/1.1 204 No\r\n\r\n");
                let state = || ConnectionState { age: Duration::ZERO, draining: false, marked: false, uncounted: 0 };
                conversation.examine_response(&mut from_app, false, state).unwrap();
                from_app.discard();
                assert!(conversation.exchange_done(&from_app).unwrap());
            }
        }
        passed
    }

    #[test]
    fn the_appended_address_does_not_depend_on_how_requests_are_split() {
        let first = "PUT / HTTP/1.1\r\nHost: a\r\nx-forwarded-for: b\r\nContent-Length: 2\r\n\r\n\r\n";
        let second = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let told =
            [first.replace(": b", ": b, 10.0.0.1"), second.replace("a\r\n", "a\r\nX-Forwarded-For: 10.0.0.1\r\n")];
        let (sent, told) = ([first, second].concat().into_bytes(), told.concat().into_bytes());
        for one in 0..=sent.len() {
            for two in one..=sent.len() {
                let pieces = [&sent[..one], &sent[one..two], &sent[two..]];
                assert!(passed(&pieces) == told, "cut at {one} and {two}: {}", passed(&pieces).escape_ascii());
            }
        }
    }
}

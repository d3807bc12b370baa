//! What passed of a side's bytes, against what it had sent: the edits that the proxy makes, and no others.

use recycling_proxy::fuzzing::http1::HeadEnd;

/// The lines that an offer of HTTP/2 is made of.
const OFFER: &[&[u8]] = &[b"upgrade", b"connection", b"http2-settings"];
/// The lines that say whether a connection persists.
const PERSISTENCE: &[&[u8]] = &[b"connection", b"keep-alive"];

/// Checks what passed of a client's bytes; a request begins at each of `starts`.
///
/// Empty lines before a request are left out. Of a head that offers HTTP/2, the lines of `Upgrade`, `Connection` and
/// `HTTP2-Settings` lose what makes the offer. All else is verbatim.
pub(super) fn check_requests(mut sent: &[u8], passed: &[u8], starts: &[usize]) {
    for request in messages(passed, starts) {
        while let [b'\r', b'\n', rest @ ..] = sent {
            sent = rest;
        }
        let (head, body) = split(request);
        let (sent_head, rest) = split(sent);
        check_request_head(sent_head, head);
        sent = rest.strip_prefix(body).expect("the app saw a body that the client did not send");
    }
}

/// Checks what passed of an app's bytes; what answers another request begins at each of `starts`.
///
/// White space before a field's colon is left out. The last final head has the announcement where there is one. All
/// else is verbatim.
pub(super) fn check_responses(mut sent: &[u8], passed: &[u8], starts: &[usize], is_announced: bool) {
    for (index, mut responses) in messages(passed, starts).enumerate() {
        while !responses.is_empty() {
            let (head, rest) = split(responses);
            let (sent_head, sent_rest) = split(sent);
            let expected = without_space_before_colons(sent_head);
            let is_final = !is_interim(head);
            if is_announced && is_final && index + 1 == starts.len() {
                check_announced(&expected, head);
            } else {
                assert_eq!(head.escape_ascii().to_string(), expected.escape_ascii().to_string(), "a response's head");
            }
            (responses, sent) = (rest, sent_rest);
            if is_final {
                sent = sent.strip_prefix(rest).expect("the client saw a body that the app did not send");
                break;
            }
        }
    }
}

/// Returns the bytes from each start to the next.
fn messages<'p>(passed: &'p [u8], starts: &'p [usize]) -> impl Iterator<Item = &'p [u8]> {
    assert_eq!(starts.first().copied().unwrap_or(passed.len()), 0, "bytes passed before the first request");
    let ends = starts.iter().skip(1).copied().chain([passed.len()]);
    starts.iter().zip(ends).map(|(start, end)| &passed[*start..end])
}

/// Returns a head, and what is behind it.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let length = HeadEnd::new().find(bytes).ok().flatten();
    bytes.split_at(length.unwrap_or_else(|| panic!("passed without a whole head: {}", bytes.escape_ascii())))
}

fn check_request_head(sent: &[u8], passed: &[u8]) {
    let shown = format!("{} became {}", sent.escape_ascii(), passed.escape_ascii());
    let offers = elements(sent, b"upgrade");
    let others: Vec<_> = offers.iter().filter(|offer| !is_http(offer)).copied().collect();
    if others.len() == offers.len() {
        assert!(passed == sent, "{shown}");
        return;
    }
    assert_eq!(lines_but(passed, OFFER), lines_but(sent, OFFER), "{shown}");
    assert_eq!(elements(passed, b"upgrade"), others, "{shown}");
    let mut connection = elements(sent, b"connection");
    connection.retain(|token| {
        let is_settings = token.eq_ignore_ascii_case(b"http2-settings");
        !is_settings && (!token.eq_ignore_ascii_case(b"upgrade") || !others.is_empty())
    });
    assert_eq!(elements(passed, b"connection"), connection, "{shown}");
    assert_eq!(lines_but(passed, &[b"http2-settings"]), lines_but(passed, &[]), "{shown}");
}

fn check_announced(expected: &[u8], passed: &[u8]) {
    let shown = format!("{} became {}", expected.escape_ascii(), passed.escape_ascii());
    assert_eq!(lines_but(passed, PERSISTENCE), lines_but(expected, PERSISTENCE), "{shown}");
    let mut connection = elements(expected, b"connection");
    connection.retain(|token| !token.eq_ignore_ascii_case(b"keep-alive") && !token.eq_ignore_ascii_case(b"close"));
    connection.push(b"close");
    assert_eq!(elements(passed, b"connection"), connection, "{shown}");
}

/// 1xx but not 101.
fn is_interim(head: &[u8]) -> bool {
    let status = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    status.starts_with(b"1") && !status.starts_with(b"101")
}

/// Returns what a lenient server could take for an offer of HTTP: it begins with the name, and a version follows if
/// anything.
fn is_http(offer: &[u8]) -> bool {
    let is_read = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(byte);
    let read: Vec<u8> = offer.iter().filter(|byte| is_read(byte)).map(u8::to_ascii_lowercase).collect();
    let name = read.split(|byte| b"/-".contains(byte)).next().unwrap_or_default();
    matches!(name, b"h2c" | b"h2" | b"http")
}

/// Returns the elements of the lists of all lines of this name.
fn elements<'h>(head: &'h [u8], name: &[u8]) -> Vec<&'h [u8]> {
    let fields = head.split(|byte| *byte == b'\n').filter_map(field);
    let values = fields.filter(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    values
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|e| !e.is_empty())
        .collect()
}

/// Returns all lines but the fields of these names.
fn lines_but<'h>(head: &'h [u8], names: &[&[u8]]) -> Vec<&'h [u8]> {
    let is_named =
        |line: &[u8]| field(line).is_some_and(|(of, _)| names.iter().any(|name| of.eq_ignore_ascii_case(name)));
    head.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_named(line)).collect()
}

/// Name and value of a line that has a colon. What a start line has before one is no name: it has a space.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], &line[colon + 1..]))
}

fn without_space_before_colons(head: &[u8]) -> Vec<u8> {
    let mut without = Vec::new();
    for (index, line) in head.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match field(line) {
            Some((name, value)) if index > 0 => {
                let end = name.iter().rposition(|byte| !b" \t".contains(byte)).map_or(0, |last| last + 1);
                without.extend_from_slice(&[&name[..end], b":", value].concat());
            }
            Some(_) | None => without.extend_from_slice(line),
        }
    }
    without
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] =
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, x\r\nUpgrade: h2c\r\nX : y\r\n\r\nX : y\r\n";
    const RESPONSE: &[u8] = b"HTTP/1.1 103 E\r\nX : y\r\n\r\nHTTP/1.1 200 OK\r\nX : y\r\n\r\nX : y\r\n";
    const ANNOUNCED: &[u8] =
        b"HTTP/1.1 103 E\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\n\r\nX : y\r\n";

    fn replaced(text: &[u8], from: &str, to: &str) -> Vec<u8> {
        String::from_utf8_lossy(text).replacen(from, to, 1).into_bytes()
    }

    #[test]
    fn allowed_edits_pass() {
        let offer = "Connection: upgrade, x\r\nUpgrade: h2c\r\n";
        check_requests(&[b"\r\n\r\n", REQUEST].concat(), &replaced(REQUEST, offer, "Connection: x\r\n"), &[0]);
        check_responses(RESPONSE, ANNOUNCED, &[0], true);
        check_responses(RESPONSE, &replaced(ANNOUNCED, "Connection: close\r\n", ""), &[0], false);
    }

    #[test]
    #[should_panic(expected = "a body that the app did not send")]
    fn an_edit_of_a_body_is_noticed() {
        check_responses(RESPONSE, &replaced(ANNOUNCED, "\r\n\r\nX : y", "\r\n\r\nX: y"), &[0], true);
    }

    #[test]
    #[should_panic(expected = "a response's head")]
    fn an_undue_announcement_is_noticed() {
        check_responses(RESPONSE, ANNOUNCED, &[0], false);
    }

    #[test]
    #[should_panic(expected = "became")]
    fn an_upgrade_offer_that_passed_is_noticed() {
        check_requests(REQUEST, REQUEST, &[0]);
    }

    #[test]
    #[should_panic(expected = "became")]
    fn space_removed_from_a_request_is_noticed() {
        let sent = replaced(REQUEST, "h2c", "websocket");
        check_requests(&sent, &replaced(&sent, "X :", "X:"), &[0]);
    }
}

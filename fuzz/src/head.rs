//! Message heads: where they end, and what may be one.

use httparse::{EMPTY_HEADER, Status};
use recycling_proxy::fuzzing::http1::Body;
use recycling_proxy::fuzzing::http1::Fault;
use recycling_proxy::fuzzing::http1::HeadEnd;
use recycling_proxy::fuzzing::http1::{Method, RequestHead, ResponseHead};

/// The end of a head does not depend on how it arrives, and what is accepted is so strict that no two readers can
/// differ over it: judged here once more, line by line.
///
/// # Panics
/// Where that does not hold.
pub fn check(data: &[u8]) {
    if let Ok(Some(length)) = end(data) {
        let head = &data[..length];
        if let Ok(parsed) = RequestHead::parse(head) {
            // Targets beyond ASCII are read more leniently than by httparse, which takes UTF-8 alone.
            if head.split(|byte| *byte == b'\r').next().is_some_and(<[u8]>::is_ascii) {
                assert_eq!(httparse_length(head, true), Some(head.len()), "{}", head.escape_ascii());
            }
            judge(head, parsed.body);
        }
        for method in [Method::Other, Method::Head, Method::Connect] {
            let Ok(parsed) = ResponseHead::parse(head, method) else { continue };
            assert_eq!(httparse_length(head, false), Some(head.len()), "{}", head.escape_ascii());
            match parsed {
                // Those of its framing are not judged, for it has no body.
                ResponseHead::Final { body, .. } if method == Method::Head => assert!(body.is_done()),
                ResponseHead::Final { body, .. } if body.is_done() => {}
                ResponseHead::Final { body, .. } => judge(head, body),
                ResponseHead::Interim | ResponseHead::Tunnel => {}
            }
        }
    }
}

/// Finds the end with all bytes at once, and checks that pieces give the same.
fn end(data: &[u8]) -> Result<Option<usize>, Fault> {
    let expected = HeadEnd::new().find(data);
    for step in [1, 3] {
        let mut reader = HeadEnd::new();
        let mut found = Ok(None);
        for length in (1..=data.len()).filter(|length| length % step == 0 || *length == data.len()) {
            found = reader.find(&data[..length]);
            if found != Ok(None) {
                break;
            }
        }
        assert_eq!(found, expected, "in steps of {step}: {}", data.escape_ascii());
    }
    expected
}

fn httparse_length(head: &[u8], request: bool) -> Option<usize> {
    let mut headers = vec![EMPTY_HEADER; head.len()];
    let parsed = if request {
        httparse::Request::new(&mut headers).parse(head)
    } else {
        httparse::Response::new(&mut headers).parse(head)
    };
    match parsed {
        Ok(Status::Complete(length)) => Some(length),
        Ok(Status::Partial) | Err(_) => None,
    }
}

/// What every accepted head fulfils, and what its framing must then be.
fn judge(head: &[u8], body: Body) {
    let shown = head.escape_ascii();
    let text = head.strip_suffix(b"\r\n\r\n").unwrap_or_else(|| panic!("no end: {shown}"));
    let lines: Vec<&[u8]> = split_lines(text);
    let mut lengths = Vec::new();
    let mut encodings = Vec::new();
    for line in &lines {
        assert!(!line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "control characters: {shown}");
    }
    for line in &lines[1..] {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or_else(|| panic!("no colon: {shown}"));
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        assert!(!name.is_empty() && !name.iter().any(u8::is_ascii_whitespace), "name: {shown}");
        match name.to_ascii_lowercase().as_slice() {
            b"content-length" => lengths.push(value),
            b"transfer-encoding" => encodings.push(value.to_ascii_lowercase()),
            _ => {}
        }
    }
    assert!(lengths.len() <= 1, "several lengths: {shown}");
    assert!(lengths.is_empty() || encodings.is_empty(), "length and encoding: {shown}");
    if let [length] = lengths[..] {
        assert!(!length.is_empty() && length.iter().all(u8::is_ascii_digit), "length: {shown}");
    }
    if let Some(last) = encodings.last() {
        assert!(last.ends_with(b"chunked"), "encoding: {shown}");
        let chunked = encodings.concat().windows(7).filter(|window| window == b"chunked").count();
        assert!(chunked >= 1, "encoding: {shown}");
        // 204 and 304 have no body whatever they say.
        let chunked = [Body::chunked(), Body::chunked_response()].contains(&body);
        assert!(chunked || body.is_done(), "chunked, but {body:?}: {shown}");
    }
}

fn split_lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    lines
}

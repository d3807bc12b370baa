//! The announcement: the one edit of responses.

use recycling_proxy::fuzzing::http1::HeadEnd;
use recycling_proxy::fuzzing::http1::announced;
use recycling_proxy::fuzzing::http1::{Method, ResponseHead};

/// An announced head is a good head, frames the same body, ends the connection, says so once, and every line that is
/// not about persistence is where it was.
///
/// # Panics
/// Where that does not hold.
pub fn check(data: &[u8]) {
    let Ok(Some(length)) = HeadEnd::new().find(data) else { return };
    let head = &data[..length];
    let Ok(ResponseHead::Final { body, .. }) = ResponseHead::parse(head, Method::Other) else { return };

    let edited = announced(head);
    let shown = edited.escape_ascii();
    assert_eq!(HeadEnd::new().find(&edited), Ok(Some(edited.len())), "{shown}");
    let expected = Ok(ResponseHead::Final { persistent: false, body });
    assert_eq!(ResponseHead::parse(&edited, Method::Other), expected, "{shown}");
    assert_eq!(others(&edited), others(head), "{shown}");
    assert_eq!(announced(&edited), edited, "not the same the second time");

    let lower = edited.to_ascii_lowercase();
    let announcements = lower.split(|byte| *byte == b'\n').filter(|line| *line == b"connection: close\r").count();
    assert_eq!(announcements, 1, "{shown}");
    assert!(!lower.windows(13).any(|window| window == b"\r\nkeep-alive:"), "{shown}");
}

/// Returns the lines that the proxy does not edit.
fn others(head: &[u8]) -> Vec<&[u8]> {
    let is_edited = |line: &[u8]| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        line.contains(&b':') && (name.eq_ignore_ascii_case(b"connection") || name.eq_ignore_ascii_case(b"keep-alive"))
    };
    head.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_edited(line)).collect()
}

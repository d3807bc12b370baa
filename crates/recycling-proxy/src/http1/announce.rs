//! Inserts `Connection: close` into a response head.

use super::fields::list;

const CLOSE: &[u8] = b"Connection: close\r\n";

/// Returns the head with `Connection: close` (RFC 9112 §9.6). The head must be complete and well-formed.
///
/// The `keep-alive` option and the Keep-Alive field contradict it, and are removed. All other bytes stay, including
/// other connection options.
pub fn announced(head: &[u8]) -> Vec<u8> {
    let mut edited = Vec::with_capacity(head.len().saturating_add(CLOSE.len()));
    for line in head.split_inclusive(|b| *b == b'\n') {
        if line == b"\r\n" {
            edited.extend_from_slice(CLOSE);
        }
        let (name, value) = name_and_value(line);
        if name.eq_ignore_ascii_case(b"connection") {
            push_connection(&mut edited, line, name, value);
        } else if !name.eq_ignore_ascii_case(b"keep-alive") {
            edited.extend_from_slice(line);
        }
    }
    edited
}

/// Appends a Connection line without the options `keep-alive` and `close`; nothing if no option is left.
fn push_connection(edited: &mut Vec<u8>, line: &[u8], name: &[u8], value: &[u8]) {
    let persistence = |token: &&[u8]| token.eq_ignore_ascii_case(b"keep-alive") || token.eq_ignore_ascii_case(b"close");
    if !list(value).any(|token| persistence(&token)) {
        edited.extend_from_slice(line);
        return;
    }
    let others: Vec<&[u8]> = list(value).filter(|token| !persistence(token)).collect();
    if !others.is_empty() {
        edited.extend_from_slice(name);
        edited.extend_from_slice(b": ");
        edited.extend_from_slice(&others.join(&b", "[..]));
        edited.extend_from_slice(b"\r\n");
    }
}

/// Returns the name and the value of a field line; the name of the start line and of the empty line is empty.
pub(super) fn name_and_value(line: &[u8]) -> (&[u8], &[u8]) {
    let text = line.strip_suffix(b"\r\n").unwrap_or(line);
    let colon = text.iter().position(|b| *b == b':');
    match colon.and_then(|at| text.split_at_checked(at)) {
        Some((name, rest)) => (name, rest.get(1..).unwrap_or_default()),
        None => (b"", b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(head: &str) -> String {
        String::from_utf8(announced(head.replace('\n', "\r\n").as_bytes())).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn announcing_adds_close_and_removes_keep_alive() {
        for (head, edited) in [
            ("HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\nConnection: close\n\n"),
            ("HTTP/1.1 200 OK\nA: b\nc:D\n\n", "HTTP/1.1 200 OK\nA: b\nc:D\nConnection: close\n\n"),
            ("HTTP/1.1 200 OK\nConnection: keep-alive\nA: b\n\n", "HTTP/1.1 200 OK\nA: b\nConnection: close\n\n"),
            ("HTTP/1.1 200 OK\nKeep-Alive: timeout=5\nA: b\n\n", "HTTP/1.1 200 OK\nA: b\nConnection: close\n\n"),
            (
                "HTTP/1.1 200 OK\ncOnnection: X-a , Keep-Alive,x-B\n\n",
                "HTTP/1.1 200 OK\ncOnnection: X-a, x-B\nConnection: close\n\n",
            ),
            (
                "HTTP/1.1 200 OK\nConnection:  X-a ,X-b\nConnection: keep-alive\n\n",
                "HTTP/1.1 200 OK\nConnection:  X-a ,X-b\nConnection: close\n\n",
            ),
            (
                "HTTP/1.1 200 a: connection: keep-alive\nX: keep-alive\n\n",
                "HTTP/1.1 200 a: connection: keep-alive\nX: keep-alive\nConnection: close\n\n",
            ),
        ] {
            assert_eq!(edit(head), edited);
        }
    }
}

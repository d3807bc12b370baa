//! The chunked reader, against a plain one that sees the whole body.

use recycling_proxy::fuzzing::http1::Body;

/// Where a body ends does not depend on how it arrives; where ours sees an end, a reader of whole bodies sees the same
/// one.
///
/// # Panics
/// Where they differ.
pub fn check(data: &[u8]) {
    let whole = read(data, data.len().max(1));
    for piece in [1, 2, 7, 64] {
        assert_eq!(read(data, piece), whole, "in pieces of {piece}: {}", data.escape_ascii());
    }
    let End { taken, done, refused } = whole;
    assert!(taken <= data.len() && !(done && refused));
    assert!(done || refused || taken == data.len(), "stopped without a reason: {}", data.escape_ascii());
    if done {
        assert_eq!(plain_end(data), Some(taken), "{}", data.escape_ascii());
    }
}

#[derive(Debug, PartialEq, Eq)]
struct End {
    taken: usize,
    done: bool,
    refused: bool,
}

fn read(data: &[u8], piece: usize) -> End {
    let mut body = Body::chunked();
    let mut taken = 0;
    for piece in data.chunks(piece) {
        let mut rest = piece;
        while !rest.is_empty() && !body.is_done() {
            match body.advance(rest) {
                Ok(0) => panic!("no progress and no fault: {}", data.escape_ascii()),
                Ok(count) => {
                    taken += count;
                    rest = &rest[count..];
                }
                Err(_) => return End { taken, done: false, refused: true },
            }
        }
    }
    End { taken, done: body.is_done(), refused: false }
}

/// Returns the end of a body as RFC 9112 §7.1 has it, read line by line and leniently: where it must be if anywhere.
fn plain_end(data: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = line_at(data, at)?;
        at += line.len() + 2;
        let digits = line.split(|byte| b"; \t".contains(byte)).next()?;
        let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        at = at.checked_add(size)?;
        if data.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    loop {
        let line = line_at(data, at)?;
        at += line.len() + 2;
        if line.is_empty() {
            return Some(at);
        }
        if !line.contains(&b':') {
            return None;
        }
    }
}

fn line_at(data: &[u8], at: usize) -> Option<&[u8]> {
    let rest = data.get(at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    Some(&rest[..end])
}

//! Message heads, as lines of bytes.

/// The head of a message: its lines in order, without their line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    lines: Vec<Vec<u8>>,
}

impl Head {
    /// Parses a head. Returns `None` if it does not end with an empty line.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = bytes.strip_suffix(b"\r\n\r\n")?;
        let mut lines = vec![Vec::new()];
        for (n, byte) in text.iter().enumerate() {
            match byte {
                b'\r' if text.get(n + 1) == Some(&b'\n') => {}
                b'\n' if n > 0 && text[n - 1] == b'\r' => lines.push(Vec::new()),
                other => lines.last_mut()?.push(*other),
            }
        }
        Some(Self { lines })
    }

    /// Returns the request line or status line.
    pub fn start_line(&self) -> String {
        self.lines.first().map(|line| String::from_utf8_lossy(line).into_owned()).unwrap_or_default()
    }

    /// Returns the status code of a response.
    pub fn status(&self) -> Option<u16> {
        self.start_line().split(' ').nth(1)?.parse().ok()
    }

    /// Returns whether there is a field of this name, in any case.
    pub fn has(&self, name: &str) -> bool {
        self.fields().any(|(field, _)| field.eq_ignore_ascii_case(name))
    }

    /// Returns the list elements of every field of this name, lower case, in order.
    pub fn tokens(&self, name: &str) -> Vec<String> {
        let values = self.fields().filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let elements =
            values.flat_map(|value| value.split(',').map(|token| token.trim().to_lowercase()).collect::<Vec<_>>());
        elements.filter(|token| !token.is_empty()).collect()
    }

    /// Returns whether the head announces that the connection ends with this exchange.
    pub fn announces_close(&self) -> bool {
        self.tokens("connection").iter().any(|token| token == "close")
    }

    /// Returns all lines except fields of these names.
    pub fn lines_without(&self, names: &[&str]) -> Vec<String> {
        let kept = self.lines.iter().filter(|line| {
            let name = field(line).map(|(name, _)| name.to_lowercase()).unwrap_or_default();
            !names.iter().any(|left_out| left_out.eq_ignore_ascii_case(&name))
        });
        kept.map(|line| line.escape_ascii().to_string()).collect()
    }

    fn fields(&self) -> impl Iterator<Item = (String, String)> {
        self.lines.iter().skip(1).filter_map(|line| field(line))
    }
}

fn field(line: &[u8]) -> Option<(String, String)> {
    let line = String::from_utf8_lossy(line);
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_parsed_into_its_fields() {
        let head = Head::parse(b"HTTP/1.1 200 Fine\r\nConnection: a, Close\r\nX:y\r\nconnection:b\r\n\r\n").unwrap();
        assert_eq!(head.start_line(), "HTTP/1.1 200 Fine");
        assert_eq!(head.status(), Some(200));
        assert_eq!(head.tokens("CONNECTION"), ["a", "close", "b"]);
        assert!(head.announces_close() && head.has("x") && !head.has("y"));
        assert_eq!(head.lines_without(&["connection"]), ["HTTP/1.1 200 Fine", "X:y"]);
        assert_eq!(Head::parse(b"HTTP/1.1 200 OK\r\n"), None);
    }

    #[test]
    fn close_is_matched_as_a_token() {
        for silent in ["Connection: closed", "Connection: x-close", "X: close", "Connection-X: close"] {
            let head = Head::parse(format!("HTTP/1.1 200 OK\r\n{silent}\r\n\r\n").as_bytes()).unwrap();
            assert!(!head.announces_close(), "{silent}");
        }
    }
}

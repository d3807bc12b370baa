//! A reader of JSON text that writes only what a rule keeps.

use crate::Rule;

/// The longest name of a member. No rule has a longer one, so members with longer names are dropped.
const LONGEST_NAME: usize = 1024;

/// Reads documents, one after the other, in pieces of any size.
///
/// The output for well-formed JSON is well-formed. Other input may give any output, and its parser reports
/// the error.
/// White space between values is removed, except for line feeds between documents.
///
/// ```text
///           ┌─────────────── , in an array ──────────────┐
///           ▼                                            │
///  ──▶ Value ──▶ String, Bare, Whole ──▶ Next ── ] or } ─┴▶ Next, or Value after a document
///       │  ▲                              │
///     { │  └── Colon ◀── InName ◀── Name ◀┘ , in an object
///       └──────────────────────────▶ Name
/// ```
#[derive(Debug)]
pub struct Projector {
    rule: &'static Rule,
    /// The arrays and objects around the next byte, except those that are kept or dropped as a whole.
    open: Vec<Open>,
    state: State,
    /// The most bytes that may be kept of a document.
    most: usize,
    /// The bytes that were kept of the present document.
    written: usize,
}

/// More bytes of a document are kept than are allowed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected at most {0} bytes of what is read of a document")]
pub struct TooLarge(usize);

#[derive(Debug)]
struct Open {
    rule: &'static Rule,
    is_object: bool,
    kept: usize,
}

#[derive(Debug)]
enum State {
    /// Before a value.
    Value,
    /// Before the name of a member.
    Name,
    /// Within a name. `name` has its bytes as they are written, without quotes.
    InName { name: Vec<u8>, escaped: bool },
    /// Between a name and its colon, with the rule for the value.
    Colon(&'static Rule),
    /// Between a colon and the value.
    Member(&'static Rule),
    /// After a value within another.
    Next,
    /// Within a string. At most `left` further characters are written.
    String { left: usize, writes: bool, escape: Escape },
    /// Within a number or a literal.
    Bare { writes: bool },
    /// Within a value that is kept or dropped as a whole.
    Whole { depth: usize, in_string: bool, escaped: bool, writes: bool },
}

/// The position within an escape sequence of a string.
#[derive(Clone, Copy, Debug)]
enum Escape {
    None,
    /// After the backslash.
    Begun,
    /// Before this many digits of `\uXXXX`.
    Digits(u8),
}

impl Projector {
    /// Returns a projector that keeps of each document what `rule` keeps, at most `most` bytes.
    pub fn new(rule: &'static Rule, most: usize) -> Self {
        Self { rule, open: Vec::new(), state: State::Value, most, written: 0 }
    }

    /// Returns what `rule` keeps of the document in `text`.
    pub fn project(rule: &'static Rule, text: &[u8]) -> Vec<u8> {
        let mut kept = Vec::with_capacity(text.len());
        // The limit cannot be exceeded.
        _ = Self::new(rule, usize::MAX).push(text, &mut kept);
        kept
    }

    /// Reads `text`, which follows that of the last call, and appends to `kept` what is kept of it.
    ///
    /// # Errors
    /// If more than the allowed bytes of a document are kept.
    pub fn push(&mut self, mut text: &[u8], kept: &mut Vec<u8>) -> Result<(), TooLarge> {
        while let Some(byte) = text.first() {
            let before = kept.len();
            let read = match &self.state {
                State::Whole { .. } => self.whole(text, kept),
                State::Value
                | State::Name
                | State::InName { .. }
                | State::Colon(_)
                | State::Member(_)
                | State::Next
                | State::String { .. }
                | State::Bare { .. } => usize::from(self.step(*byte, kept)),
            };
            self.written += kept.len() - before;
            if self.written > self.most {
                return Err(TooLarge(self.most));
            }
            text = &text[read..];
        }
        Ok(())
    }

    /// Reads a byte. Returns `false` if it has to be read again, in the new state.
    fn step(&mut self, byte: u8, kept: &mut Vec<u8>) -> bool {
        match &mut self.state {
            State::Value => return self.value(byte, kept),
            State::Member(rule) => {
                let rule = *rule;
                if !byte.is_ascii_whitespace() {
                    self.begin(byte, rule, kept);
                }
            }
            State::Name => match byte {
                b'"' => self.state = State::InName { name: Vec::new(), escaped: false },
                b'}' => self.close(kept),
                _ => {}
            },
            State::InName { name, escaped } => {
                if byte == b'"' && !*escaped {
                    let name = std::mem::take(name);
                    self.name(&name, kept);
                } else {
                    *escaped = byte == b'\\' && !*escaped;
                    if name.len() <= LONGEST_NAME {
                        name.push(byte);
                    }
                }
            }
            State::Colon(rule) => {
                if byte == b':' {
                    self.state = State::Member(rule);
                }
            }
            State::Next => match byte {
                b',' if self.open.last().is_some_and(|open| open.is_object) => self.state = State::Name,
                b',' => self.state = State::Value,
                b'}' | b']' => self.close(kept),
                _ => {}
            },
            State::Bare { writes } => {
                if matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace() {
                    self.end();
                    return false;
                }
                if *writes {
                    kept.push(byte);
                }
            }
            State::String { .. } => self.string(byte, kept),
            State::Whole { .. } => return false,
        }
        true
    }

    /// Reads a byte before an element or a document. Returns `true`.
    fn value(&mut self, byte: u8, kept: &mut Vec<u8>) -> bool {
        let Some(array) = self.open.last_mut() else {
            match byte {
                b'\n' => kept.push(byte),
                _ if byte.is_ascii_whitespace() => {}
                _ => self.begin(byte, self.rule, kept),
            }
            return true;
        };
        match byte {
            b']' | b'}' => self.close(kept),
            _ if byte.is_ascii_whitespace() => {}
            _ => {
                let rule = array.rule.element(array.kept);
                if *rule != Rule::Drop {
                    if array.kept > 0 {
                        kept.push(b',');
                    }
                    array.kept += 1;
                }
                self.begin(byte, rule, kept);
            }
        }
        true
    }

    /// Begins a value with its first byte.
    fn begin(&mut self, byte: u8, rule: &'static Rule, kept: &mut Vec<u8>) {
        let writes = *rule != Rule::Drop;
        let whole = |depth, writes| State::Whole { depth, in_string: depth == 0, escaped: false, writes };
        self.state = match (byte, rule) {
            (b'"', Rule::Scalar(longest)) => State::String { left: *longest, writes, escape: Escape::None },
            (b'"', _) => whole(0, writes),
            (b'{', Rule::Members(..) | Rule::Prefixed(..) | Rule::Answer(_) | Rule::Metadata(_)) => {
                self.open.push(Open { rule, is_object: true, kept: 0 });
                State::Name
            }
            (b'[', Rule::Elements(..) | Rule::Answer(_)) => {
                self.open.push(Open { rule, is_object: false, kept: 0 });
                State::Value
            }
            (b'{' | b'[', Rule::Keep | Rule::Drop) | (b'[', Rule::Members(_, Rule::Keep)) => whole(1, writes),
            (b'{' | b'[', _) => {
                kept.extend_from_slice(b"null");
                self.state = whole(1, false);
                return;
            }
            (_, _) => State::Bare { writes },
        };
        if writes {
            kept.push(byte);
        }
    }

    fn name(&mut self, name: &[u8], kept: &mut Vec<u8>) {
        let Some(object) = self.open.last_mut() else { return };
        let rule = if name.len() > LONGEST_NAME { &Rule::Drop } else { object.rule.member(name, object.kept) };
        if *rule != Rule::Drop {
            kept.extend_from_slice(if object.kept > 0 { b",\"" } else { b"\"" });
            kept.extend_from_slice(name);
            kept.extend_from_slice(b"\":");
            object.kept += 1;
        }
        self.state = State::Colon(rule);
    }

    fn string(&mut self, byte: u8, kept: &mut Vec<u8>) {
        let State::String { left, writes, escape } = &mut self.state else { return };
        match (*escape, byte) {
            (Escape::None, b'"') => {
                kept.push(byte);
                return self.end();
            }
            // A character of several bytes, or an escape, is written whole or not at all.
            (Escape::None, 0x80..=0xBF) => {}
            (Escape::None, _) => {
                *writes = *left > 0;
                *left = left.saturating_sub(1);
                *escape = if byte == b'\\' { Escape::Begun } else { Escape::None };
            }
            (Escape::Begun, b'u') => *escape = Escape::Digits(4),
            (Escape::Begun | Escape::Digits(..=1), _) => *escape = Escape::None,
            (Escape::Digits(digits), _) => *escape = Escape::Digits(digits - 1),
        }
        if *writes {
            kept.push(byte);
        }
    }

    /// Reads the bytes that belong to a value that is kept or dropped as a whole. Returns their number.
    fn whole(&mut self, text: &[u8], kept: &mut Vec<u8>) -> usize {
        let State::Whole { depth, in_string, escaped, writes } = &mut self.state else { return 0 };
        let mut is_over = |byte: &u8| {
            match byte {
                _ if *escaped => *escaped = false,
                b'\\' => *escaped = *in_string,
                b'"' => *in_string = !*in_string,
                b'{' | b'[' if !*in_string => *depth += 1,
                b'}' | b']' if !*in_string => *depth -= 1,
                _ => {}
            }
            *depth == 0 && !*in_string
        };
        let end = text.iter().position(&mut is_over);
        let read = end.map_or(text.len(), |last| last + 1);
        if *writes {
            kept.extend_from_slice(&text[..read]);
        }
        if end.is_some() {
            self.end();
        }
        read
    }

    fn close(&mut self, kept: &mut Vec<u8>) {
        if let Some(open) = self.open.pop() {
            kept.push(if open.is_object { b'}' } else { b']' });
        }
        self.end();
    }

    /// Ends a value.
    fn end(&mut self) {
        if self.open.is_empty() {
            self.written = 0;
            self.state = State::Value;
        } else {
            self.state = State::Next;
        }
    }
}

#[cfg(test)]
mod tests;

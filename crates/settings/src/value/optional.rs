//! Values that can be replaced by a word: `off` or `auto`.

use std::fmt;
use std::str::FromStr;

use super::{CpuQuantity, InvalidValue, MemoryQuantity, Span};

/// A value that can be switched off by the word `off`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Off<T>(pub(crate) Option<T>);

impl FromStr for Off<Span> {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        unless(text, "off", "off, or a duration with units from 1ms to 365d, such as 10m").map(Self)
    }
}

impl FromStr for Off<CpuQuantity> {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        unless(text, "off", "off, or an amount of CPU from 1m to 64, such as 500m").map(Self)
    }
}

impl<T: fmt::Display> fmt::Display for Off<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self.0.as_ref(), "off", f)
    }
}

impl<T> From<Option<T>> for Off<T> {
    fn from(value: Option<T>) -> Self {
        Self(value)
    }
}

impl<T> From<Off<T>> for Option<T> {
    fn from(Off(value): Off<T>) -> Self {
        value
    }
}

/// A value that is determined at run time if it is `auto`.
pub(crate) struct Auto<T>(pub(crate) Option<T>);

impl FromStr for Auto<MemoryQuantity> {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        unless(text, "auto", "auto, or an amount of memory from 1Mi to 64Gi, such as 128Mi").map(Self)
    }
}

impl<T: fmt::Display> fmt::Display for Auto<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self.0.as_ref(), "auto", f)
    }
}

/// Returns `None` for the `word`, and otherwise the parsed value.
fn unless<T: FromStr>(text: &str, word: &str, expected: &'static str) -> Result<Option<T>, InvalidValue> {
    if text == word { Ok(None) } else { text.parse().map(Some).map_err(|_| InvalidValue(expected)) }
}

fn write<T: fmt::Display>(value: Option<&T>, word: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        None => f.write_str(word),
        Some(value) => value.fmt(f),
    }
}

//! Where a manifest comes from.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context as _;

use crate::exit::Blame;

/// A file, or standard input for `-`.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Stdin,
    File(PathBuf),
}

impl FromStr for Source {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdin } else { Self::File(text.into()) })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Source {
    /// All of it, as text.
    pub(super) fn read(&self) -> anyhow::Result<String> {
        let bytes = self.bytes().with_context(|| format!("{self} cannot be read")).context(Blame::Input)?;
        String::from_utf8(bytes).with_context(|| format!("{self} is not UTF-8 text")).context(Blame::Data)
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        match self {
            Self::Stdin => {
                let mut bytes = Vec::new();
                io::stdin().lock().read_to_end(&mut bytes)?;
                Ok(bytes)
            }
            Self::File(path) => fs::read(path),
        }
    }
}

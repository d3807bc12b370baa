//! Where manifests come from.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;

use crate::exit::{Blame, OrBlame as _};

/// The names of files that are read from a folder, as kubectl reads them.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];
/// The byte order marks of UTF-16.
const UTF_16_MARKS: [[u8; 2]; 2] = [[0xff, 0xfe], [0xfe, 0xff]];

/// A file or a folder, or standard input for `-`.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Stdin,
    Path(PathBuf),
}

impl FromStr for Source {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return Err("URLs are not fetched: pipe what curl gets into `-f -`");
        }
        Ok(if text == "-" { Self::Stdin } else { Self::Path(text.into()) })
    }
}

/// One manifest: standard input, or a file.
#[derive(Debug)]
pub(crate) enum Input {
    Stdin,
    File(PathBuf),
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("stdin"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Source {
    /// Returns its manifests: of a folder the files whose names end in `.json`, `.yaml` or `.yml`, by name; with
    /// `recursive`, those of its folders too.
    ///
    /// # Errors
    /// A folder that cannot be read, or has no such file.
    pub(crate) fn inputs(&self, recursive: bool) -> anyhow::Result<Vec<Input>> {
        let path = match self {
            Self::Stdin => return Ok(vec![Input::Stdin]),
            Self::Path(path) if !path.is_dir() => return Ok(vec![Input::File(path.clone())]),
            Self::Path(path) => path,
        };
        let files = manifests(path, recursive).with_context(|| path.display().to_string()).or_blame(Blame::Input)?;
        if files.is_empty() {
            let deeper = if recursive { "" } else { " (-R looks into its folders, too)" };
            let none = anyhow::anyhow!("{}: no file ends in .json, .yaml or .yml{deeper}", path.display());
            return Err(none).or_blame(Blame::Input);
        }
        Ok(files.into_iter().map(Input::File).collect())
    }
}

fn manifests(folder: &Path, recursive: bool) -> io::Result<Vec<PathBuf>> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            if recursive {
                files.extend(manifests(&path, true)?);
            }
        } else if extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) {
            files.push(path);
        }
    }
    Ok(files)
}

impl Input {
    /// Returns all of it as text.
    ///
    /// # Errors
    /// It cannot be read, or is not UTF-8.
    pub(crate) fn read(&self) -> anyhow::Result<String> {
        let bytes = self.bytes().with_context(|| self.to_string()).or_blame(Blame::Input)?;
        String::from_utf8(bytes).map_err(|error| self.not_utf8(error.as_bytes())).or_blame(Blame::Data)
    }

    fn not_utf8(&self, bytes: &[u8]) -> anyhow::Error {
        if UTF_16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
            // Windows PowerShell writes so what is redirected by `>`.
            anyhow::anyhow!("{self}: UTF-16 text: expected UTF-8 (in PowerShell: `Out-File -Encoding utf8`)")
        } else {
            anyhow::anyhow!("{self}: expected UTF-8 text")
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_utf8_is_refused_with_what_was_expected() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let input = Input::File(file.path().to_owned());
        let utf16 = |mark: &[u8], bytes: fn(u16) -> [u8; 2]| {
            [mark, &"kind: Pod".encode_utf16().flat_map(bytes).collect::<Vec<_>>()].concat()
        };
        for (bytes, expected) in [
            (
                utf16(&[0xff, 0xfe], u16::to_le_bytes),
                ": UTF-16 text: expected UTF-8 (in PowerShell: `Out-File -Encoding utf8`)",
            ),
            (
                utf16(&[0xfe, 0xff], u16::to_be_bytes),
                ": UTF-16 text: expected UTF-8 (in PowerShell: `Out-File -Encoding utf8`)",
            ),
            (b"kind: \xe9".to_vec(), ": expected UTF-8 text"),
        ] {
            fs::write(file.path(), bytes).unwrap();
            assert_eq!(input.read().unwrap_err().to_string(), format!("{input}{expected}"));
        }
    }
}

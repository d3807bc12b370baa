//! The files of the repository that are read or generated here.

use std::fs;
use std::path::PathBuf;

/// Returns a path of the repository.
pub fn path(of: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(of)
}

/// Returns the text of a file of the repository.
///
/// # Panics
/// If it cannot be read.
pub fn text(of: &str) -> String {
    fs::read_to_string(path(of)).unwrap_or_else(|error| panic!("{of}: {error}"))
}

/// Compares a generated file, or rewrites it with `UPDATE_DOCS=1`.
///
/// # Panics
/// If the file is not what is generated now.
pub fn generated(file: &str, now: &str) {
    generated_docs::file(file, now, "cargo test -p chart-tests --test generated");
}

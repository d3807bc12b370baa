//! The programs of the workspace, as they are now.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A program of the workspace, built and beside the others.
///
/// Cargo builds for a test the programs of its own package alone, and an old one of another package would tell nothing.
pub(crate) fn built(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build).join(name)
}

fn build() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_evenkeel")).parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args([
        "build",
        "--quiet",
        "--bins",
        "--package=recycling-proxy",
        "--package=webhook",
        "--package=test-support",
    ]);
    build.arg("--target-dir").arg(folder.parent().unwrap());
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success(), "the programs do not build");
    folder.to_owned()
}

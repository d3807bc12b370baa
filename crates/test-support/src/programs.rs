//! The programs of the workspace, as they are now.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the proxy, the webhook and `echo-app` beside `own`, a program of the calling test's package. Returns their folder.
///
/// Cargo builds for a test the programs of its own package alone, and an old one of another package would tell nothing. All
/// callers build the same packages, so that none builds another's anew with other features.
///
/// # Panics
/// Panics if they do not build.
pub fn build_programs(own: &Path) -> PathBuf {
    let folder = own.parent().expect("a program is in a folder");
    let mut build = Command::new(env!("CARGO"));
    build.args([
        "build",
        "--quiet",
        "--bins",
        "--package=recycling-proxy",
        "--package=webhook",
        "--package=test-support",
    ]);
    build.arg("--target-dir").arg(folder.parent().expect("the folder of a profile is in the target directory"));
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo starts").success(), "the programs do not build");
    folder.to_owned()
}

//! The programs of the workspace, as they are now.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the proxy, the webhook and `echo-app` beside `own`, a program of the calling test's package. Returns their
/// folder.
///
/// Cargo builds for a test the programs of its own package alone, and an old one of another package would tell nothing.
/// The selection is the whole workspace and names a test, since Cargo unites the features of what is selected, and
/// those of dev-dependencies only where a test is: with others it would build many dependencies again that `make test`
/// has built.
///
/// # Panics
/// Panics if they do not build.
pub fn build_programs(own: &Path) -> PathBuf {
    let folder = own.parent().expect("a program is in a folder");
    let mut build = Command::new(env!("CARGO"));
    build.args([
        "build",
        "--quiet",
        "--locked",
        "--workspace",
        "--bin=recycling-proxy",
        "--bin=evenkeel-webhook",
        "--bin=echo-app",
        "--test=echo_app",
    ]);
    build.arg("--target-dir").arg(folder.parent().expect("the folder of a profile is in the target directory"));
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo starts").success(), "the programs do not build");
    folder.to_owned()
}

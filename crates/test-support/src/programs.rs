//! The programs of the workspace, built from its present sources.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the proxy, the webhook and `echo-app` beside `own`, a program of the calling test's package. Returns their
/// folder.
///
/// For a test, Cargo builds the programs of the test's own package alone; those of other packages may be older than
/// their sources. The selection is the whole workspace with one test, because Cargo unites the features of what is
/// selected, and includes those of dev-dependencies only if a test is. Any other selection would build many
/// dependencies again that `make test` has built.
///
/// # Panics
/// Panics if the build fails.
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
